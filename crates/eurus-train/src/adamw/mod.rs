//! AdamW (arXiv 1711.05101, algorithm 2) with the gradients of a step summed over its forests and clipped to a global norm.
//!
//! Per parameter, with gradient `g` and step `t` of that parameter: `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`,
//! `p = (1 - lr * decay) p - lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)`. A parameter without a gradient in a
//! step stays as it is and its `t` does not count.

mod carry;
mod gradients;
mod ops;
mod sums;

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::Tensor;

use crate::activations::Tape;
use crate::{Error, Ranks, Result, TrainingConfig};
use cpu_kernels::adamw::AdamWStep;
pub(crate) use gradients::StepGradients;
use sums::GradientSums;

/// Moments of one parameter, flat: of this rank's part of it.
pub(crate) struct Moments {
    pub first: Tensor<1>,
    pub second: Tensor<1>,
    /// Updates so far.
    pub updates: u32,
}

pub(crate) struct StepOptimizer {
    sums: GradientSums,
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

impl StepOptimizer {
    pub fn new(settings: &TrainingConfig) -> Self {
        Self {
            sums: GradientSums::default(),
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
    pub fn add<M: Module>(&mut self, model: &M, loss: Tensor<1>, tape: Tape<'_>, share: f64) {
        let sums = &mut self.sums;
        let auxiliary = match tape {
            Tape::Blocks(recomputation) => {
                recomputation.backward(loss, share, &mut |loss, read| {
                    let mut gradients = sums.backward(model, loss);
                    read(&mut gradients);
                    sums.add(model, gradients);
                })
            }
            Tape::Whole { auxiliary } => {
                let auxiliary = auxiliary.map(|it| it * share);
                let value = auxiliary.clone();
                let value = value.map(|it| f64::from(it.into_scalar::<f32>()));
                let loss = match auxiliary {
                    Some(auxiliary) => auxiliary.cast(loss.dtype()) + loss,
                    None => loss,
                };
                // What reaches no parameter has no graph to go back through; the run says so of a whole step.
                if loss.is_tracked() {
                    let gradients = sums.backward(model, loss);
                    sums.add(model, gradients);
                }
                value
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

    /// The summed gradients, this rank's part of each parameter's, and their global norm.
    ///
    /// # Errors
    ///
    /// Those of the ranks.
    pub fn gradients<M: Module>(
        &mut self,
        model: &M,
        ranks: &Ranks,
    ) -> Result<(StepGradients, f64)> {
        StepGradients::take(model, self.sums.take(), ranks)
    }

    /// Scales the gradients to the allowed norm and moves the parameters.
    ///
    /// # Errors
    ///
    /// Those of the ranks.
    pub fn step<M: Module>(
        &mut self,
        model: M,
        gradients: StepGradients,
        norm: f64,
        learning_rate: f64,
        ranks: &Ranks,
    ) -> Result<M> {
        let most = self.settings.max_grad_norm;
        // With the 1e-6 of PyTorch's `clip_grad_norm_`, so that clipped steps are the same as there.
        let gradient_factor = if most > 0.0 && norm > most {
            most / (norm + 1e-6)
        } else {
            1.0
        };
        let mut update = Update {
            gradients,
            moments: &mut self.moments,
            settings: self.settings,
            gradient_factor,
            learning_rate,
            ranks,
            fault: None,
        };
        let model = model.map(&mut update);
        update.fault.map_or(Ok(model), Err)
    }

    /// Whether any parameter has been updated.
    pub fn has_updated(&self) -> bool {
        !self.moments.is_empty()
    }

    /// The moments of a parameter that has been updated: this rank's part.
    pub fn moments(&self, id: ParamId) -> Option<&Moments> {
        self.moments.get(&id)
    }

    /// Puts moments back.
    pub fn set_moments(&mut self, moments: HashMap<ParamId, Moments>) {
        self.moments = moments;
    }
}

fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let elements = tensor.shape().num_elements();
    tensor.reshape([elements])
}

struct Update<'a> {
    gradients: StepGradients,
    moments: &'a mut HashMap<ParamId, Moments>,
    settings: Settings,
    gradient_factor: f64,
    learning_rate: f64,
    ranks: &'a Ranks,
    /// The first error of the ranks; what follows it stays as it is.
    fault: Option<Error>,
}

impl Update<'_> {
    /// Moves this rank's part of a parameter, flat.
    fn part(&mut self, id: ParamId, parameter: Tensor<1>, gradient: Tensor<1>) -> Tensor<1> {
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
        // The corrections are computed in f64: for a beta near 1, `1 - beta^t` loses digits in f32.
        let step = AdamWStep {
            gradient_factor: self.gradient_factor as f32,
            beta_1: beta_1 as f32,
            beta_2: beta_2 as f32,
            epsilon: epsilon as f32,
            decay: (1.0 - self.learning_rate * weight_decay) as f32,
            step_size: (self.learning_rate / (1.0 - beta_1.powi(updates as i32))) as f32,
            second_correction: (1.0 - beta_2.powi(updates as i32)).sqrt().recip() as f32,
        };
        let (parameter, first, second) = ops::adamw_step(parameter, gradient, first, second, step);
        let moments = Moments {
            first,
            second,
            updates,
        };
        self.moments.insert(id, moments);
        parameter
    }

    /// Moves a whole parameter, flat: by itself, or each rank its part.
    fn whole(
        &mut self,
        id: ParamId,
        parameter: Tensor<1>,
        gradient: Tensor<1>,
    ) -> Result<Tensor<1>> {
        let [elements] = parameter.dims();
        let part = self.ranks.own_part(parameter);
        let part = self.part(id, part, gradient);
        self.ranks.put_together(part, elements)
    }
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.fault.is_some() {
            return param;
        }
        let Some(gradient) = self.gradients.remove(param.id) else {
            return param;
        };
        let (id, tensor, mapper) = param.consume();
        let shape = tensor.shape();
        // Off the autodiff graph and with no other owner, the parameter is updated where it lies.
        let parameter = flat(tensor.inner());
        let device = parameter.device();
        let moved = match self.whole(id, parameter, gradient) {
            Ok(moved) => moved,
            Err(error) => {
                // The run ends with it, and the model is dropped.
                self.fault = Some(error);
                Tensor::zeros([shape.num_elements()], &device)
            }
        };
        let tensor = Tensor::from_inner(moved.reshape(shape)).require_grad();
        Param::from_mapped_value(id, tensor, mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    /// Elements of all moments of a rank after one update of 5 x 7 weights and 7 biases.
    fn moment_elements(ranks: &Ranks) -> usize {
        let device = Device::flex();
        let model: Linear = LinearConfig::new(5, 7).init(&device.clone().autodiff());
        let mut optimizer = StepOptimizer::new(&TrainingConfig::default());
        let input = Tensor::<2>::ones([3, 5], &device.autodiff());
        let tape = Tape::Whole { auxiliary: None };
        optimizer.add(&model, model.forward(input).sum(), tape, 1.0);
        let (gradients, norm) = optimizer.gradients(&model, ranks).expect("gradients");
        optimizer
            .step(model, gradients, norm, 1e-3, ranks)
            .expect("an update");
        let elements = |it: &Moments| it.first.dims()[0] + it.second.dims()[0];
        optimizer.moments.values().map(elements).sum()
    }

    #[test]
    fn each_rank_keeps_its_part_of_the_moments() {
        assert_eq!(moment_elements(&Ranks::default()), 2 * (35 + 7));
        std::thread::scope(|scope| {
            for ranks in Ranks::threads(4) {
                scope.spawn(move || assert_eq!(moment_elements(&ranks), 2 * (9 + 2)));
            }
        });
    }
}
