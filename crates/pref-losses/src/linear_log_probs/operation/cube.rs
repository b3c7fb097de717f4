//! Both passes on a GPU: products with float32 sums, and one kernel each for the statistics of rows and the gradient of logits.

use burn::backend::Cube;
use burn::backend::TensorMetadata;
use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, FloatDType, Slice};
use gpu_kernels::log_probs::{RowStatistics, logit_gradient, row_statistics};
use gpu_kernels::product::{product, product_for_sum, product_onto};
use gpu_kernels::sums;

use super::plain::{block_slices, put_block, weight_block, weight_block_gradient};
use super::{Also, Forward, Gradient, Inputs, Saved, Wanted};

/// Whole rows of logits, `chunk_tokens` at a time.
pub(super) fn forward(inputs: &Inputs<Cube>) -> Forward<Cube> {
    let tokens = inputs.tokens();
    let weight = weight_block(inputs, 0, inputs.vocab());
    let mut parts: Vec<RowStatistics> = Vec::new();
    for start in (0..tokens).step_by(inputs.chunk_tokens) {
        let end = tokens.min(start.saturating_add(inputs.chunk_tokens));
        let rows = [Slice::from(start..end), Slice::from(..)];
        let hidden = Cube::float_slice(inputs.hidden.clone(), &rows);
        let logits = product(hidden, weight.clone(), DType::F32);
        let targets = Cube::int_slice(inputs.targets.clone(), &rows[..1]);
        parts.push(row_statistics(logits, targets));
    }
    let join = |of: fn(&RowStatistics) -> &FloatTensor<Cube>| {
        let mut columns: Vec<_> = parts.iter().map(|part| of(part).clone()).collect();
        match columns.len() {
            1 => columns.remove(0),
            _ => Cube::float_cat(columns, 0),
        }
    };
    Forward {
        log_probs: join(|part| &part.log_probs),
        row_max: join(|part| &part.row_max),
        log_sum: join(|part| &part.log_sum),
        log_sum_squares: (inputs.also == Also::LogSumSquares)
            .then(|| join(|part| &part.log_sum_squares)),
    }
}

/// All tokens of a range of the vocabulary at a time, as in the plain form.
pub(super) fn backward(
    saved: Saved<Cube>,
    grad: FloatTensor<Cube>,
    wanted: Wanted,
    weight_sum: Option<FloatTensor<Cube>>,
) -> Gradient<Cube> {
    let inputs = saved.inputs;
    let dtype = inputs.hidden.dtype();
    let grad = Cube::float_cast(grad, FloatDType::F32);
    let is_sum = weight_sum.is_some();
    let mut hidden_gradient: Option<FloatTensor<Cube>> = None;
    let mut weight_gradient = weight_sum;
    let vocab = inputs.vocab();
    for start in (0..vocab).step_by(inputs.vocab_block()) {
        let end = vocab.min(start + inputs.vocab_block());
        let weight = weight_block(&inputs, start, end);
        let logits = product(inputs.hidden.clone(), weight.clone(), DType::F32);
        let gradient = logit_gradient(
            logits,
            inputs.targets.clone(),
            saved.row_max.clone(),
            saved.log_sum.clone(),
            grad.clone(),
            start,
            dtype,
        );
        if wanted.hidden {
            let transposed = Cube::float_swap_dims(weight, 0, 1);
            let part = product(gradient.clone(), transposed, DType::F32);
            hidden_gradient = Some(match hidden_gradient {
                None => part,
                Some(sum) => Cube::float_add(sum, part),
            });
        }
        let Some(weight_type) = wanted.weight else {
            continue;
        };
        let is_whole = end - start == vocab;
        // The gradient of the block by itself, or added to a sum.
        let of_block = |sum: Option<FloatTensor<Cube>>, dtype: DType| {
            let hidden = inputs.hidden.clone();
            weight_block_gradient::<Cube>(hidden, gradient, inputs.layout, |lhs, rhs| match sum {
                Some(sum) => product_onto(sum, lhs, rhs),
                None if is_whole => product_for_sum(lhs, rhs, dtype),
                None => product(lhs, rhs, dtype),
            })
        };
        if is_whole {
            weight_gradient = Some(of_block(weight_gradient, weight_type.into()));
            continue;
        }
        let whole = weight_gradient.unwrap_or_else(|| {
            sums::empty(&inputs.weight, inputs.weight.shape(), weight_type.into())
        });
        let part = of_block(None, whole.dtype());
        let slices = block_slices(&inputs, start, end);
        weight_gradient = Some(put_block::<Cube>(whole, &slices, part, is_sum));
    }
    Gradient {
        hidden: hidden_gradient.map(|gradient| Cube::float_cast(gradient, dtype.into())),
        weight: weight_gradient,
    }
}
