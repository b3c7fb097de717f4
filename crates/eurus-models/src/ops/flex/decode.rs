//! Attention of a decoding step: matrix products over the shared prompt, dot products over each sequence's own tokens.

use cpu_kernels::products::{Destination, Matrix, product};
use cpu_kernels::rows;
use rayon::prelude::*;

use super::attention::{head, scatter};
use crate::ops::{AttentionShape, DecodeSpans, PromptGroup, Segment};

/// See [`ForestOps::decode_attention`](crate::ops::ForestOps::decode_attention).
pub struct Inputs<'a> {
    pub q: &'a [f32],
    pub prompt_k: &'a [f32],
    pub prompt_v: &'a [f32],
    pub step_k: &'a [f32],
    pub step_v: &'a [f32],
}

pub fn attention(inputs: &Inputs<'_>, spans: &DecodeSpans, shape: AttentionShape) -> Vec<f32> {
    let tasks: Vec<(&PromptGroup, usize)> = spans
        .groups
        .iter()
        .flat_map(|group| (0..shape.heads).map(move |head| (group, head)))
        .collect();
    let parts: Vec<Vec<f32>> = tasks
        .par_iter()
        .map(|&(group, query_head)| group_head(inputs, spans, group, query_head, shape))
        .collect();
    let mut output = vec![0.0; spans.rows() * shape.heads * shape.head_dim];
    for ((group, query_head), part) in tasks.into_iter().zip(parts) {
        let rows = Segment {
            start: group.rows.start,
            len: group.rows.len(),
        };
        scatter(
            &mut output,
            &part,
            rows,
            shape.heads,
            query_head,
            shape.head_dim,
        );
    }
    output
}

/// The mixed values of one head for the sequences of one prompt, `[rows, head_dim]`.
fn group_head(
    inputs: &Inputs<'_>,
    spans: &DecodeSpans,
    group: &PromptGroup,
    query_head: usize,
    shape: AttentionShape,
) -> Vec<f32> {
    let d = shape.head_dim;
    let kv_head = query_head / shape.group();
    let (prompt, rows) = (group.prompt, group.rows.clone());
    let width = prompt.len + spans.steps;
    let visible = shape.visible(width - 1);
    let step_stride = spans.rows() * shape.kv_heads * d;
    let of_step = |values: &'_ [f32], step: usize, row: usize| -> std::ops::Range<usize> {
        let start = step * step_stride + row * shape.kv_heads * d + kv_head * d;
        debug_assert!(start + d <= values.len());
        start..start + d
    };
    let queries = Segment {
        start: rows.start,
        len: rows.len(),
    };
    let queries = head(inputs.q, shape.heads, query_head, d, queries);
    let mut scores = vec![0.0; rows.len() * width];
    product(
        &mut scores,
        width,
        Destination::Overwrite,
        shape.scale,
        queries,
        head(inputs.prompt_k, shape.kv_heads, kv_head, d, prompt).transposed(),
    );
    for (index, row) in rows.clone().enumerate() {
        let query = &queries.data[index * queries.row_stride..][..d];
        let scores = &mut scores[index * width..][..width];
        for (step, score) in scores[prompt.len..].iter_mut().enumerate() {
            let key = &inputs.step_k[of_step(inputs.step_k, step, row)];
            *score = shape.scale * rows::dot(query, key);
        }
        scores[..visible.start].fill(0.0);
        rows::softmax(&mut scores[visible.clone()]);
    }
    let mut output = vec![0.0; rows.len() * d];
    product(
        &mut output,
        d,
        Destination::Overwrite,
        1.0,
        Matrix::rows(&scores, rows.len(), prompt.len, width),
        head(inputs.prompt_v, shape.kv_heads, kv_head, d, prompt),
    );
    for (index, row) in rows.enumerate() {
        let weights = &scores[index * width + prompt.len..][..spans.steps];
        let output = &mut output[index * d..][..d];
        for (step, &weight) in weights.iter().enumerate() {
            let value = &inputs.step_v[of_step(inputs.step_v, step, row)];
            rows::add_scaled(output, weight, value);
        }
    }
    output
}
