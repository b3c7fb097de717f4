//! The gradients of a step, summed over its forests.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Gradients, Tensor};

use super::carry::carry;

/// Sums by parameter; in f32 where a model computes in half precision, since a sum of many small numbers is lost there.
#[derive(Default)]
pub(super) struct GradientSums(GradientsParams);

impl GradientSums {
    /// The gradients of a loss `[1]`. Sums of the parameters' own type are carried into its graph: they come out with what
    /// the loss adds to them, and there is no second gradient of the whole model.
    pub fn backward<M: Module>(&mut self, model: &M, loss: Tensor<1>) -> Gradients {
        let mut carrier = Carrier {
            sums: &mut self.0,
            loss,
        };
        model.visit(&mut carrier);
        carrier.loss.backward()
    }

    /// Adds gradients to the sums; those that were carried are there as they are.
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

struct Carrier<'a> {
    sums: &'a mut GradientsParams,
    loss: Tensor<1>,
}

impl ModuleVisitor for Carrier<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(sum) = self.sums.remove::<D>(param.id) else {
            return;
        };
        let parameter = param.val();
        // An f32 sum cannot be a gradient in the graph of a half-precision parameter; `add` adds to it afterwards.
        if sum.dtype() == parameter.dtype() && parameter.is_require_grad() {
            self.loss = carry(self.loss.clone(), parameter, sum);
        } else {
            self.sums.register::<D>(param.id, sum);
        }
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
