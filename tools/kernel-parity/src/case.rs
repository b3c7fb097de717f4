//! One operation, on a device and on the CPU.

use anyhow::Result;
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What is computed: inputs to results, on the device of the inputs.
type Function = Box<dyn Fn(&[Tensor<2>]) -> Vec<Tensor<2>>>;

/// An operation with its inputs.
pub struct Case {
    /// What the table calls it.
    pub kernel: String,
    /// On the CPU, in f64.
    pub inputs: Vec<Tensor<2>>,
    /// The operation.
    pub function: Function,
    /// Whether it has a backward pass.
    pub is_differentiable: bool,
}

/// The largest differences, relative to the largest number of the result, but at least to one.
pub struct Distance {
    /// Of the results.
    pub values: f64,
    /// Of the gradients of the inputs, for a gradient of the results that is the same everywhere.
    pub gradients: Option<f64>,
}

/// Numbers from -2 to 2, on the CPU, in f64.
pub fn noise<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let numbers = (0..shape.iter().product()).map(|_| rng.random_range(-2.0..2.0));
    let numbers: Vec<f64> = numbers.collect();
    let options = (&Device::flex(), DType::F64);
    Tensor::from_data(TensorData::new(numbers, shape), options)
}

/// What is kept in float32 also where the rest is in half precision.
pub fn wide<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    match tensor.dtype() {
        DType::BF16 => tensor.cast(DType::F32),
        _ => tensor,
    }
}

/// The same numbers on a device, in a type. What went wrong before shows when they are read.
fn on<const D: usize>(tensor: Tensor<D>, device: &Device, dtype: DType) -> Result<Tensor<D>> {
    let data = tensor.try_into_data()?.convert_dtype(dtype);
    Ok(Tensor::from_data(data, (device, dtype)))
}

impl Case {
    /// How far a device is from the CPU with the same inputs.
    ///
    /// # Errors
    ///
    /// When the device refuses a kernel.
    pub fn distance(&self, device: &Device, dtype: DType) -> Result<Distance> {
        // Rounded to what the device gets.
        let rounded = |input: &Tensor<2>| on(input.clone(), &Device::flex(), dtype);
        let inputs: Vec<_> = self.inputs.iter().map(rounded).collect::<Result<_>>()?;
        let (values, gradients) = self.compute(&inputs, device, dtype)?;
        let (expected, expected_gradients) = self.compute(&inputs, &Device::flex(), DType::F64)?;
        Ok(Distance {
            values: furthest(values, expected),
            gradients: (self.is_differentiable).then(|| furthest(gradients, expected_gradients)),
        })
    }

    fn compute(
        &self,
        inputs: &[Tensor<2>],
        device: &Device,
        dtype: DType,
    ) -> Result<(Vec<Tensor<2>>, Vec<Tensor<2>>)> {
        let to_cpu = |tensor: Tensor<2>| on(tensor, &Device::flex(), DType::F64);
        let device = match self.is_differentiable {
            true => device.clone().autodiff(),
            false => device.clone(),
        };
        let mut on_device = Vec::new();
        for input in inputs {
            let input = on(input.clone(), &device, dtype)?;
            on_device.push(match self.is_differentiable {
                true => input.require_grad(),
                false => input,
            });
        }
        let values = (self.function)(&on_device);
        if !self.is_differentiable {
            let values = values.into_iter().map(to_cpu).collect::<Result<_>>()?;
            return Ok((values, Vec::new()));
        }
        let mut gradients = Vec::new();
        for value in &values {
            let weights = on(noise(value.dims(), 99), &device, value.dtype())?;
            let grads = (value.clone() * weights).sum().backward();
            let of_inputs = on_device.iter().filter_map(|input| input.grad(&grads));
            gradients.extend(of_inputs.map(to_cpu).collect::<Result<Vec<_>>>()?);
        }
        let values = values.into_iter().map(|it| to_cpu(it.inner()));
        Ok((values.collect::<Result<_>>()?, gradients))
    }
}

fn furthest(ours: Vec<Tensor<2>>, expected: Vec<Tensor<2>>) -> f64 {
    if ours.len() != expected.len() || ours.is_empty() {
        return f64::INFINITY;
    }
    let distance = |(ours, expected): (Tensor<2>, Tensor<2>)| {
        let scale = expected.clone().abs().max().into_scalar::<f64>().max(1.0);
        let apart = (ours - expected).abs().into_data();
        apart.iter::<f64>().fold(0.0, further) / scale
    };
    ours.into_iter()
        .zip(expected)
        .map(distance)
        .fold(0.0, further)
}

/// The larger of two; a NaN is further than anything.
fn further(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}
