//! The update of one parameter: one pass over memory on the CPU, stock operations elsewhere.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, FloatDType, Scalar, Shape, Slice, Tensor};
use burn_flex::FlexTensor;
use cpu_kernels::adamw::{self, AdamWStep};
use rayon::prelude::*;

use super::adafactor::{self, AdafactorStep};

/// Elements a task takes at a time. Fixed, so that a sum does not depend on the number of threads.
pub(super) const CHUNK: usize = 16 * 1024;

/// Parts that a sum of squares may come in: as many as keep a large GPU busy.
const SQUARE_SUMS: usize = 1024;

/// Optimizer operations on flat tensors, outside of autodiff.
#[backend_extension(
    Flex,
    Cube: cfg(any(feature = "cuda", feature = "wgpu")),
    LibTorch: cfg(feature = "tch")
)]
pub trait OptimizerOps: Backend {
    /// One update; all tensors `[n]`.
    fn adamw_step(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        stock_adamw_step::<Self>(parameter, gradient, first, second, step)
    }

    /// One update of matrices `[b, r, c]`: `parameter` and `gradient [b * r * c]`, means of squares over columns `[b * r]` and
    /// over rows `[b * c]`.
    fn adafactor_step(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        rows: FloatTensor<Self>,
        columns: FloatTensor<Self>,
        step: AdafactorStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        adafactor::stock::<Self>(parameter, gradient, rows, columns, step)
    }

    /// `sums [tensors, parts]` with the sums of the squares of parts of `x [n]` in one row, which was zeros.
    fn put_sums_of_squares(
        sums: FloatTensor<Self>,
        x: FloatTensor<Self>,
        row: usize,
    ) -> FloatTensor<Self> {
        stock_put_sums_of_squares::<Self>(sums, x, row)
    }
}

/// In one part.
fn stock_put_sums_of_squares<B: Backend>(
    sums: FloatTensor<B>,
    x: FloatTensor<B>,
    row: usize,
) -> FloatTensor<B> {
    let sum = B::float_sum(B::float_mul(x.clone(), x));
    let sum = B::float_reshape(B::float_cast(sum, FloatDType::F32), Shape::from([1, 1]));
    B::float_slice_assign(sums, &[Slice::from(row..row + 1), Slice::from(0..1)], sum)
}

pub(super) fn scale<B: Backend>(tensor: FloatTensor<B>, factor: f32) -> FloatTensor<B> {
    B::float_mul_scalar(tensor, Scalar::from(factor))
}

fn stock_adamw_step<B: Backend>(
    parameter: FloatTensor<B>,
    gradient: FloatTensor<B>,
    first: FloatTensor<B>,
    second: FloatTensor<B>,
    step: AdamWStep,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let [first, second] = match step.is_first {
        true => {
            [first, second].map(|it| B::float_zeros(it.shape(), &it.device(), it.dtype().into()))
        }
        false => [first, second],
    };
    let gradient = scale::<B>(gradient, step.gradient_factor);
    let first = B::float_add(
        scale::<B>(first, step.beta_1),
        scale::<B>(gradient.clone(), 1.0 - step.beta_1),
    );
    let squared = B::float_mul(gradient.clone(), gradient);
    let second = B::float_add(
        scale::<B>(second, step.beta_2),
        scale::<B>(squared, 1.0 - step.beta_2),
    );
    let root = scale::<B>(B::float_sqrt(second.clone()), step.second_correction);
    let denominator = B::float_add_scalar(root, Scalar::from(step.epsilon));
    let update = scale::<B>(B::float_div(first.clone(), denominator), step.step_size);
    let parameter = B::float_sub(scale::<B>(parameter, step.decay), update);
    (parameter, first, second)
}

