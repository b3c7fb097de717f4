//! AdamW (arXiv 1711.05101, algorithm 2) with the gradients of a step summed over its forests and clipped to a global norm.
//!
//! Per parameter, with gradient `g` and step `t` of that parameter: `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`,
//! `p = (1 - lr * decay) p - lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)`. A parameter without a gradient in a
//! step stays as it is and its `t` does not count.

mod ops;

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;

use crate::Optimization;
use crate::activations::Tape;
use ops::AdamWStep;

/// Moments of one parameter, flat.
pub(crate) struct Moments {
    pub first: Tensor<1>,
    pub second: Tensor<1>,
    /// Updates so far.
    pub updates: u32,
}

pub(crate) struct StepOptimizer<M> {
    sums: GradientsAccumulator<M>,
    auxiliary_loss: Option<f64>,
    moments: HashMap<ParamId, Moments>,
    settings: Settings,
}

#[derive(Clone, Copy)]
struct Settings {
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
    weight_decay: f64,
    max_grad_norm: f64,
}

impl<M: Module> StepOptimizer<M> {
    pub fn new(settings: &Optimization) -> Self {
        Self {
            sums: GradientsAccumulator::new(),
            auxiliary_loss: None,
            moments: HashMap::new(),
            settings: Settings {
                beta_1: f64::from(settings.beta_1),
                beta_2: f64::from(settings.beta_2),
                epsilon: f64::from(settings.epsilon),
                weight_decay: f64::from(settings.weight_decay),
                max_grad_norm: settings.max_grad_norm,
            },
        }
    }

    /// Adds the gradients of a forest's part of the step's loss: `loss` is already divided by the whole step's count; the
    /// model's own loss of the forest counts with `share`, the forest's share of the step's tokens.
    pub fn add(&mut self, model: &M, loss: Tensor<1>, tape: Tape<'_>, share: f64) {
        let sums = &mut self.sums;
        let mut add = |gradients| {
            sums.accumulate(model, GradientsParams::from_grads(gradients, model));
        };
        let auxiliary = match tape {
            Tape::Blocks(recomputation) => recomputation.backward(loss, share, &mut add),
            Tape::Whole { auxiliary: None } => {
                add(loss.backward());
                None
            }
            Tape::Whole {
                auxiliary: Some(auxiliary),
            } => {
                let auxiliary = auxiliary * share;
                let value = f64::from(auxiliary.clone().into_scalar::<f32>());
                add((loss + auxiliary).backward());
                Some(value)
            }
        };
        if let Some(value) = auxiliary {
            *self.auxiliary_loss.get_or_insert(0.0) += value;
        }
    }

    /// The model's own loss of the step, if it has one.
    pub fn take_auxiliary_loss(&mut self) -> Option<f64> {
        self.auxiliary_loss.take()
    }

    /// The summed gradients and their global norm.
    pub fn gradients(&mut self, model: &M) -> (GradientsParams, f64) {
        let gradients = self.sums.grads();
        let norm = global_norm(model, &gradients);
        (gradients, norm)
    }

    /// Scales the gradients to the allowed norm and moves the parameters.
    pub fn step(
        &mut self,
        model: M,
        gradients: GradientsParams,
        norm: f64,
        learning_rate: f64,
    ) -> M {
        let most = self.settings.max_grad_norm;
        let gradient_factor = if most > 0.0 && norm > most {
            most / (norm + 1e-6)
        } else {
            1.0
        };
        model.map(&mut Update {
            gradients,
            moments: &mut self.moments,
            settings: self.settings,
            gradient_factor,
            learning_rate,
        })
    }

    /// The moments of a parameter that has been updated.
    pub fn moments(&self, id: ParamId) -> Option<&Moments> {
        self.moments.get(&id)
    }

    /// Puts moments back.
    pub fn set_moments(&mut self, moments: HashMap<ParamId, Moments>) {
        self.moments = moments;
    }
}

struct SquaredNorms<'a> {
    gradients: &'a GradientsParams,
    squares: Vec<Tensor<1>>,
}

impl ModuleVisitor for SquaredNorms<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.squares.push(ops::sum_of_squares(flat(gradient)));
        }
    }
}

/// The root of the sum of all squared gradients. The device is waited for once.
fn global_norm<M: Module>(model: &M, gradients: &GradientsParams) -> f64 {
    let mut norms = SquaredNorms {
        gradients,
        squares: Vec::new(),
    };
    model.visit(&mut norms);
    if norms.squares.is_empty() {
        return 0.0;
    }
    let squares = Tensor::cat(norms.squares, 0).into_data();
    squares.iter::<f64>().sum::<f64>().sqrt()
}

/// The parameters whose gradients are not finite, the first few by name.
pub(crate) fn parameters_not_finite<M: Module>(
    model: &M,
    gradients: &GradientsParams,
) -> Vec<String> {
    const NAMED: usize = 3;
    let mut found = NotFiniteGradients {
        path: Vec::new(),
        gradients,
        names: Vec::new(),
    };
    model.visit(&mut found);
    found.names.truncate(NAMED);
    let told = |name| format!("the gradient of `{name}` is not finite");
    found.names.into_iter().map(told).collect()
}

struct NotFiniteGradients<'a> {
    path: Vec<String>,
    gradients: &'a GradientsParams,
    names: Vec<String>,
}

impl ModuleVisitor for NotFiniteGradients<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let squares: f32 = ops::sum_of_squares(flat(gradient)).into_scalar();
            if !squares.is_finite() {
                self.names.push(self.path.join("."));
            }
        }
    }
}

fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let elements = tensor.shape().num_elements();
    tensor.reshape([elements])
}

struct Update<'a> {
    gradients: GradientsParams,
    moments: &'a mut HashMap<ParamId, Moments>,
    settings: Settings,
    gradient_factor: f64,
    learning_rate: f64,
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else {
            return param;
        };
        let (id, tensor, mapper) = param.consume();
        let shape = tensor.shape();
        // Off the autodiff graph and with no other owner, the parameter is updated where it lies.
        let parameter = flat(tensor.inner());
        let Moments {
            first,
            second,
            updates,
        } = self.moments.remove(&id).unwrap_or_else(|| Moments {
            first: parameter.zeros_like(),
            second: parameter.zeros_like(),
            updates: 0,
        });
        let updates = updates + 1;
        let Settings {
            beta_1,
            beta_2,
            epsilon,
            weight_decay,
            ..
        } = self.settings;
        let step = AdamWStep {
            gradient_factor: self.gradient_factor as f32,
            beta_1: beta_1 as f32,
            beta_2: beta_2 as f32,
            epsilon: epsilon as f32,
            decay: (1.0 - self.learning_rate * weight_decay) as f32,
            step_size: (self.learning_rate / (1.0 - beta_1.powi(updates as i32))) as f32,
            second_correction: (1.0 - beta_2.powi(updates as i32)).sqrt().recip() as f32,
        };
        let (parameter, first, second) =
            ops::adamw_step(parameter, flat(gradient), first, second, step);
        let moments = Moments {
            first,
            second,
            updates,
        };
        self.moments.insert(id, moments);
        let tensor = Tensor::from_inner(parameter.reshape(shape)).require_grad();
        Param::from_mapped_value(id, tensor, mapper)
    }
}
