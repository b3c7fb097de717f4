//! The gradients of a step, summed over its forests.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Gradients, Tensor};

/// Sums by parameter; in f32 where a model computes in half precision, since a sum of many small numbers is lost there.
#[derive(Default)]
pub(super) struct GradientSums(GradientsParams);

impl GradientSums {
    /// Adds the gradients of a part of the step.
    pub fn add<M: Module>(&mut self, model: &M, gradients: Gradients) {
        model.visit(&mut Adder {
            sums: &mut self.0,
            gradients: GradientsParams::from_grads(gradients, model),
        });
    }

    /// The sums so far, of parameters that have one; the next ones begin anew.
    pub fn take(&mut self) -> GradientsParams {
        std::mem::take(&mut self.0)
    }
}

struct Adder<'a> {
    sums: &'a mut GradientsParams,
    gradients: GradientsParams,
}

impl ModuleVisitor for Adder<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else {
            return;
        };
        let gradient = match gradient.dtype() {
            DType::BF16 | DType::F16 => gradient.cast(DType::F32),
            _ => gradient,
        };
        let sum = match self.sums.remove::<D>(param.id) {
            Some(sum) => sum + gradient,
            None => gradient,
        };
        self.sums.register::<D>(param.id, sum);
    }
}
