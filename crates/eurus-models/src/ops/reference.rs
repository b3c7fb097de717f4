//! Every operation from burn's stock operations: what backends without kernels of their own run, and what the fused
//! versions are tested against.

use std::collections::HashMap;

use burn::backend::tensor::{Device, FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{
    DType, FloatDType, IndexingUpdateOp, Scalar, Shape, Slice, TensorData, try_read_sync,
};

use rayon::prelude::*;

use super::decode::DecodeSpans;
use super::draw::{Draw, Normalizer};
use super::{AttentionShape, ForestSpans, NodeSpan, Segment};

pub fn project<B: Backend>(x: FloatTensor<B>, weight: FloatTensor<B>) -> FloatTensor<B> {
    B::float_matmul(x, B::float_transpose(weight))
}

pub fn embed_backward<B: Backend>(
    vocab: usize,
    tokens: IntTensor<B>,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    let [_, d] = dims::<B>(&grad);
    let (device, dtype) = (grad.device(), grad.dtype());
    let zeros = B::float_zeros(Shape::from([vocab, d]), &device, dtype.into());
    embed_backward_onto::<B>(zeros, tokens, grad)
}

pub fn embed_backward_onto<B: Backend>(
    sum: FloatTensor<B>,
    tokens: IntTensor<B>,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    let dtype = sum.dtype();
    let (sum, grad) = (wide::<B>(sum), wide::<B>(grad));
    let sum = B::float_select_assign(sum, 0, tokens, grad, IndexingUpdateOp::Add);
    narrow::<B>(sum, dtype)
}

fn dims<B: Backend>(tensor: &FloatTensor<B>) -> [usize; 2] {
    let shape = tensor.shape();
    [shape[0], shape[1]]
}

fn reshape<B: Backend, const D: usize>(
    tensor: FloatTensor<B>,
    shape: [usize; D],
) -> FloatTensor<B> {
    B::float_reshape(tensor, Shape::from(shape))
}

fn broadcast_to<B: Backend>(tensor: FloatTensor<B>, like: &FloatTensor<B>) -> FloatTensor<B> {
    B::float_expand(tensor, like.shape())
}

fn scale<B: Backend>(tensor: FloatTensor<B>, factor: f32) -> FloatTensor<B> {
    B::float_mul_scalar(tensor, Scalar::from(factor))
}

/// Half-precision tensors in f32: sums over rows and exponentials need the digits. Others stay as they are.
pub fn wide<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    match tensor.dtype() {
        DType::BF16 | DType::F16 => B::float_cast(tensor, FloatDType::F32),
        _ => tensor,
    }
}

/// Back from [`wide`].
pub fn narrow<B: Backend>(tensor: FloatTensor<B>, dtype: DType) -> FloatTensor<B> {
    match tensor.dtype() == dtype {
        true => tensor,
        false => B::float_cast(tensor, dtype.into()),
    }
}

/// `1 / sqrt(mean(x^2) + epsilon)` of every row, `[T, 1]`.
fn inverse_rms<B: Backend>(x: FloatTensor<B>, epsilon: f32) -> FloatTensor<B> {
    let mean_square = B::float_mean_dim(B::float_mul(x.clone(), x), 1);
    B::float_recip(B::float_sqrt(B::float_add_scalar(
        mean_square,
        Scalar::from(epsilon),
    )))
}

pub fn rms_norm<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    epsilon: f32,
) -> FloatTensor<B> {
    let dtype = x.dtype();
    let (x, weight) = (wide::<B>(x), wide::<B>(weight));
    let [_, d] = dims::<B>(&x);
    let inverse = broadcast_to::<B>(inverse_rms::<B>(x.clone(), epsilon), &x);
    let weight = broadcast_to::<B>(reshape::<B, 2>(weight, [1, d]), &x);
    narrow::<B>(B::float_mul(B::float_mul(x, inverse), weight), dtype)
}

