//! Weights in halves: a bfloat16 that computes, and the 16 bits that make it the exact number in single precision.
//!
//! See [`cpu_kernels::halves`]. Together they take the four bytes of the number; a copy that computes is never made.

use std::collections::HashMap;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, ExecutionError, Flex, TensorMetadata, backend_extension};
use burn::module::ParamId;
use burn::tensor::{DType, Int, Tensor, TensorData, read_sync};
use burn_flex::FlexTensor;
use cpu_kernels::adamw::{self, AdamWStep};
use cpu_kernels::halves;
use half::bf16;
use rayon::prelude::*;

use super::ops::{CHUNK, OptimizerOps, all_f32, contiguous};

/// The remainders of parameters whose bfloat16s are a model's, flat.
pub(crate) type Remainders = HashMap<ParamId, Tensor<1, Int>>;

/// A parameter in halves after its update, with its moments.
type Updated<B> = (FloatTensor<B>, IntTensor<B>, FloatTensor<B>, FloatTensor<B>);

/// Operations on flat tensors of halves, outside of autodiff.
#[backend_extension(
    Flex,
    Cube: cfg(any(feature = "cuda", feature = "wgpu")),
    LibTorch: cfg(feature = "tch")
)]
pub trait HalvesOps: OptimizerOps {
    /// The nearest bfloat16s and the remainders of numbers in single precision, each `[n]`.
    fn split(values: FloatTensor<Self>) -> (FloatTensor<Self>, IntTensor<Self>) {
        stock_split::<Self>(values)
    }

    /// The numbers that were split.
    fn join(nearest: FloatTensor<Self>, remainders: IntTensor<Self>) -> FloatTensor<Self> {
        stock_join::<Self>(nearest, remainders)
    }

    /// One update of AdamW, of parameters in halves: to the bit that of the numbers that they are.
    fn adamw_step_of_halves(
        nearest: FloatTensor<Self>,
        remainders: IntTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (
        FloatTensor<Self>,
        IntTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    ) {
        stock_adamw_step::<Self>(nearest, remainders, gradient, first, second, step)
    }
}

/// Through the host, as the oracle of the others and for back ends without them: no stock operation looks at the bits of a
/// number.
fn stock_split<B: Backend>(values: FloatTensor<B>) -> (FloatTensor<B>, IntTensor<B>) {
    let device = values.device();
    let data = read(B::float_into_data(values));
    let (nearest, remainders): (Vec<bf16>, Vec<i16>) = data.iter().map(halves::split).unzip();
    let shape = [nearest.len()];
    (
        B::float_from_data(TensorData::new(nearest, shape), &device),
        B::int_from_data(TensorData::new(remainders, shape), &device),
    )
}

fn stock_join<B: Backend>(nearest: FloatTensor<B>, remainders: IntTensor<B>) -> FloatTensor<B> {
    let device = nearest.device();
    let nearest = read(B::float_into_data(nearest));
    let remainders = read(B::int_into_data(remainders));
    let halves = nearest.iter().zip(remainders.iter());
    let values: Vec<f32> = halves.map(|(a, b)| halves::join(a, b)).collect();
    let shape = [values.len()];
    B::float_from_data(TensorData::new(values, shape), &device)
}

fn stock_adamw_step<B: OptimizerOps>(
    nearest: FloatTensor<B>,
    remainders: IntTensor<B>,
    gradient: FloatTensor<B>,
    first: FloatTensor<B>,
    second: FloatTensor<B>,
    step: AdamWStep,
) -> Updated<B> {
    let parameter = stock_join::<B>(nearest, remainders);
    let (parameter, first, second) = B::adamw_step(parameter, gradient, first, second, step);
    let (nearest, remainders) = stock_split::<B>(parameter);
    (nearest, remainders, first, second)
}

/// What a device sends.
fn read(data: impl Future<Output = Result<TensorData, ExecutionError>>) -> TensorData {
    read_sync(data).expect("a device gives its tensors back, as for `Tensor::into_data`")
}

impl HalvesOps for Flex {
    fn split(values: FlexTensor) -> (FlexTensor, FlexTensor) {
        if values.dtype() != DType::F32 {
            return stock_split::<Self>(values);
        }
        let values = contiguous(values);
        let numbers: &[f32] = values.as_slice().unwrap_or_default();
        let shape = [numbers.len()];
        let mut nearest = vec![bf16::ZERO; numbers.len()];
        let mut remainders = vec![0_i16; numbers.len()];
        nearest
            .par_chunks_mut(CHUNK)
            .zip(remainders.par_chunks_mut(CHUNK))
            .zip(numbers.par_chunks(CHUNK))
            .for_each(|((nearest, remainders), values)| {
                halves::split_all(values, nearest, remainders);
            });
        (
            FlexTensor::from_data(TensorData::new(nearest, shape)),
            FlexTensor::from_data(TensorData::new(remainders, shape)),
        )
    }