/// Lays the values one after another from the start of their storage; copies only if they are not
/// so already.
pub(super) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() && tensor.layout().start_offset() == 0 {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

/// Whether the one pass of a CPU can be taken.
pub(super) fn all_f32(tensors: &[&FlexTensor]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}

impl OptimizerOps for Flex {
    fn adamw_step(
        parameter: FlexTensor,
        gradient: FlexTensor,
        first: FlexTensor,
        second: FlexTensor,
        step: AdamWStep,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        if !all_f32(&[&parameter, &gradient, &first, &second]) {
            return stock_adamw_step::<Self>(parameter, gradient, first, second, step);
        }
        let [mut parameter, gradient, mut first, mut second] =
            [parameter, gradient, first, second].map(contiguous);
        let gradients: &[f32] = gradient.as_slice().unwrap_or_default();
        let n = gradients.len();
        parameter.storage_mut::<f32>()[..n]
            .par_chunks_mut(CHUNK)
            .zip(first.storage_mut::<f32>()[..n].par_chunks_mut(CHUNK))
            .zip(second.storage_mut::<f32>()[..n].par_chunks_mut(CHUNK))
            .zip(gradients.par_chunks(CHUNK))
            .for_each(|(((parameter, first), second), gradients)| {
                adamw::update(parameter, first, second, gradients, step);
            });
        (parameter, first, second)
    }

    fn adafactor_step(
        parameter: FlexTensor,
        gradient: FlexTensor,
        rows: FlexTensor,
        columns: FlexTensor,
        step: AdafactorStep,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        if !all_f32(&[&parameter, &gradient, &rows, &columns]) {
            return adafactor::stock::<Self>(parameter, gradient, rows, columns, step);
        }
        adafactor::flex(parameter, gradient, rows, columns, step)
    }

    fn put_sums_of_squares(sums: FlexTensor, x: FlexTensor, row: usize) -> FlexTensor {
        if x.dtype() != DType::F32 {
            return stock_put_sums_of_squares::<Self>(sums, x, row);
        }
        let mut sums = contiguous(sums);
        sums.storage_mut::<f32>()[row * SQUARE_SUMS] = sum_of_squares(x);
        sums
    }
}

fn sum_of_squares(x: FlexTensor) -> f32 {
    let x = contiguous(x);
    let values: &[f32] = x.as_slice().unwrap_or_default();
    // Collected in order, so that the sum does not depend on which thread was faster.
    let parts: Vec<f64> = values
        .par_chunks(CHUNK)
        .map(adamw::sum_of_squares)
        .collect();
    parts.into_iter().sum::<f64>() as f32
}

#[cfg(any(feature = "cuda", feature = "wgpu"))]
impl OptimizerOps for burn_cubecl::CubeBackend {
    fn adamw_step(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let tensors = [&parameter, &gradient, &first, &second];
        if tensors.iter().any(|tensor| tensor.dtype() != DType::F32) {
            return stock_adamw_step::<Self>(parameter, gradient, first, second, step);
        }
        gpu_kernels::adamw::step(parameter, gradient, first, second, step)
    }

    fn put_sums_of_squares(
        sums: FloatTensor<Self>,
        x: FloatTensor<Self>,
        row: usize,
    ) -> FloatTensor<Self> {
        match x.dtype() {
            DType::F32 => gpu_kernels::squares::put_sums(sums, x, row),
            _ => stock_put_sums_of_squares::<Self>(sums, x, row),
        }
    }
}

#[cfg(feature = "tch")]
impl OptimizerOps for burn::backend::LibTorch {}

/// See [`OptimizerOps::adamw_step`].
pub fn adamw_step(
    parameter: Tensor<1>,
    gradient: Tensor<1>,
    first: Tensor<1>,
    second: Tensor<1>,
    step: AdamWStep,
) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
    let (parameter, first, second) = Dispatch::adamw_step(
        parameter.into_dispatch(),
        gradient.into_dispatch(),
        first.into_dispatch(),
        second.into_dispatch(),
        step,
    );
    (
        Tensor::from_dispatch(parameter),
        Tensor::from_dispatch(first),
        Tensor::from_dispatch(second),
    )
}

/// See [`OptimizerOps::adafactor_step`].
pub fn adafactor_step(
    parameter: Tensor<1>,
    gradient: Tensor<1>,
    rows: Tensor<1>,
    columns: Tensor<1>,
    step: AdafactorStep,
) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
    let (parameter, rows, columns) = Dispatch::adafactor_step(
        parameter.into_dispatch(),
        gradient.into_dispatch(),
        rows.into_dispatch(),
        columns.into_dispatch(),
        step,
    );
    (
        Tensor::from_dispatch(parameter),
        Tensor::from_dispatch(rows),
        Tensor::from_dispatch(columns),
    )
}