pub fn rms_norm_backward<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    grad: FloatTensor<B>,
    epsilon: f32,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let dtype = x.dtype();
    let (x, weight, grad) = (wide::<B>(x), wide::<B>(weight), wide::<B>(grad));
    let [_, d] = dims::<B>(&x);
    let inverse = broadcast_to::<B>(inverse_rms::<B>(x.clone(), epsilon), &x);
    let normed = B::float_mul(x, inverse.clone());
    let weight_grad = B::float_sum_dim(B::float_mul(grad.clone(), normed.clone()), 0);
    let weight = broadcast_to::<B>(reshape::<B, 2>(weight, [1, d]), &normed);
    let scaled = B::float_mul(grad, weight);
    let along = B::float_mean_dim(B::float_mul(scaled.clone(), normed.clone()), 1);
    let along = B::float_mul(broadcast_to::<B>(along, &normed), normed);
    let x_grad = B::float_mul(B::float_sub(scaled, along), inverse);
    let weight_grad = reshape::<B, 1>(weight_grad, [d]);
    (narrow::<B>(x_grad, dtype), weight_grad)
}

pub fn swiglu<B: Backend>(gate: FloatTensor<B>, up: FloatTensor<B>) -> FloatTensor<B> {
    let dtype = gate.dtype();
    let (gate, up) = (wide::<B>(gate), wide::<B>(up));
    let out = B::float_mul(B::float_mul(B::sigmoid(gate.clone()), gate), up);
    narrow::<B>(out, dtype)
}

pub fn swiglu_backward<B: Backend>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let dtype = gate.dtype();
    let (gate, up, grad) = (wide::<B>(gate), wide::<B>(up), wide::<B>(grad));
    let sigmoid = B::sigmoid(gate.clone());
    let silu = B::float_mul(sigmoid.clone(), gate);
    // d silu = s + silu - s * silu, with s the sigmoid.
    let slope = B::float_sub(
        B::float_add(sigmoid.clone(), silu.clone()),
        B::float_mul(sigmoid, silu.clone()),
    );
    let gate_grad = B::float_mul(B::float_mul(grad.clone(), up), slope);
    let up_grad = B::float_mul(grad, silu);
    (narrow::<B>(gate_grad, dtype), narrow::<B>(up_grad, dtype))
}

pub fn rotate<B: Backend>(
    x: FloatTensor<B>,
    cos: FloatTensor<B>,
    sin: FloatTensor<B>,
    back: bool,
) -> FloatTensor<B> {
    let dtype = x.dtype();
    let x = wide::<B>(x);
    let sin = match back {
        true => B::float_neg(sin),
        false => sin,
    };
    let [tokens, width] = dims::<B>(&x);
    let half = dims::<B>(&cos)[1];
    let heads = width / (2 * half);
    let x = reshape::<B, 4>(x, [tokens, heads, 2, half]);
    let part = |index: usize| {
        let slices = [
            Slice::from(0..tokens),
            Slice::from(0..heads),
            Slice::from(index..index + 1),
            Slice::from(0..half),
        ];
        B::float_slice(x.clone(), &slices)
    };
    let (first, second) = (part(0), part(1));
    let cos = broadcast_to::<B>(reshape::<B, 4>(cos, [tokens, 1, 1, half]), &first);
    let sin = broadcast_to::<B>(reshape::<B, 4>(sin, [tokens, 1, 1, half]), &first);
    let turned_first = B::float_sub(
        B::float_mul(first.clone(), cos.clone()),
        B::float_mul(second.clone(), sin.clone()),
    );
    let turned_second = B::float_add(B::float_mul(second, cos), B::float_mul(first, sin));
    let turned = B::float_cat(vec![turned_first, turned_second], 2);
    narrow::<B>(reshape::<B, 2>(turned, [tokens, width]), dtype)
}

fn rows<B: Backend>(tensor: &FloatTensor<B>, segment: Segment) -> FloatTensor<B> {
    let [_, width] = dims::<B>(tensor);
    let slices = [
        Slice::from(segment.start..segment.start + segment.len),
        Slice::from(0..width),
    ];
    B::float_slice(tensor.clone(), &slices)
}

