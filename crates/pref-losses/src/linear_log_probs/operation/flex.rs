//! Both passes on the CPU backend: its own matrix product, then fused row kernels on all threads.
//!
//! Blocks cover all tokens and a range of the vocabulary in both passes: the weight, the larger
//! factor of the product, is then packed by the matrix kernel once per pass instead of once per
//! chunk of tokens. A running maximum and sum per token join the blocks.

use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Bytes, DType, FloatDType, IntDType, Shape};
use cpu_kernels::flex::matmul;
use cpu_kernels::vocabulary::{max_of, scaled_softmax, sum_of_exp};
use rayon::prelude::*;

use super::plain::{block_slices, put_block, weight_block, weight_block_gradient};
use super::{Also, Forward, Gradient, Inputs, Saved, Wanted};

/// The running maximum and sums of a token's row of logits.
#[derive(Debug, Clone, Copy)]
struct Row {
    max: f32,
    /// `sum(exp(logit - max))`.
    sum: f64,
    /// `sum(exp(2 (logit - max)))`, where it is asked for.
    squares: f64,
    target_logit: f32,
}

impl Row {
    const EMPTY: Self = Self {
        max: f32::NEG_INFINITY,
        sum: 0.0,
        squares: 0.0,
        target_logit: f32::NAN,
    };

    /// Takes in the logits of `start..start + logits.len()`, which are changed.
    fn extend(&mut self, logits: &mut [f32], start: usize, target: usize, also: Also) {
        let max = max_of(logits);
        if max > self.max {
            let factor = f64::from(self.max - max).exp();
            self.sum *= factor;
            self.squares *= factor * factor;
            self.max = max;
        }
        self.sum += sum_of_exp(logits, self.max);
        if let Some(&logit) = target.checked_sub(start).and_then(|i| logits.get(i)) {
            self.target_logit = logit;
        }
        if also == Also::LogSumSquares {
            // They are not needed again, and doubling is exact.
            logits.iter_mut().for_each(|logit| *logit *= 2.0);
            self.squares += sum_of_exp(logits, 2.0 * self.max);
        }
    }

    fn log_sum(&self) -> f32 {
        self.sum.ln() as f32
    }

    fn log_sum_squares(&self) -> f32 {
        (self.squares.ln() - 2.0 * self.sum.ln()) as f32
    }

    fn log_prob(&self) -> f32 {
        (f64::from(self.target_logit - self.max) - self.sum.ln()) as f32
    }
}

pub(super) fn forward(inputs: &Inputs<Flex>) -> Forward<Flex> {
    let targets = read_targets(inputs);
    let hidden = to_f32(inputs.hidden.clone());
    let mut rows = vec![Row::EMPTY; targets.len()];
    for (start, end) in blocks(inputs) {
        let weight = to_f32(weight_block(inputs, start, end));
        let mut logits = product(hidden.clone(), weight);
        logits
            .storage_mut::<f32>()
            .par_chunks_mut(end - start)
            .zip(rows.par_iter_mut().zip(&targets))
            .for_each(|(logits, (row, &target))| row.extend(logits, start, target, inputs.also));
    }
    Forward {
        log_probs: vector(rows.iter().map(Row::log_prob)),
        row_max: vector(rows.iter().map(|row| row.max)),
        log_sum: vector(rows.iter().map(Row::log_sum)),
        log_sum_squares: (inputs.also == Also::LogSumSquares)
            .then(|| vector(rows.iter().map(Row::log_sum_squares))),
    }
}

