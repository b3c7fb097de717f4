//! The gradients of a step, summed over its forests.

use std::collections::HashMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Gradients, Tensor};

use super::carry::carry;

/// Sums by parameter; in f32 where a model computes in half precision, since a sum of many small numbers is lost there.
///
/// A sum is carried into the graph of the next forest, where the backward pass adds to it: there is no second gradient of the
/// whole model. In half precision that needs operations that compute gradients of parameters in f32, as those of
/// [`eurus_models::ops`] do. The type of a parameter's gradient says whether all that used it are such; the gradients of others
/// are added up here.
#[derive(Default)]
pub(super) struct GradientSums {
    sums: GradientsParams,
    /// Of parameters in half precision, whether every gradient so far was f32.
    are_wide: HashMap<ParamId, bool>,
}

fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::BF16 | DType::F16)
}

impl GradientSums {
    /// The gradients of a loss `[1]`, with the sums that could be carried.
    pub fn backward<M: Module>(&mut self, model: &M, loss: Tensor<1>) -> Gradients {
        let mut carrier = Carrier { of: self, loss };
        model.visit(&mut carrier);
        carrier.loss.backward()
    }

    /// Adds gradients to the sums; those that were carried are there as they are.
    pub fn add<M: Module>(&mut self, model: &M, gradients: Gradients) {
        model.visit(&mut Adder {
            of: self,
            gradients: GradientsParams::from_grads(gradients, model),
        });
    }

    /// The sums so far, of parameters that have one; the next ones begin anew.
    pub fn take(&mut self) -> GradientsParams {
        std::mem::take(&mut self.sums)
    }
}

struct Carrier<'a> {
    of: &'a mut GradientSums,
    loss: Tensor<1>,
}

impl ModuleVisitor for Carrier<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(sum) = self.of.sums.remove::<D>(param.id) else {
            return;
        };
        let parameter = param.val();
        let is_wide = self.of.are_wide.get(&param.id) == Some(&true);
        if parameter.is_require_grad() && (sum.dtype() == parameter.dtype() || is_wide) {
            self.loss = carry(self.loss.clone(), parameter, sum);
        } else {
            self.of.sums.register::<D>(param.id, sum);
        }
    }
}

struct Adder<'a> {
    of: &'a mut GradientSums,
    gradients: GradientsParams,
}

