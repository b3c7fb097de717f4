//! One operation, on a device and on the CPU.

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

/// The same numbers on a device, in a type.
fn on<const D: usize>(tensor: Tensor<D>, device: &Device, dtype: DType) -> Tensor<D> {
    let data = tensor.into_data().convert_dtype(dtype);
    Tensor::from_data(data, (device, dtype))
}

impl Case {
    /// How far a device is from the CPU with the same inputs.
    pub fn distance(&self, device: &Device, dtype: DType) -> Distance {
        // Rounded to what the device gets.
        let inputs: Vec<Tensor<2>> = self
            .inputs
            .iter()
            .map(|input| on(input.clone(), &Device::flex(), dtype))
            .collect();
        let (values, gradients) = self.compute(&inputs, device, dtype);
        let (expected, expected_gradients) = self.compute(&inputs, &Device::flex(), DType::F64);
        Distance {
            values: furthest(values, expected),
            gradients: (self.is_differentiable).then(|| furthest(gradients, expected_gradients)),
        }
    }

    fn compute(
        &self,
        inputs: &[Tensor<2>],
        device: &Device,
        dtype: DType,
    ) -> (Vec<Tensor<2>>, Vec<Tensor<2>>) {
        let to_cpu = |tensor: Tensor<2>| on(tensor, &Device::flex(), DType::F64);
        if !self.is_differentiable {
            let inputs: Vec<_> = inputs
                .iter()
                .map(|it| on(it.clone(), device, dtype))
                .collect();
            let values = (self.function)(&inputs);
            return (values.into_iter().map(to_cpu).collect(), Vec::new());
        }
        let device = device.clone().autodiff();
        let inputs: Vec<_> = inputs
            .iter()
            .map(|it| on(it.clone(), &device, dtype).require_grad())
            .collect();
        let values = (self.function)(&inputs);
        let loss = values
            .iter()
            .map(|value| {
                let weights = on(noise(value.dims(), 99), &device, value.dtype());
                (value.clone() * weights).sum()
            })
            .reduce(|sum, term| sum + term);
        let grads = loss.map(|loss| loss.backward());
        let gradient = |input: &Tensor<2>| input.grad(grads.as_ref()?).map(to_cpu);
        let gradients = inputs.iter().filter_map(gradient).collect();
        let values = values.into_iter().map(|it| to_cpu(it.inner())).collect();
        (values, gradients)
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