/// The rows of a node's root path, `[L, width]`.
fn path_rows<B: Backend>(tensor: &FloatTensor<B>, keys: &[Segment]) -> FloatTensor<B> {
    let parts: Vec<_> = keys.iter().map(|&s| rows::<B>(tensor, s)).collect();
    B::float_cat(parts, 0)
}

/// `[n, heads * head_dim]` to `[heads, n, head_dim]`.
fn split_heads<B: Backend>(tensor: FloatTensor<B>, heads: usize) -> FloatTensor<B> {
    let [n, width] = dims::<B>(&tensor);
    B::float_swap_dims(reshape::<B, 3>(tensor, [n, heads, width / heads]), 0, 1)
}

/// `[heads, n, head_dim]` to `[n, heads * head_dim]`.
fn join_heads<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    let shape = tensor.shape();
    let (heads, n, head_dim) = (shape[0], shape[1], shape[2]);
    reshape::<B, 2>(B::float_swap_dims(tensor, 0, 1), [n, heads * head_dim])
}

/// Repeats each key/value head for the query heads that share it: `[kv_heads, L, d]` to `[heads, L, d]`.
fn repeat_heads<B: Backend>(tensor: FloatTensor<B>, group: usize) -> FloatTensor<B> {
    let shape = tensor.shape();
    let (kv_heads, len, d) = (shape[0], shape[1], shape[2]);
    let expanded = B::float_expand(
        reshape::<B, 4>(tensor, [kv_heads, 1, len, d]),
        Shape::from([kv_heads, group, len, d]),
    );
    reshape::<B, 3>(expanded, [kv_heads * group, len, d])
}

/// Sums the gradients of repeated heads: the transpose of [`repeat_heads`].
fn sum_groups<B: Backend>(tensor: FloatTensor<B>, group: usize) -> FloatTensor<B> {
    let shape = tensor.shape();
    let (heads, len, d) = (shape[0], shape[1], shape[2]);
    let grouped = reshape::<B, 4>(tensor, [heads / group, group, len, d]);
    reshape::<B, 3>(B::float_sum_dim(grouped, 1), [heads / group, len, d])
}

/// Zero where a query sees a key, a very negative number where it does not: `[1, n, L]`.
fn visibility<B: Backend>(
    span: &NodeSpan,
    shape: AttentionShape,
    device: &Device<B>,
    dtype: FloatDType,
) -> FloatTensor<B> {
    let n = span.queries.len;
    let len = span.path_start + n;
    let mut bias = vec![-1e30f32; n * len];
    for (row, values) in bias.chunks_mut(len).enumerate() {
        values[shape.visible(span.path_start + row)].fill(0.0);
    }
    let bias = B::float_from_data(TensorData::new(bias, [1, n, len]), device);
    B::float_cast(bias, dtype)
}

struct NodeScores<B: Backend> {
    q: FloatTensor<B>,
    k: FloatTensor<B>,
    v: FloatTensor<B>,
    /// `[heads, n, L]`, wide, invisible keys at a very negative value.
    scores: FloatTensor<B>,
}

fn node_scores<B: Backend>(
    q: &FloatTensor<B>,
    k: &FloatTensor<B>,
    v: &FloatTensor<B>,
    span: &NodeSpan,
    shape: AttentionShape,
) -> NodeScores<B> {
    let q = split_heads::<B>(rows::<B>(q, span.queries), shape.heads);
    let gather = |tensor: &FloatTensor<B>| {
        let heads = split_heads::<B>(path_rows::<B>(tensor, &span.keys), shape.kv_heads);
        repeat_heads::<B>(heads, shape.group())
    };
    let (k, v) = (gather(k), gather(v));
    let scores = wide::<B>(B::float_matmul(q.clone(), B::float_transpose(k.clone())));
    let scores = scale::<B>(scores, shape.scale);
    let bias = visibility::<B>(span, shape, &scores.device(), scores.dtype().into());
    let scores = B::float_add(scores.clone(), broadcast_to::<B>(bias, &scores));
    NodeScores { q, k, v, scores }
}

