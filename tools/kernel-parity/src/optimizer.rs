//! What an optimizer computes: the kernels, and the formulas in stock operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Scalar, Tensor};
use cpu_kernels::adamw::AdamWStep;

use crate::case::{Case, noise, wide};

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

/// A parameter and its moments, all `[n]`.
type Updated<B> = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>);

#[backend_extension(Flex, Cube: cfg(any(feature = "cuda", feature = "kernels")))]
trait Update: Backend {
    /// Parameter and moments after an update, for a gradient; all `[n]`.
    fn update(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        stock_update::<Self>(parameter, gradient, first, second)
    }

    /// [`update`](Self::update) of a parameter that is kept in halves, which are put together again.
    fn update_halves(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        stock_update::<Self>(parameter, gradient, first, second)
    }

    /// The halves of `values [n]` put together again.
    fn split_and_join(values: FloatTensor<Self>) -> FloatTensor<Self> {
        values
    }

    /// The sum of the squares of `values [n]`, `[1]`.
    fn sum_of_squares(values: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_sum(Self::float_mul(values.clone(), values))
    }
}

fn stock_update<B: Backend>(
    parameter: FloatTensor<B>,
    gradient: FloatTensor<B>,
    first: FloatTensor<B>,
    second: FloatTensor<B>,
) -> Updated<B> {
    let scale = |tensor, factor: f32| B::float_mul_scalar(tensor, Scalar::from(factor));
    let gradient = scale(gradient, STEP.gradient_factor);
    let first = B::float_add(
        scale(first, STEP.beta_1),
        scale(gradient.clone(), 1.0 - STEP.beta_1),
    );
    let squared = B::float_mul(gradient.clone(), gradient);
    let second = B::float_add(
        scale(second, STEP.beta_2),
        scale(squared, 1.0 - STEP.beta_2),
    );
    let root = scale(B::float_sqrt(second.clone()), STEP.second_correction);
    let denominator = B::float_add_scalar(root, Scalar::from(STEP.epsilon));
    let change = scale(B::float_div(first.clone(), denominator), STEP.step_size);
    let parameter = B::float_sub(scale(parameter, STEP.decay), change);
    (parameter, first, second)
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

    fn update_halves(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (nearest, remainders) = gpu_kernels::halves::split(parameter);
        let (nearest, remainders, first, second) =
            gpu_kernels::adamw::step_of_halves(nearest, remainders, gradient, first, second, STEP);
        let parameter = gpu_kernels::halves::join(nearest, remainders);
        (parameter, first, second)
    }

    fn split_and_join(values: FloatTensor<Self>) -> FloatTensor<Self> {
        let (nearest, remainders) = gpu_kernels::halves::split(values);
        gpu_kernels::halves::join(nearest, remainders)
    }

    fn sum_of_squares(values: FloatTensor<Self>) -> FloatTensor<Self> {
        use burn::backend::ops::FloatTensorOps as _;
        let (device, dtype) = (values.device.clone(), values.dtype.into());
        let sums = Self::float_zeros([2, PARTS].into(), &device, dtype);
        Self::float_sum(gpu_kernels::squares::put_sums(sums, values, 1))
    }
}

/// Sums that the squares of a tensor are added up to.
#[cfg(any(feature = "cuda", feature = "kernels"))]
const PARTS: usize = 4;

/// So many numbers. None of these kernels has a backward pass, and those that read bfloat16 read it as halves of float32.
fn case(
    kernel: &str,
    inputs: Vec<Tensor<2>>,
    function: impl Fn(Vec<FloatTensor<Dispatch>>) -> Vec<FloatTensor<Dispatch>> + 'static,
) -> Case {
    Case {
        kernel: kernel.into(),
        inputs,
        is_differentiable: false,
        function: Box::new(move |inputs| {
            let flat = |it: &Tensor<2>| wide(it.clone()).flatten::<1>(0, 1).into_dispatch();
            let results = function(inputs.iter().map(flat).collect());
            let back = |it| Tensor::<1>::from_dispatch(it).unsqueeze();
            results.into_iter().map(back).collect()
        }),
    }
}

/// Updates of so many numbers, and what comes before them.
pub fn cases(parameters: usize) -> Vec<Case> {
    let mut inputs: Vec<Tensor<2>> = (1..5).map(|seed| noise([1, parameters], seed)).collect();
    // A mean of squares.
    inputs[3] = inputs[3].clone().powi_scalar(2);
    let values = vec![inputs[0].clone()];
    let as_list = |(parameter, first, second): Updated<Dispatch>| vec![parameter, first, second];
    vec![
        case("AdamW", inputs.clone(), move |it| {
            let [p, g, m, v] = [0, 1, 2, 3].map(|index| it[index].clone());
            as_list(Dispatch::update(p, g, m, v))
        }),
        case("AdamW of halves", inputs, move |it| {
            let [p, g, m, v] = [0, 1, 2, 3].map(|index| it[index].clone());
            as_list(Dispatch::update_halves(p, g, m, v))
        }),
        case("halves", values.clone(), |it| {
            vec![Dispatch::split_and_join(it[0].clone())]
        }),
        case("sum of squares", values, |it| {
            vec![Dispatch::sum_of_squares(it[0].clone())]
        }),
    ]
}
