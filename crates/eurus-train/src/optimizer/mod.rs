//! Optimizers, with the gradients of a step summed over its forests and clipped to a global norm.
//!
//! AdamW (arXiv 1711.05101, algorithm 2) per parameter, with gradient `g` and step `t` of that parameter:
//! `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`,
//! `p = (1 - lr * decay) p - lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)`. A parameter without a gradient in a
//! step stays as it is and its `t` does not count. Adafactor is in [`adafactor`].

pub(crate) mod adafactor;
mod carry;
mod gradients;
mod ops;
mod sums;

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::Tensor;

use crate::activations::Tape;
use crate::{Error, Optimizer, Ranks, Result, TrainingConfig, WeightDecayOn};
use adafactor::AdafactorStep;
use cpu_kernels::adamw::AdamWStep;
pub(crate) use gradients::StepGradients;
use sums::GradientSums;

/// What the optimizer keeps of one parameter.
pub(crate) struct Moments {
    /// As the optimizer's [layout](moments_of) says, flat.
    pub tensors: [Tensor<1>; 2],
    /// Updates so far.
    pub updates: u32,
}

/// One of the two tensors that an optimizer keeps of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub name: &'static str,
    pub elements: usize,
    /// Whether each rank has a part of it, rather than all of it.
    pub is_shared: bool,
}

/// The tensors that an optimizer keeps of a parameter of this shape.
pub(crate) fn moments_of(optimizer: Optimizer, shape: &[usize]) -> [Moment; 2] {
    let [matrices, rows, columns] = adafactor::matrices(shape);
    let moment = |name, elements, is_shared| Moment {
        name,
        elements,
        is_shared,
    };
    let all = matrices * rows * columns;
    match optimizer {
        Optimizer::Adamw => [moment("first", all, true), moment("second", all, true)],
        Optimizer::Adafactor => [
            moment("rows", matrices * rows, false),
            moment("columns", matrices * columns, false),
        ],
    }
}

pub(crate) struct StepOptimizer {
    sums: GradientSums,
    auxiliary_loss: Option<f64>,
    moments: HashMap<ParamId, Moments>,
    settings: Settings,
}