    fn join(nearest: FlexTensor, remainders: FlexTensor) -> FlexTensor {
        let (nearest, remainders) = (contiguous(nearest), contiguous(remainders));
        let (Some(nearest), Some(remainders)) = (nearest.as_slice(), remainders.as_slice()) else {
            return stock_join::<Self>(nearest, remainders);
        };
        let mut values = vec![0.0; nearest.len()];
        values
            .par_chunks_mut(CHUNK)
            .zip(nearest.par_chunks(CHUNK))
            .zip(remainders.par_chunks(CHUNK))
            .for_each(|((values, nearest), remainders)| {
                halves::join_all(nearest, remainders, values);
            });
        let shape = [values.len()];
        FlexTensor::from_data(TensorData::new(values, shape))
    }

    fn adamw_step_of_halves(
        nearest: FlexTensor,
        remainders: FlexTensor,
        gradient: FlexTensor,
        first: FlexTensor,
        second: FlexTensor,
        step: AdamWStep,
    ) -> Updated<Self> {
        if !all_f32(&[&gradient, &first, &second]) {
            return stock_adamw_step::<Self>(nearest, remainders, gradient, first, second, step);
        }
        let [mut nearest, mut remainders, gradient, mut first, mut second] =
            [nearest, remainders, gradient, first, second].map(contiguous);
        let gradients: &[f32] = gradient.as_slice().unwrap_or_default();
        let n = gradients.len();
        nearest.storage_mut::<bf16>()[..n]
            .par_chunks_mut(CHUNK)
            .zip(remainders.storage_mut::<i16>()[..n].par_chunks_mut(CHUNK))
            .zip(first.storage_mut::<f32>()[..n].par_chunks_mut(CHUNK))
            .zip(second.storage_mut::<f32>()[..n].par_chunks_mut(CHUNK))
            .zip(gradients.par_chunks(CHUNK))
            .for_each(|((((nearest, remainders), first), second), gradients)| {
                adamw::update_halves(nearest, remainders, first, second, gradients, step);
            });
        (nearest, remainders, first, second)
    }
}

#[cfg(any(feature = "cuda", feature = "wgpu"))]
impl HalvesOps for burn_cubecl::CubeBackend {
    fn split(values: FloatTensor<Self>) -> (FloatTensor<Self>, IntTensor<Self>) {
        match values.dtype() {
            DType::F32 => gpu_kernels::halves::split(values),
            _ => stock_split::<Self>(values),
        }
    }

    fn join(nearest: FloatTensor<Self>, remainders: IntTensor<Self>) -> FloatTensor<Self> {
        gpu_kernels::halves::join(nearest, remainders)
    }

    fn adamw_step_of_halves(
        nearest: FloatTensor<Self>,
        remainders: IntTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamWStep,
    ) -> Updated<Self> {
        let tensors = [&gradient, &first, &second];
        if tensors.iter().any(|tensor| tensor.dtype() != DType::F32) {
            return stock_adamw_step::<Self>(nearest, remainders, gradient, first, second, step);
        }
        gpu_kernels::adamw::step_of_halves(nearest, remainders, gradient, first, second, step)
    }
}

#[cfg(feature = "tch")]
impl HalvesOps for burn::backend::LibTorch {}

/// A flat parameter in halves.
pub(crate) struct Halves {
    /// What computes, in bfloat16.
    pub nearest: Tensor<1>,
    pub remainders: Tensor<1, Int>,
}

impl Halves {
    /// Of numbers, rounded to single precision if they are of another one.
    pub fn of(values: Tensor<1>) -> Self {
        let (nearest, remainders) = Dispatch::split(values.cast(DType::F32).into_dispatch());
        Self {
            nearest: Tensor::from_dispatch(nearest),
            remainders: Tensor::from_dispatch(remainders),
        }
    }

    /// Whether the numbers, which these are the halves of, are bfloat16s.
    pub fn are_exact_without_remainders(&self, values: Tensor<1>) -> bool {
        let nearest = self.nearest.clone().cast(values.dtype());
        nearest.equal(values).all().into_scalar::<bool>()
    }