/// The sum of the squares of each of some flat tensors of one device. It is waited for once.
pub fn sums_of_squares(tensors: Vec<Tensor<1>>) -> Vec<f64> {
    let Some(first) = tensors.first() else {
        return Vec::new();
    };
    let sums = Tensor::<2>::zeros([tensors.len(), SQUARE_SUMS], (&first.device(), DType::F32));
    let mut sums = sums.into_dispatch();
    for (row, tensor) in tensors.into_iter().enumerate() {
        sums = Dispatch::put_sums_of_squares(sums, tensor.into_dispatch(), row);
    }
    let sums = Tensor::<2>::from_dispatch(sums).into_data();
    let sums: Vec<f64> = sums.iter().collect();
    let of_tensor = sums.chunks(SQUARE_SUMS);
    of_tensor.map(|parts| parts.iter().sum()).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    pub const STEP: AdamWStep = AdamWStep {
        gradient_factor: 0.5,
        beta_1: 0.9,
        beta_2: 0.99,
        epsilon: 1e-8,
        decay: 0.999,
        step_size: 1e-2,
        second_correction: 1.7,
        is_first: false,
    };

    fn read(tensor: Tensor<1>) -> Vec<f64> {
        tensor.into_data().iter::<f64>().collect()
    }

    /// Asserts that three tensors are those of double precision.
    fn assert_close(fused: [Tensor<1>; 3], double: [Tensor<1>; 3], what: &str) {
        for (fused, double) in fused.into_iter().zip(double) {
            for (a, b) in read(fused).into_iter().zip(read(double)) {
                assert!(
                    (a - b).abs() < 2e-6 * (1.0 + b.abs()),
                    "{what}: {a} fused, {b} stock"
                );
            }
        }
    }

    #[test]
    fn the_fused_update_equals_the_stock_operations_in_double_precision() {
        let device = Device::flex();
        // More than a chunk, and not a whole number of them.
        let n = 2 * CHUNK + 17;
        let noise = || Tensor::<1>::random([n], Distribution::Normal(0.0, 1.0), &device);
        let (parameter, gradient, first) = (noise(), noise(), noise());
        let second = noise().powi_scalar(2);
        let inputs = [&parameter, &gradient, &first, &second];
        let [p, g, m, v] = inputs.map(|tensor| tensor.clone().cast(DType::F64));
        for is_first in [false, true] {
            let step = AdamWStep { is_first, ..STEP };
            let double = [&p, &g, &m, &v].map(Tensor::clone);
            let [p, g, m, v] = double;
            let double = adamw_step(p, g, m, v, step);
            let [p, g, m, v] = inputs.map(Tensor::clone);
            let fused = adamw_step(p, g, m, v, step);
            assert_close(fused.into(), double.into(), "adamw");
        }
    }

    #[test]
    fn adafactor_on_the_cpu_equals_the_stock_operations_in_double_precision() {
        let device = Device::flex();
        // Matrices of more rows than a task takes, one after another; a vector; a single row.
        for shape in [[2, 300, 130], [1, 1, 40_000], [3, 1, 7], [1, 9, 1]] {
            let [b, r, c] = shape;
            let noise = |n| Tensor::<1>::random([n], Distribution::Normal(0.0, 1.0), &device);
            let (parameter, gradient) = (noise(b * r * c), noise(b * r * c));
            let (rows, columns) = (noise(b * r).powi_scalar(2), noise(b * c).powi_scalar(2));
            for beta_2 in [0.0, 0.7] {
                let step = AdafactorStep {
                    shape,
                    gradient_factor: 0.5,
                    beta_2,
                    decay: 0.999,
                    learning_rate: 1e-2,
                };
                let inputs = [&parameter, &gradient, &rows, &columns];
                let [p, g, r, c] = inputs.map(|tensor| tensor.clone().cast(DType::F64));
                let double = adafactor_step(p, g, r, c, step);
                let [p, g, r, c] = inputs.map(Tensor::clone);
                let fused = adafactor_step(p, g, r, c, step);
                assert_close(fused.into(), double.into(), &format!("{shape:?}"));
            }
        }
    }

    #[test]
    fn an_update_leaves_other_owners_of_the_tensors_alone() {
        let device = Device::flex();
        let ones = Tensor::<1>::ones([5], &device);
        let kept = ones.clone();
        let moments = [Tensor::zeros([5], &device), Tensor::zeros([5], &device)];
        let [first, second] = moments;
        let (updated, ..) = adamw_step(ones.clone(), ones, first, second, STEP);
        assert!(read(updated)[0] < 1.0);
        assert_eq!(read(kept), [1.0; 5]);
    }

    #[test]
    fn squares_are_summed_over_all_elements() {
        let full = |length| Tensor::<1>::full([length], 2.0, &Device::flex());
        let sums = sums_of_squares(vec![full(CHUNK + 3), full(1)]);
        assert_eq!(sums, [4.0 * (CHUNK + 3) as f64, 4.0]);
        assert_eq!(sums_of_squares(Vec::new()), [0.0; 0]);
    }
}