pub fn tree_attention<B: Backend>(
    q: FloatTensor<B>,
    k: FloatTensor<B>,
    v: FloatTensor<B>,
    spans: &ForestSpans,
    shape: AttentionShape,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let mut outputs = Vec::with_capacity(spans.nodes.len());
    let mut log_sum_exps = Vec::with_capacity(spans.nodes.len());
    for span in &spans.nodes {
        let node = node_scores::<B>(&q, &k, &v, span, shape);
        let max = B::float_max_dim(node.scores.clone(), 2);
        let shifted = B::float_sub(
            node.scores.clone(),
            broadcast_to::<B>(max.clone(), &node.scores),
        );
        let exp = B::float_exp(shifted);
        let sum = B::float_sum_dim(exp.clone(), 2);
        let weights = B::float_div(exp, broadcast_to::<B>(sum.clone(), &node.scores));
        let weights = narrow::<B>(weights, q.dtype());
        outputs.push(join_heads::<B>(B::float_matmul(weights, node.v)));
        let log_sum_exp = B::float_add(max, B::float_log(sum));
        log_sum_exps.push(join_heads::<B>(log_sum_exp));
    }
    (B::float_cat(outputs, 0), B::float_cat(log_sum_exps, 0))
}

#[allow(clippy::too_many_arguments)]
pub fn tree_attention_backward<B: Backend>(
    q: FloatTensor<B>,
    k: FloatTensor<B>,
    v: FloatTensor<B>,
    output: FloatTensor<B>,
    log_sum_exp: FloatTensor<B>,
    grad: FloatTensor<B>,
    spans: &ForestSpans,
    shape: AttentionShape,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let node_at: HashMap<usize, usize> = spans
        .nodes
        .iter()
        .enumerate()
        .map(|(index, span)| (span.queries.start, index))
        .collect();
    let mut q_grads = Vec::with_capacity(spans.nodes.len());
    let mut k_grads: Vec<Option<FloatTensor<B>>> = vec![None; spans.nodes.len()];
    let mut v_grads = k_grads.clone();
    for span in &spans.nodes {
        let node = node_scores::<B>(&q, &k, &v, span, shape);
        let heads = |tensor: &FloatTensor<B>| {
            split_heads::<B>(rows::<B>(tensor, span.queries), shape.heads)
        };
        let (out, out_grad, lse) = (heads(&output), heads(&grad), heads(&log_sum_exp));
        let weights = B::float_exp(B::float_sub(
            node.scores.clone(),
            broadcast_to::<B>(lse, &node.scores),
        ));
        let narrow_weights = narrow::<B>(weights.clone(), q.dtype());
        let value_grad = B::float_matmul(B::float_transpose(narrow_weights), out_grad.clone());
        let weight_grad = B::float_matmul(out_grad.clone(), B::float_transpose(node.v));
        let weight_grad = wide::<B>(weight_grad);
        let along = B::float_sum_dim(B::float_mul(wide::<B>(out), wide::<B>(out_grad)), 2);
        let score_grad = B::float_mul(
            weights,
            B::float_sub(weight_grad.clone(), broadcast_to::<B>(along, &weight_grad)),
        );
        let score_grad = narrow::<B>(scale::<B>(score_grad, shape.scale), q.dtype());
        q_grads.push(join_heads::<B>(B::float_matmul(score_grad.clone(), node.k)));
        let key_grad = B::float_matmul(B::float_transpose(score_grad), node.q);
        let collect = |path_grad: FloatTensor<B>, sums: &mut [Option<FloatTensor<B>>]| {
            let path_grad = join_heads::<B>(sum_groups::<B>(path_grad, shape.group()));
            let mut offset = 0;
            for key in &span.keys {
                let part = rows::<B>(
                    &path_grad,
                    Segment {
                        start: offset,
                        len: key.len,
                    },
                );
                offset += key.len;
                let sum = &mut sums[node_at[&key.start]];
                *sum = Some(match sum.take() {
                    Some(sum) => B::float_add(sum, part),
                    None => part,
                });
            }
        };
        collect(key_grad, &mut k_grads);
        collect(value_grad, &mut v_grads);
    }
    // Every node is in its own path, so every entry is filled.
    let joined =
        |sums: Vec<Option<FloatTensor<B>>>| B::float_cat(sums.into_iter().flatten().collect(), 0);
    (B::float_cat(q_grads, 0), joined(k_grads), joined(v_grads))
}

