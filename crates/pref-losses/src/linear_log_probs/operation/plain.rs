//! Both passes in plain tensor operations: right on every backend, and the oracle of fused ones.

use burn::backend::{Backend, TensorMetadata, get_or_init_device_settings, tensor::FloatTensor};
use burn::tensor::{FloatDType, IndexingUpdateOp, Shape, Slice};

use super::{Also, Forward, Gradient, Inputs, Saved, Wanted, WeightLayout};

/// Rows of `[rows, columns]` from `start` to `end`.
fn rows<B: Backend>(tensor: FloatTensor<B>, start: usize, end: usize) -> FloatTensor<B> {
    B::float_slice(tensor, &[Slice::from(start..end), Slice::from(..)])
}

fn to_f32<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    B::float_cast(tensor, FloatDType::F32)
}

fn transpose<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    B::float_swap_dims(tensor, 0, 1)
}

/// The part of the weight that belongs to a range of the vocabulary, as `[d_model, range]`.
pub(super) fn weight_block<B: Backend>(
    inputs: &Inputs<B>,
    start: usize,
    end: usize,
) -> FloatTensor<B> {
    let block = B::float_slice(inputs.weight.clone(), &block_slices(inputs, start, end));
    match inputs.layout {
        WeightLayout::InputByVocab => block,
        WeightLayout::VocabByInput => transpose::<B>(block),
    }
}

/// Where a range of the vocabulary lies in the weight.
pub(super) fn block_slices<B: Backend>(inputs: &Inputs<B>, start: usize, end: usize) -> [Slice; 2] {
    match inputs.layout {
        WeightLayout::InputByVocab => [Slice::from(..), Slice::from(start..end)],
        WeightLayout::VocabByInput => [Slice::from(start..end), Slice::from(..)],
    }
}

/// Gradient of a block of the weight, in the weight's own layout.
pub(super) fn weight_block_gradient<B: Backend>(
    hidden: FloatTensor<B>,
    logits_gradient: FloatTensor<B>,
    layout: WeightLayout,
    product: impl FnOnce(FloatTensor<B>, FloatTensor<B>) -> FloatTensor<B>,
) -> FloatTensor<B> {
    match layout {
        WeightLayout::InputByVocab => product(transpose::<B>(hidden), logits_gradient),
        WeightLayout::VocabByInput => product(transpose::<B>(logits_gradient), hidden),
    }
}

/// Puts a block of the weight's gradient in its place, or adds it to what is there.
pub(super) fn put_block<B: Backend>(
    whole: FloatTensor<B>,
    slices: &[Slice],
    block: FloatTensor<B>,
    is_sum: bool,
) -> FloatTensor<B> {
    let block = match is_sum {
        true => B::float_add(B::float_slice(whole.clone(), slices), block),
        false => block,
    };
    B::float_slice_assign(whole, slices, block)
}

/// Whole rows of logits, `chunk_tokens` at a time.
pub(super) fn forward<B: Backend>(inputs: &Inputs<B>) -> Forward<B> {
    let tokens = inputs.tokens();
    let weight = weight_block(inputs, 0, inputs.vocab());
    let mut log_probs = Vec::new();
    let mut row_max = Vec::new();
    let mut log_sum = Vec::new();
    let mut squares = Vec::new();
    for start in (0..tokens).step_by(inputs.chunk_tokens) {
        let end = tokens.min(start.saturating_add(inputs.chunk_tokens));
        let hidden = rows::<B>(inputs.hidden.clone(), start, end);
        let logits = to_f32::<B>(B::float_matmul(hidden, weight.clone()));
        let max = B::float_max_dim(logits.clone(), 1);
        let shifted = B::float_sub(logits, max.clone());
        let sum = B::float_sum_dim(B::float_exp(shifted.clone()), 1);
        let log = B::float_log(sum);
        if inputs.also == Also::LogSumSquares {
            let twice = B::float_add(shifted.clone(), shifted.clone());
            let sum = B::float_sum_dim(B::float_exp(twice), 1);
            let both = B::float_add(log.clone(), log.clone());
            squares.push(B::float_sub(B::float_log(sum), both));
        }
        let targets = B::int_slice(inputs.targets.clone(), &[Slice::from(start..end)]);
        let targets = B::int_reshape(targets, Shape::from([end - start, 1]));
        let target = B::float_gather(1, shifted, targets);
        log_probs.push(B::float_sub(target, log.clone()));
        row_max.push(max);
        log_sum.push(log);
    }
    let join = |parts: Vec<FloatTensor<B>>| {
        B::float_reshape(B::float_cat(parts, 0), Shape::from([tokens]))
    };
    Forward {
        log_probs: join(log_probs),
        row_max: join(row_max),
        log_sum: join(log_sum),
        log_sum_squares: (!squares.is_empty()).then(|| join(squares)),
    }
}

