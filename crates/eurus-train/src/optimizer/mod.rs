//! Optimizers, with the gradients of a step summed over its forests and clipped to a global norm.
//!
//! AdamW (arXiv 1711.05101, algorithm 2) per parameter, with gradient `g` and step `t` of that parameter:
//! `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`,
//! `p = (1 - lr * decay) p - lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)`. A parameter without a gradient in a
//! step stays as it is and its `t` does not count. Adafactor is in [`adafactor`]. Parameters that are kept in [`halves`] are
//! moved as the numbers in single precision that they are.

pub(crate) mod adafactor;
mod carry;
#[cfg(all(test, feature = "wgpu"))]
mod cube_tests;
mod gradients;
pub(crate) mod halves;
mod ops;
mod sums;
mod update;

use std::collections::HashMap;

use burn::module::{Module, ParamId};
use burn::tensor::Tensor;

use crate::activations::Tape;
use crate::{Optimizer, Ranks, Result, TrainingConfig, WeightDecayOn};
pub(crate) use gradients::StepGradients;
use halves::Remainders;
use sums::GradientSums;
use update::Update;

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

    /// Scales the gradients to the allowed norm and moves the parameters. Those that have remainders are the upper halves of
    /// what is moved.
    ///
    /// # Errors
    ///
    /// Those of the ranks.
    pub fn step<M: Module>(
        &mut self,
        model: M,
        remainders: &mut Remainders,
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
            remainders,
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
            .step(model, &mut Remainders::new(), gradients, norm, 1e-3, ranks)
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