    /// The numbers, in single precision.
    pub fn joined(self) -> Tensor<1> {
        let nearest = self.nearest.into_dispatch();
        Tensor::from_dispatch(Dispatch::join(nearest, self.remainders.into_dispatch()))
    }

    /// See [`HalvesOps::adamw_step_of_halves`].
    pub fn adamw_step(
        self,
        gradient: Tensor<1>,
        [first, second]: [Tensor<1>; 2],
        step: AdamWStep,
    ) -> (Self, [Tensor<1>; 2]) {
        let (nearest, remainders, first, second) = Dispatch::adamw_step_of_halves(
            self.nearest.into_dispatch(),
            self.remainders.into_dispatch(),
            gradient.into_dispatch(),
            first.into_dispatch(),
            second.into_dispatch(),
            step,
        );
        let halves = Self {
            nearest: Tensor::from_dispatch(nearest),
            remainders: Tensor::from_dispatch(remainders),
        };
        (halves, [first, second].map(Tensor::from_dispatch))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::optimizer::ops::adamw_step;
    use crate::optimizer::ops::tests::STEP;

    fn bits(tensor: Tensor<1>) -> Vec<u32> {
        tensor.into_data().iter::<f32>().map(f32::to_bits).collect()
    }

    /// More than a task takes, and not a whole number of times.
    fn noise() -> Tensor<1> {
        let n = 2 * CHUNK + 17;
        Tensor::random([n], Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    #[test]
    fn halves_joined_are_the_numbers_and_the_upper_ones_what_bfloat16_has_of_them() {
        let values = noise();
        let halves = Halves::of(values.clone());
        assert_eq!(halves.nearest.dtype(), DType::BF16);
        let cast = values.clone().cast(DType::BF16).cast(DType::F32);
        let apart = bits(halves.nearest.clone().cast(DType::F32))
            .into_iter()
            .zip(bits(cast));
        // Ties alone are rounded another way.
        let ties = bits(values.clone())
            .into_iter()
            .filter(|it| it & 0xffff == 0x8000);
        assert!(apart.filter(|(a, b)| a != b).count() <= ties.count());
        assert_eq!(bits(halves.joined()), bits(values));
    }

    #[test]
    fn the_update_of_halves_is_that_of_the_numbers_and_that_of_stock_operations_to_the_bit() {
        let (mut parameter, gradient) = (noise(), noise());
        let mut halves = Halves::of(parameter.clone());
        let mut first = noise();
        let mut second = noise().powi_scalar(2);
        let mut moments = [first.clone(), second.clone()];
        for is_first in [true, false, false] {
            let step = AdamWStep { is_first, ..STEP };
            (parameter, first, second) =
                adamw_step(parameter, gradient.clone(), first, second, step);
            (halves, moments) = halves.adamw_step(gradient.clone(), moments, step);
        }
        assert_eq!(bits(halves.joined()), bits(parameter));
        assert_eq!(moments.map(bits), [first, second].map(bits));
    }

    #[test]
    fn stock_operations_give_the_same_halves_to_the_bit() {
        let values = FlexTensor::from_data(noise().into_data());
        let (nearest, remainders) = Flex::split(values.clone());
        let (stock_nearest, stock_remainders) = stock_split::<Flex>(values);
        assert_eq!(nearest.as_slice::<bf16>(), stock_nearest.as_slice());
        assert_eq!(remainders.as_slice::<i16>(), stock_remainders.as_slice());
        let joined = Flex::join(nearest.clone(), remainders.clone());
        let stock = stock_join::<Flex>(nearest, remainders);
        assert_eq!(joined.as_slice::<f32>(), stock.as_slice());
    }

    #[test]
    fn an_update_leaves_other_owners_of_the_halves_alone() {
        let ones = Tensor::<1>::ones([5], &Device::flex());
        let halves = Halves::of(ones.clone());
        let kept = (halves.nearest.clone(), halves.remainders.clone());
        let moments = [ones.zeros_like(), ones.zeros_like()];
        let (updated, _) = halves.adamw_step(ones.clone(), moments, STEP);
        assert_ne!(bits(updated.joined()), bits(ones.clone()));
        let (nearest, remainders) = kept;
        let kept = Halves {
            nearest,
            remainders,
        };
        assert_eq!(bits(kept.joined()), bits(ones));
    }
}