impl ModuleVisitor for Adder<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else {
            return;
        };
        let is_narrow = is_half(gradient.dtype());
        if is_half(param.val().dtype()) {
            *self.of.are_wide.entry(param.id).or_insert(true) &= !is_narrow;
        }
        let gradient = match is_narrow {
            true => gradient.cast(DType::F32),
            false => gradient,
        };
        let sum = match self.of.sums.remove::<D>(param.id) {
            Some(sum) => sum + gradient,
            None => gradient,
        };
        self.of.sums.register::<D>(param.id, sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution, Int};
    use eurus_models::ops::{embed, project};
    use eurus_models::{Decoder, DecoderConfig, ForestBatch, ForestModel};
    use pref_losses::linear_log_probs::{WeightGradient, tied_linear_log_probs};
    use token_forest::{PackedForest, TokenTree};

    use crate::Precision;
    use crate::log_probs::target_log_probs;

    const FORESTS: usize = 60;
    const OUTPUTS: usize = 8;
    const INPUTS: usize = 16;

    fn noise<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        let numbers = Tensor::<D>::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex());
        numbers.cast(DType::BF16)
    }

    /// The largest number.
    fn size(tensor: Tensor<2>) -> f32 {
        tensor.abs().max().into_scalar()
    }

    /// The sums of a weight's gradients in many forests, as they are, and what they are apart from the sums in f32; then how
    /// far those are from them in which each forest's gradient is rounded.
    fn sums_of(linear: fn(Tensor<2>, Tensor<2>) -> Tensor<2>) -> (Tensor<2>, f32, f32) {
        let weight = Tensor::from_inner(noise([OUTPUTS, INPUTS])).require_grad();
        let model = Param::from_tensor(weight);
        let mut sums = GradientSums::default();
        let mut exact = Tensor::zeros([OUTPUTS, INPUTS], &Device::flex());
        let mut rounded = exact.clone();
        for _ in 0..FORESTS {
            let (x, grad) = (noise([7, INPUTS]), noise([7, OUTPUTS]));
            let output = linear(Tensor::from_inner(x.clone()), model.val());
            let loss = (output * Tensor::from_inner(grad.clone())).sum();
            let gradients = sums.backward(&model, loss);
            sums.add(&model, gradients);
            let of_forest = grad.cast(DType::F32).transpose().matmul(x.cast(DType::F32));
            exact = exact + of_forest.clone();
            rounded = rounded + of_forest.cast(DType::BF16).cast(DType::F32);
        }
        let sum = sums.take().remove::<2>(model.id).expect("a gradient");
        let apart = |other: Tensor<2>| size(other - exact.clone()) / size(exact.clone());
        (sum.clone(), apart(sum), apart(rounded))
    }

    #[test]
    fn sums_of_a_model_in_half_precision_are_not_rounded_in_any_forest() {
        let (sum, apart, rounded) = sums_of(project);
        assert_eq!(sum.dtype(), DType::F32);
        assert!(apart < 1e-6, "{apart}");
        assert!(
            rounded > 100.0 * apart,
            "{rounded} when each forest's gradient is rounded, {apart} here"
        );
    }

    /// The gradient of a weight in one forest.
    fn gradient_of(weight: &Tensor<2>, loss: Tensor<1>) -> Tensor<2> {
        weight.grad(&loss.backward()).expect("a gradient")
    }

    #[test]
    fn the_gradient_of_an_output_projection_is_not_rounded_in_any_forest_also_where_it_is_the_embedding()
     {
        for is_tied in [false, true] {
            let weight = Tensor::from_inner(noise([OUTPUTS, INPUTS])).require_grad();
            let model = Param::from_tensor(weight);
            let mut sums = GradientSums::default();
            let mut exact = Tensor::zeros([OUTPUTS, INPUTS], &Device::flex());
            let mut rounded = exact.clone();
            for forest in 0..FORESTS as i32 {
                let tokens = [1, 4, 2, 7, 0, 3, 5].map(|it| (it * forest + it) % OUTPUTS as i32);
                let tokens = Tensor::<1, Int>::from_ints(tokens, &Device::flex().autodiff());
                let x = noise([7, INPUTS]);
                // In blocks of the vocabulary.
                let loss = || {
                    let hidden = match is_tied {
                        true => embed(model.val(), tokens.clone()),
                        false => Tensor::from_inner(x.clone()),
                    };
                    let gradient = WeightGradient::F32;
                    tied_linear_log_probs(hidden, model.val(), tokens.clone(), 3, gradient).sum()
                };
                let gradients = sums.backward(&model, loss());
                sums.add(&model, gradients);
                let of_forest = gradient_of(&model.val(), loss());
                assert_eq!(of_forest.dtype(), DType::F32);
                exact = exact + of_forest.clone();
                rounded = rounded + of_forest.cast(DType::BF16).cast(DType::F32);
            }
            let sum = sums.take().remove::<2>(model.id).expect("a gradient");
            let apart = |other: Tensor<2>| size(other - exact.clone()) / size(exact.clone());
            let (apart, rounded) = (apart(sum), apart(rounded));
            assert!(
                apart < 1e-6 && rounded > 100.0 * apart,
                "{apart}, {rounded}"
            );
        }
    }

    #[test]
    fn the_output_projections_of_decoders_in_half_precision_have_gradients_in_f32() {
        let mut tree = TokenTree::new(vec![1, 2, 3], false);
        tree.push(0, vec![4, 5], true);
        let device = Device::flex();
        let forest = PackedForest::from_trees([&tree]).expect("a forest");
        let batch = ForestBatch::new(forest, &device.clone().autodiff());
        for tie_word_embeddings in [false, true] {
            let config = DecoderConfig {
                tie_word_embeddings,
                ..DecoderConfig::llama(16, 8, 1, 2)
            };
            let model = Decoder::init(&config, 3, &device);
            let model = Precision::Bf16.of(model.train());
            let loss = target_log_probs(&model, &batch, 1).sum();
            let gradient = gradient_of(&model.output_weight(), loss);
            assert_eq!(gradient.dtype(), DType::F32);
        }
    }

    #[test]
    fn gradients_that_other_operations_round_are_summed_in_f32_too() {
        let (sum, apart, rounded) = sums_of(|x, weight| x.matmul(weight.transpose()));
        assert_eq!(sum.dtype(), DType::F32);
        assert!(apart < 3.0 * rounded, "{apart}, {rounded}");
    }
}