#[derive(Clone, Copy)]
struct Settings {
    optimizer: Optimizer,
    weight_decay_on: WeightDecayOn,
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
                optimizer: settings.optimizer,
                weight_decay_on: settings.weight_decay_on,
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
        // What reaches no parameter has no graph to go back through; the run says so of a whole step.
        let auxiliary = match tape {
            Tape::Blocks(recomputation) => {
                recomputation.backward(loss, share, &mut |loss, read| {
                    if loss.is_tracked() {
                        let mut gradients = sums.backward(model, loss);
                        read(&mut gradients);
                        sums.add(model, gradients);
                    }
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

    /// How parameters are moved.
    pub fn kind(&self) -> Optimizer {
        self.settings.optimizer
    }

    /// The moments of a parameter that has been updated: this rank's part where they are shared out.
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
    /// Moves a parameter, flat: by itself, or each rank its part. `shape` is the parameter's own.
    fn moved(
        &mut self,
        id: ParamId,
        parameter: Tensor<1>,
        gradient: Tensor<1>,
        shape: &[usize],
    ) -> Result<Tensor<1>> {
        let is_decayed = shape.len() > 1 || self.settings.weight_decay_on == WeightDecayOn::All;
        let decay = match is_decayed {
            true => (1.0 - self.learning_rate * self.settings.weight_decay) as f32,
            false => 1.0,
        };
        let [elements] = parameter.dims();
        let ranks = self.ranks;
        match self.settings.optimizer {
            Optimizer::Adamw => {
                let part = self.adamw(id, ranks.own_part(parameter), gradient, decay);
                ranks.put_together(part, elements)
            }
            Optimizer::Adafactor => {
                let gradient = ranks.put_together(gradient, elements)?;
                Ok(self.adafactor(id, parameter, gradient, decay, shape))
            }
        }
    }

    /// What is kept of a parameter, with one update more; at first zeros of these lengths.
    fn take_moments(&mut self, id: ParamId, like: &Tensor<1>, lengths: [usize; 2]) -> Moments {
        let options = (&like.device(), like.dtype());
        let zeros = || lengths.map(|length| Tensor::zeros([length], options));
        let kept = self.moments.remove(&id);
        let moments = kept.unwrap_or_else(|| Moments {
            tensors: zeros(),
            updates: 0,
        });
        Moments {
            updates: moments.updates + 1,
            ..moments
        }
    }

    fn adamw(
        &mut self,
        id: ParamId,
        parameter: Tensor<1>,
        gradient: Tensor<1>,
        decay: f32,
    ) -> Tensor<1> {
        let [length] = parameter.dims();
        let Moments {
            tensors: [first, second],
            updates,
        } = self.take_moments(id, &parameter, [length; 2]);
        let Settings {
            beta_1,
            beta_2,
            epsilon,
            ..
        } = self.settings;
        // The corrections are computed in f64: for a beta near 1, `1 - beta^t` loses digits in f32.
        let step = AdamWStep {
            gradient_factor: self.gradient_factor as f32,
            beta_1: beta_1 as f32,
            beta_2: beta_2 as f32,
            epsilon: epsilon as f32,
            decay,
            step_size: (self.learning_rate / (1.0 - beta_1.powi(updates as i32))) as f32,
            second_correction: (1.0 - beta_2.powi(updates as i32)).sqrt().recip() as f32,
        };
        let (parameter, first, second) = ops::adamw_step(parameter, gradient, first, second, step);
        let tensors = [first, second];
        self.moments.insert(id, Moments { tensors, updates });
        parameter
    }

    fn adafactor(
        &mut self,
        id: ParamId,
        parameter: Tensor<1>,
        gradient: Tensor<1>,
        decay: f32,
        shape: &[usize],
    ) -> Tensor<1> {
        let lengths = moments_of(Optimizer::Adafactor, shape).map(|it| it.elements);
        let Moments {
            tensors: [rows, columns],
            updates,
        } = self.take_moments(id, &parameter, lengths);
        let step = AdafactorStep {
            shape: adafactor::matrices(shape),
            gradient_factor: self.gradient_factor as f32,
            beta_2: adafactor::decay_of_squares(updates) as f32,
            decay,
            learning_rate: self.learning_rate as f32,
        };
        let (parameter, rows, columns) =
            ops::adafactor_step(parameter, gradient, rows, columns, step);
        let tensors = [rows, columns];
        self.moments.insert(id, Moments { tensors, updates });
        parameter
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
        let moved = match self.moved(id, parameter, gradient, &shape.to_vec()) {
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
    fn moment_elements(ranks: &Ranks, optimizer: Optimizer) -> usize {
        let device = Device::flex();
        let model: Linear = LinearConfig::new(5, 7).init(&device.clone().autodiff());
        let mut optimizer = StepOptimizer::new(&TrainingConfig {
            optimizer,
            ..TrainingConfig::default()
        });
        let input = Tensor::<2>::ones([3, 5], &device.autodiff());
        let tape = Tape::Whole { auxiliary: None };
        optimizer.add(&model, model.forward(input).sum(), tape, 1.0);
        let (gradients, norm) = optimizer.gradients(&model, ranks).expect("gradients");
        optimizer
            .step(model, gradients, norm, 1e-3, ranks)
            .expect("an update");
        let elements = |it: &Moments| it.tensors.iter().map(|it| it.dims()[0]).sum::<usize>();
        optimizer.moments.values().map(elements).sum()
    }

    #[test]
    fn each_rank_keeps_its_part_of_the_moments_of_adamw() {
        let of = |ranks: &Ranks| moment_elements(ranks, Optimizer::Adamw);
        assert_eq!(of(&Ranks::default()), 2 * (35 + 7));
        std::thread::scope(|scope| {
            for ranks in Ranks::threads(4) {
                scope.spawn(move || assert_eq!(of(&ranks), 2 * (9 + 2)));
            }
        });
    }

    #[test]
    fn adafactor_keeps_a_number_a_row_and_a_column_on_every_rank() {
        // A vector is a row: its columns, and one number.
        let kept = (5 + 7) + (7 + 1);
        let of = |ranks: &Ranks| moment_elements(ranks, Optimizer::Adafactor);
        assert_eq!(of(&Ranks::default()), kept);
        std::thread::scope(|scope| {
            for ranks in Ranks::threads(2) {
                scope.spawn(move || assert_eq!(of(&ranks), kept));
            }
        });
    }
}