pub fn write_cache<B: Backend>(
    cached_keys: FloatTensor<B>,
    cached_values: FloatTensor<B>,
    keys: FloatTensor<B>,
    values: FloatTensor<B>,
    slots: IntTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let write = |cache, rows, slots| {
        B::float_select_assign(cache, 0, slots, rows, IndexingUpdateOp::Assign)
    };
    (
        write(cached_keys, keys, slots.clone()),
        write(cached_values, values, slots),
    )
}

/// Sequence by sequence.
pub fn decode_attention<B: Backend>(
    q: FloatTensor<B>,
    keys: FloatTensor<B>,
    values: FloatTensor<B>,
    spans: &DecodeSpans,
    shape: AttentionShape,
) -> FloatTensor<B> {
    let dtype = q.dtype();
    let mut outputs = Vec::with_capacity(spans.rows());
    for (row, (prompt, own)) in spans.sequences().enumerate() {
        let visible = shape.visible(prompt.len + own.len - 1);
        let mut runs = prompt.runs(visible.start.min(prompt.len)..prompt.len);
        runs.extend(own.runs(visible.start.saturating_sub(prompt.len)..own.len));
        let of_heads = |cache: &FloatTensor<B>| {
            let heads = split_heads::<B>(path_rows::<B>(cache, &runs), shape.kv_heads);
            repeat_heads::<B>(heads, shape.group())
        };
        let q = rows::<B>(&q, Segment { start: row, len: 1 });
        let q = split_heads::<B>(q, shape.heads);
        let scores = B::float_matmul(q, B::float_transpose(of_heads(&keys)));
        let weights = B::softmax(scale::<B>(wide::<B>(scores), shape.scale), 2);
        let weights = narrow::<B>(weights, dtype);
        outputs.push(join_heads::<B>(B::float_matmul(weights, of_heads(&values))));
    }
    B::float_cat(outputs, 0)
}

pub fn draw<B: Backend>(logits: FloatTensor<B>, settings: FloatTensor<B>) -> FloatTensor<B> {
    let device = logits.device();
    let [rows, vocab] = dims::<B>(&logits);
    let read = |tensor: FloatTensor<B>| -> Vec<f32> {
        let data = try_read_sync(B::float_into_data(tensor)).and_then(Result::ok);
        data.map_or_else(Vec::new, |data| data.iter().collect())
    };
    let (logits, settings) = (read(logits), read(settings));
    let drawn = logits.par_chunks(vocab.max(1)).enumerate();
    let drawn = drawn.map_init(Vec::new, |scratch, (row, logits)| {
        let normalizer = Normalizer::of(logits);
        let token = Draw::of_settings(&settings, row).token(logits, normalizer.max, scratch);
        let log_prob = match normalizer.is_sound() {
            true => normalizer.log_prob(logits[token]),
            false => f32::NAN,
        };
        (token as f32, log_prob)
    });
    let (tokens, log_probs): (Vec<f32>, Vec<f32>) = drawn.unzip();
    // What cannot be read is no token.
    let mut drawn = vec![f32::NAN; 2 * rows];
    for (to, from) in drawn.iter_mut().zip([tokens, log_probs].concat()) {
        *to = from;
    }
    B::float_from_data(TensorData::new(drawn, [2, rows]), &device)
}
