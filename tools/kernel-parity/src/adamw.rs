//! AdamW: the kernel, and the formula in stock operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Scalar, Tensor};
use cpu_kernels::adamw::AdamWStep;

use crate::case::{Case, noise};

const STEP: AdamWStep = AdamWStep {
    gradient_factor: 0.5,
    beta_1: 0.9,
    beta_2: 0.99,
    epsilon: 1e-8,
    decay: 0.999,
    step_size: 1e-2,
    second_correction: 1.7,
    is_first: false,
};

/// Parameter and moments after an update, for a gradient; all `[n]`.
#[backend_extension(Flex, Cube: cfg(any(feature = "cuda", feature = "kernels")))]
trait Update: Backend {
    fn update(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let scale = |tensor, factor: f32| Self::float_mul_scalar(tensor, Scalar::from(factor));
        let gradient = scale(gradient, STEP.gradient_factor);
        let first = Self::float_add(
            scale(first, STEP.beta_1),
            scale(gradient.clone(), 1.0 - STEP.beta_1),
        );
        let squared = Self::float_mul(gradient.clone(), gradient);
        let second = Self::float_add(
            scale(second, STEP.beta_2),
            scale(squared, 1.0 - STEP.beta_2),
        );
        let root = scale(Self::float_sqrt(second.clone()), STEP.second_correction);
        let denominator = Self::float_add_scalar(root, Scalar::from(STEP.epsilon));
        let change = scale(Self::float_div(first.clone(), denominator), STEP.step_size);
        let parameter = Self::float_sub(scale(parameter, STEP.decay), change);
        (parameter, first, second)
    }
}

impl Update for Flex {}

#[cfg(any(feature = "cuda", feature = "kernels"))]
impl Update for burn_cubecl::CubeBackend {
    fn update(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        gpu_kernels::adamw::step(parameter, gradient, first, second, STEP)
    }
}

/// One update of so many numbers.
pub fn case(parameters: usize) -> Case {
    let mut inputs: Vec<Tensor<2>> = (1..5).map(|seed| noise([1, parameters], seed)).collect();
    // A mean of squares.
    inputs[3] = inputs[3].clone().powi_scalar(2);
    Case {
        kernel: "AdamW".into(),
        inputs,
        is_differentiable: false,
        function: Box::new(|inputs| {
            let flat = |input: &Tensor<2>| input.clone().flatten::<1>(0, 1).into_dispatch();
            let [p, g, m, v] = [&inputs[0], &inputs[1], &inputs[2], &inputs[3]].map(flat);
            let (p, m, v) = Dispatch::update(p, g, m, v);
            let back = |it| Tensor::<1>::from_dispatch(it).unsqueeze();
            vec![back(p), back(m), back(v)]
        }),
    }
}
