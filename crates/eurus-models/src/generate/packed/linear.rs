//! Linear layers with packed weights, and products of the same rows with several of them.

use burn::tensor::Tensor;
use cpu_kernels::packed_products::{Columns, PANEL, PackedType, PackedWeight};
use cpu_kernels::row_products::Rows;
use rayon::prelude::*;

use crate::decoder::Projection;

/// Parts that each thread has of a product, so that one that is held up leaves some to the others.
const PARTS_PER_THREAD: usize = 4;

/// How weights are kept for decoding on the CPU. Sums are in single precision with each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum DecodeWeights {
    /// What is drawn is the model's: a weight that is the same in bfloat16, as those from files of that type are, takes 2
    /// bytes a parameter, others 4.
    #[default]
    Exact,
    /// Rounded to bfloat16: 2 bytes a parameter. Log-probabilities are those of the rounded model.
    Bf16,
    /// Rounded to whole numbers of a step per output: 1 byte a parameter. Log-probabilities are those of the rounded model.
    Int8,
}

impl std::fmt::Display for DecodeWeights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        })
    }
}

/// A linear layer.
#[derive(Debug)]
pub struct Linear {
    weight: PackedWeight,
    bias: Option<Vec<f32>>,
}

/// The values of a tensor.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

impl Linear {
    /// Packs `weight [outputs, inputs]`.
    pub fn of(weight: Tensor<2>, kept: DecodeWeights) -> Self {
        let [_, inputs] = weight.dims();
        let data = weight.into_data();
        // Tensors in single precision: `obstacle` lets nothing else through.
        let weight = data.as_slice::<f32>().unwrap_or_default();
        let kept = match kept {
            DecodeWeights::Exact if PackedWeight::is_bf16(weight) => PackedType::Bf16,
            DecodeWeights::Exact => PackedType::F32,
            DecodeWeights::Bf16 => PackedType::Bf16,
            DecodeWeights::Int8 => PackedType::Int8,
        };
        Self {
            weight: PackedWeight::new(weight, inputs, kept),
            bias: None,
        }
    }

    pub fn new(projection: Projection, kept: DecodeWeights) -> Self {
        let bias = projection.bias.map(|bias| values(bias.val()));
        Self {
            bias,
            ..Self::of(projection.weight.val(), kept)
        }
    }

    pub fn outputs(&self) -> usize {
        self.weight.outputs()
    }

    pub fn inputs(&self) -> usize {
        self.weight.inputs()
    }

    /// Writes a row of the weight to `out`.
    pub fn row(&self, output: usize, out: &mut [f32]) {
        self.weight.row(output, out);
    }
}

/// The outputs of some layers for the same rows `x`, each to a buffer `[rows, outputs]`.
pub fn project<const N: usize>(x: &[f32], mut outputs: [(&Linear, &mut Vec<f32>); N]) {
    let inputs = outputs.first().map_or(1, |(layer, _)| layer.inputs());
    let x = Rows::new(x, inputs);
    let columns: usize = outputs.iter().map(|(layer, _)| layer.outputs()).sum();
    let parts = PARTS_PER_THREAD * rayon::current_num_threads();
    let columns = columns.div_ceil(parts).next_multiple_of(PANEL);
    let mut tasks = Vec::with_capacity(parts + N);
    for (layer, buffer) in &mut outputs {
        let width = layer.outputs();
        // Every value is written: what stands there from before need not be cleared.
        buffer.resize(x.count * width, 0.0);
        let parts = Columns::new(buffer, width).chunks(columns);
        tasks.extend(parts.map(|(first, part)| (&layer.weight, first, part)));
    }
    tasks
        .into_par_iter()
        .for_each(|(weight, first, part)| weight.product(x, first, part));
    for (layer, buffer) in outputs {
        let Some(bias) = &layer.bias else { continue };
        for row in buffer.chunks_mut(bias.len()) {
            for (value, bias) in row.iter_mut().zip(bias) {
                *value += bias;
            }
        }
    }
}
