//! Attention of a decoding step. The query heads that share keys go through them together; a sequence's result does not depend
//! on the others.

use cpu_kernels::row_products::{Rows, row_product};
use cpu_kernels::rows;
use rayon::prelude::*;

use crate::ops::decode::{CachedTokens, DecodeSpans};
use crate::ops::{AttentionShape, Segment};

/// See [`ForestOps::decode_attention`](crate::ops::ForestOps::decode_attention).
pub struct Inputs<'a> {
    pub q: &'a [f32],
    pub keys: &'a [f32],
    pub values: &'a [f32],
}

pub fn attention(inputs: &Inputs<'_>, spans: &DecodeSpans, shape: AttentionShape) -> Vec<f32> {
    let seen: Vec<Vec<Segment>> = spans
        .sequences()
        .map(|(prompt, own)| seen(prompt, own, shape))
        .collect();
    let mut output = vec![0.0; spans.rows() * shape.heads * shape.head_dim];
    // Of one sequence, the heads with the same keys follow each other.
    output
        .par_chunks_mut(shape.group() * shape.head_dim)
        .enumerate()
        .for_each_init(Vec::new, |scores, (place, output)| {
            let (row, kv_head) = (place / shape.kv_heads, place % shape.kv_heads);
            let queries = &inputs.q[place * output.len()..][..output.len()];
            attend(inputs, queries, &seen[row], kv_head, output, scores, shape);
        });
    output
}

/// The rows of the cache that a sequence's newest token sees, in order.
fn seen(prompt: &CachedTokens, own: &CachedTokens, shape: AttentionShape) -> Vec<Segment> {
    let first = shape.visible(prompt.len + own.len - 1).start;
    let mut seen = prompt.runs(first.min(prompt.len)..prompt.len);
    seen.extend(own.runs(first.saturating_sub(prompt.len)..own.len));
    seen
}

/// Mixes the values of the heads `queries [group, head_dim]`. `scores` is room that is used again.
fn attend(
    inputs: &Inputs<'_>,
    queries: &[f32],
    seen: &[Segment],
    kv_head: usize,
    output: &mut [f32],
    scores: &mut Vec<f32>,
    shape: AttentionShape,
) {
    let d = shape.head_dim;
    let queries = Rows::new(queries, d);
    let stride = shape.kv_heads * d;
    let width: usize = seen.iter().map(|run| run.len).sum();
    scores.resize(queries.count * width, 0.0);
    let mut place = 0;
    for run in seen {
        let keys = Rows {
            data: &inputs.keys[run.start * stride + kv_head * d..],
            count: run.len,
            stride,
        };
        row_product(&mut scores[place..], width, queries, keys, d);
        place += run.len;
    }
    for (scores, output) in scores.chunks_mut(width).zip(output.chunks_mut(d)) {
        for score in scores.iter_mut() {
            *score *= shape.scale;
        }
        rows::softmax(scores);
        let mut rest: &[f32] = scores;
        for run in seen {
            let (weights, after) = rest.split_at(run.len);
            rest = after;
            let values = &inputs.values[run.start * stride + kv_head * d..];
            rows::add_weighted(output, weights, values, stride);
        }
    }
}