/// All tokens of a range of the vocabulary at a time. Each part of the weight's gradient is then a
/// single product, with nothing to accumulate; only the small `[tokens, d_model]` gradient is.
pub(super) fn backward<B: Backend>(
    saved: Saved<B>,
    grad: FloatTensor<B>,
    wanted: Wanted,
    weight_sum: Option<FloatTensor<B>>,
) -> Gradient<B> {
    let inputs = saved.inputs;
    let tokens = inputs.tokens();
    let vocab = inputs.vocab();
    let device = inputs.hidden.device();
    let dtype: FloatDType = inputs.hidden.dtype().into();
    let bool_dtype = get_or_init_device_settings::<B>(&device).bool_dtype;
    let column = Shape::from([tokens, 1]);
    let row_max = B::float_reshape(saved.row_max, column.clone());
    let log_sum = B::float_reshape(saved.log_sum, column.clone());
    let grad = B::float_reshape(to_f32::<B>(grad), column.clone());
    let targets = B::int_reshape(inputs.targets.clone(), column);

    let mut hidden_gradient: Option<FloatTensor<B>> = None;
    let is_sum = weight_sum.is_some();
    let mut weight_gradient = wanted.weight.map(|dtype| {
        weight_sum.unwrap_or_else(|| B::float_zeros(inputs.weight.shape(), &device, dtype))
    });
    for start in (0..vocab).step_by(inputs.vocab_block()) {
        let end = vocab.min(start + inputs.vocab_block());
        let weight = weight_block(&inputs, start, end);
        let logits = to_f32::<B>(B::float_matmul(inputs.hidden.clone(), weight.clone()));
        let shifted = B::float_sub(B::float_sub(logits, row_max.clone()), log_sum.clone());
        let softmax = B::float_exp(shifted);
        // d log p(target) / d logits = onehot(target) - softmax, times the incoming gradient.
        let rest = B::float_mul(softmax, B::float_neg(grad.clone()));
        let index = B::int_sub_scalar(targets.clone(), (start as i64).into());
        let before = B::int_lower_elem(index.clone(), 0i64.into(), bool_dtype);
        let last = (end - start - 1) as i64;
        let after = B::int_greater_elem(index.clone(), last.into(), bool_dtype);
        let onehot = B::float_mask_fill(grad.clone(), B::bool_or(before, after), 0f32.into());
        let index = B::int_clamp(index, 0i64.into(), last.into());
        let gradient = B::float_scatter(1, rest, index, onehot, IndexingUpdateOp::Add);
        let gradient = B::float_cast(gradient, dtype);
        if wanted.hidden {
            let part = to_f32::<B>(B::float_matmul(gradient.clone(), transpose::<B>(weight)));
            hidden_gradient = Some(match hidden_gradient {
                None => part,
                Some(sum) => B::float_add(sum, part),
            });
        }
        weight_gradient = weight_gradient.map(|whole| {
            // In the type of the sum: f32 also where the weight is of half precision.
            let wide = |tensor| B::float_cast(tensor, whole.dtype().into());
            let part = weight_block_gradient::<B>(
                wide(inputs.hidden.clone()),
                wide(gradient),
                inputs.layout,
                B::float_matmul,
            );
            put_block::<B>(whole, &block_slices(&inputs, start, end), part, is_sum)
        });
    }
    Gradient {
        hidden: hidden_gradient.map(|gradient| B::float_cast(gradient, dtype)),
        weight: weight_gradient,
    }
}