pub(super) fn backward(
    saved: Saved<Flex>,
    grad: FlexTensor,
    wanted: Wanted,
    weight_sum: Option<FlexTensor>,
) -> Gradient<Flex> {
    let inputs = saved.inputs;
    let targets = read_targets(&inputs);
    let factors = floats(grad);
    let row_max = floats(saved.row_max);
    let log_sum = floats(saved.log_sum);
    let dtype: FloatDType = inputs.hidden.dtype().into();
    let hidden = to_f32(inputs.hidden.clone());

    let mut hidden_gradient: Option<FlexTensor> = None;
    let is_sum = weight_sum.is_some();
    let mut weight_gradient = wanted
        .weight
        .map(|dtype| weight_sum.unwrap_or_else(|| zeros(inputs.weight.shape(), dtype.into())));
    for (start, end) in blocks(&inputs) {
        let weight = to_f32(weight_block(&inputs, start, end));
        let mut logits = product(hidden.clone(), weight.clone());
        // In place: the logits become their own gradient,
        // (onehot(target) - softmax) times the incoming gradient.
        logits
            .storage_mut::<f32>()
            .par_chunks_mut(end - start)
            .enumerate()
            .for_each(|(token, row)| {
                let factor = factors[token];
                scaled_softmax(row, row_max[token], log_sum[token], -factor);
                let index = targets[token].checked_sub(start);
                if let Some(target) = index.and_then(|index| row.get_mut(index)) {
                    *target += factor;
                }
            });
        if wanted.hidden {
            let weight = Flex::float_swap_dims(weight, 0, 1);
            let part = product(logits.clone(), weight);
            hidden_gradient = Some(match hidden_gradient {
                None => part,
                Some(sum) => Flex::float_add(sum, part),
            });
        }
        weight_gradient = weight_gradient.map(|whole| {
            let part =
                weight_block_gradient::<Flex>(hidden.clone(), logits, inputs.layout, product);
            let part = Flex::float_cast(part, whole.dtype().into());
            put_block::<Flex>(whole, &block_slices(&inputs, start, end), part, is_sum)
        });
    }
    Gradient {
        hidden: hidden_gradient.map(|gradient| Flex::float_cast(gradient, dtype)),
        weight: weight_gradient,
    }
}

fn product(lhs: FlexTensor, rhs: FlexTensor) -> FlexTensor {
    matmul(&lhs, &rhs).unwrap_or_else(|| Flex::float_matmul(lhs, rhs))
}

/// Ranges of the vocabulary.
fn blocks(inputs: &Inputs<Flex>) -> impl Iterator<Item = (usize, usize)> + use<> {
    let (vocab, block) = (inputs.vocab(), inputs.vocab_block());
    (0..vocab)
        .step_by(block)
        .map(move |start| (start, vocab.min(start + block)))
}

/// The targets as indices.
///
/// # Panics
///
/// If one is outside the vocabulary: it would give a log-prob of NaN far from the cause.
fn read_targets(inputs: &Inputs<Flex>) -> Vec<usize> {
    let vocab = inputs.vocab();
    let data = Flex::int_cast(inputs.targets.clone(), IntDType::I64).into_data();
    data.iter::<i64>()
        .enumerate()
        .map(|(token, target)| match usize::try_from(target) {
            Ok(index) if index < vocab => index,
            _ => panic!("target {target} of token {token} is outside the vocabulary of {vocab}"),
        })
        .collect()
}

fn to_f32(tensor: FlexTensor) -> FlexTensor {
    Flex::float_cast(tensor, FloatDType::F32)
}

fn floats(tensor: FlexTensor) -> Vec<f32> {
    to_f32(tensor).into_data().iter::<f32>().collect()
}

/// Zeros of a float dtype.
///
/// burn's own copies them once, for the alignment of its bytes: at the size of a weight that copy
/// would be the largest thing that the operation ever holds.
fn zeros(shape: Shape, dtype: DType) -> FlexTensor {
    let elements = shape.num_elements();
    let bytes = match dtype.size() {
        2 => Bytes::from_elems(vec![0u16; elements]),
        4 => Bytes::from_elems(vec![0u32; elements]),
        _ => Bytes::from_elems(vec![0u64; elements]),
    };
    FlexTensor::new(bytes, Layout::contiguous(shape), dtype)
}

fn vector(values: impl Iterator<Item = f32>) -> FlexTensor {
    let values: Vec<f32> = values.collect();
    let shape = Shape::from([values.len()]);
    FlexTensor::new(
        Bytes::from_elems(values),
        Layout::contiguous(shape),
        DType::F32,
    )
}
