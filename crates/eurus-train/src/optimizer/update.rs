//! The update of all parameters, one after another.

use std::collections::HashMap;

use burn::module::{ModuleMapper, Param, ParamId};
use burn::tensor::Tensor;
use cpu_kernels::adamw::AdamWStep;

use super::adafactor::{self, AdafactorStep};
use super::halves::{Halves, Remainders};
use super::{Moment, Moments, Settings, StepGradients, flat, moments_of, ops};
use crate::device_memory::lasting;
use crate::{Error, Optimizer, Ranks, Result, WeightDecayOn};

/// The moments of AdamW before a parameter's first update, which takes them to be zeros: [`AdamWStep::is_first`].
fn not_filled(like: &Tensor<1>) -> [Tensor<1>; 2] {
    let (device, dtype) = (like.device(), like.dtype());
    let empty = |shape| Tensor::empty(shape, (&device, dtype));
    [like.dims(); 2].map(|shape: [usize; 1]| lasting(&device, shape, empty))
}

/// Moves the parameters of a model that have gradients.
pub(super) struct Update<'a> {
    /// Of parameters in halves.
    pub remainders: &'a mut Remainders,
    pub gradients: StepGradients,
    pub moments: &'a mut HashMap<ParamId, Moments>,
    pub settings: Settings,
    pub gradient_factor: f64,
    pub learning_rate: f64,
    pub ranks: &'a Ranks,
    /// The first error of the ranks; what follows it stays as it is.
    pub fault: Option<Error>,
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
        let decay = self.decay(shape);
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

    /// [`moved`](Self::moved) of a parameter in halves.
    fn moved_halves(
        &mut self,
        id: ParamId,
        halves: Halves,
        gradient: Tensor<1>,
        shape: &[usize],
    ) -> Result<Halves> {
        if self.settings.optimizer == Optimizer::Adamw && self.ranks.size() == 1 {
            let decay = self.decay(shape);
            let Moments { tensors, updates } = self.take_moments(id, || not_filled(&gradient));
            let step = self.adamw_step(updates, decay);
            let (halves, tensors) = halves.adamw_step(gradient, tensors, step);
            self.moments.insert(id, Moments { tensors, updates });
            return Ok(halves);
        }
        // Ranks send each other whole numbers, and Adafactor looks at a parameter more than once.
        let moved = self.moved(id, halves.joined(), gradient, shape);
        moved.map(Halves::of)
    }

    /// What a parameter is multiplied with first.
    fn decay(&self, shape: &[usize]) -> f32 {
        let is_decayed = shape.len() > 1 || self.settings.weight_decay_on == WeightDecayOn::All;
        match is_decayed {
            true => (1.0 - self.learning_rate * self.settings.weight_decay) as f32,
            false => 1.0,
        }
    }

    /// What is kept of a parameter, with one update more.
    fn take_moments(&mut self, id: ParamId, begin: impl FnOnce() -> [Tensor<1>; 2]) -> Moments {
        let kept = self.moments.remove(&id);
        let moments = kept.unwrap_or_else(|| Moments {
            tensors: begin(),
            updates: 0,
        });
        Moments {
            updates: moments.updates + 1,
            ..moments
        }
    }

    /// The numbers of a parameter's update.
    fn adamw_step(&self, updates: u32, decay: f32) -> AdamWStep {
        let Settings {
            beta_1,
            beta_2,
            epsilon,
            ..
        } = self.settings;
        // The corrections are computed in f64: for a beta near 1, `1 - beta^t` loses digits in f32.
        AdamWStep {
            gradient_factor: self.gradient_factor as f32,
            beta_1: beta_1 as f32,
            beta_2: beta_2 as f32,
            epsilon: epsilon as f32,
            decay,
            step_size: (self.learning_rate / (1.0 - beta_1.powi(updates as i32))) as f32,
            second_correction: (1.0 - beta_2.powi(updates as i32)).sqrt().recip() as f32,
            is_first: updates == 1,
        }
    }

    fn adamw(
        &mut self,
        id: ParamId,
        parameter: Tensor<1>,
        gradient: Tensor<1>,
        decay: f32,
    ) -> Tensor<1> {
        let Moments {
            tensors: [first, second],
            updates,
        } = self.take_moments(id, || not_filled(&parameter));
        let step = self.adamw_step(updates, decay);
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
        let options = (&parameter.device(), parameter.dtype());
        let zeros = |moment: Moment| Tensor::zeros([moment.elements], options);
        let Moments {
            tensors: [rows, columns],
            updates,
        } = self.take_moments(id, || moments_of(Optimizer::Adafactor, shape).map(zeros));
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
        let (device, dtype) = (parameter.device(), parameter.dtype());
        let moved = match self.remainders.remove(&id) {
            None => self.moved(id, parameter, gradient, &shape.to_vec()),
            Some(remainders) => {
                let halves = Halves {
                    nearest: parameter,
                    remainders,
                };
                let moved = self.moved_halves(id, halves, gradient, &shape.to_vec());
                moved.map(|halves| {
                    self.remainders.insert(id, halves.remainders);
                    halves.nearest
                })
            }
        };
        let moved = match moved {
            Ok(moved) => moved,
            Err(error) => {
                // The run ends with it, and the model is dropped.
                self.fault = Some(error);
                Tensor::zeros([shape.num_elements()], (&device, dtype))
            }
        };
        let tensor = Tensor::from_inner(moved.reshape(shape)).require_grad();
        Param::from_mapped_value(id, tensor, mapper)
    }
}
