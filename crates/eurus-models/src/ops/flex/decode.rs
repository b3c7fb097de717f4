//! Attention of a decoding step. The query heads that share keys go through them together; a sequence's result does not depend
//! on the others.

use std::ops::Range;

use cpu_kernels::row_products::{Rows, row_product};
use cpu_kernels::rows;
use rayon::prelude::*;

use crate::ops::{AttentionShape, DecodeSpans, Segment};

/// See [`ForestOps::decode_attention`](crate::ops::ForestOps::decode_attention).
pub struct Inputs<'a> {
    pub q: &'a [f32],
    pub prompt_k: &'a [f32],
    pub prompt_v: &'a [f32],
    pub step_k: &'a [f32],
    pub step_v: &'a [f32],
}

pub fn attention(inputs: &Inputs<'_>, spans: &DecodeSpans, shape: AttentionShape) -> Vec<f32> {
    let prompts: Vec<Segment> = spans
        .groups
        .iter()
        .flat_map(|group| group.rows.clone().map(|_| group.prompt))
        .collect();
    let mut output = vec![0.0; spans.rows() * shape.heads * shape.head_dim];
    // Of one sequence, the heads with the same keys follow each other.
    output
        .par_chunks_mut(shape.group() * shape.head_dim)
        .enumerate()
        .for_each_init(Vec::new, |scores, (place, output)| {
            let (row, kv_head) = (place / shape.kv_heads, place % shape.kv_heads);
            let keys_values = KeysValues::new(inputs, spans, prompts[row], row, kv_head, shape);
            let queries = &inputs.q[place * output.len()..][..output.len()];
            keys_values.attend(queries, output, scores, shape);
        });
    output
}

/// What the heads of a group see of a sequence: part of its prompt, then part of its own tokens.
struct KeysValues<'a> {
    prompt: [Rows<'a>; 2],
    steps: [Rows<'a>; 2],
}

impl<'a> KeysValues<'a> {
    fn new(
        inputs: &Inputs<'a>,
        spans: &DecodeSpans,
        prompt: Segment,
        row: usize,
        kv_head: usize,
        shape: AttentionShape,
    ) -> Self {
        let width = shape.kv_heads * shape.head_dim;
        let visible = shape.visible(prompt.len + spans.steps - 1);
        let first = visible.start;
        let of_prompt = first.min(prompt.len)..prompt.len;
        let of_steps = first.saturating_sub(prompt.len)..spans.steps;
        let rows = |data: &'a [f32], stride: usize, offset: usize, range: &Range<usize>| Rows {
            data: &data[(range.start * stride + offset).min(data.len())..],
            count: range.len(),
            stride,
        };
        let head = kv_head * shape.head_dim;
        Self {
            prompt: [inputs.prompt_k, inputs.prompt_v]
                .map(|data| rows(data, width, prompt.start * width + head, &of_prompt)),
            steps: [inputs.step_k, inputs.step_v]
                .map(|data| rows(data, spans.rows() * width, row * width + head, &of_steps)),
        }
    }

    /// The mixed values of the heads `queries [group, head_dim]`. `scores` is room that is used again.
    fn attend(
        &self,
        queries: &[f32],
        output: &mut [f32],
        scores: &mut Vec<f32>,
        shape: AttentionShape,
    ) {
        let d = shape.head_dim;
        let queries = Rows::new(queries, d);
        let [prompt_k, prompt_v] = self.prompt;
        let [step_k, step_v] = self.steps;
        let width = prompt_k.count + step_k.count;
        scores.resize(queries.count * width, 0.0);
        row_product(scores, width, queries, prompt_k, d);
        row_product(&mut scores[prompt_k.count..], width, queries, step_k, d);
        for (scores, output) in scores.chunks_mut(width).zip(output.chunks_mut(d)) {
            for score in scores.iter_mut() {
                *score *= shape.scale;
            }
            rows::softmax(scores);
            let (of_prompt, of_steps) = scores.split_at(prompt_k.count);
            rows::add_weighted(output, of_prompt, prompt_v.data, prompt_v.stride);
            rows::add_weighted(output, of_steps, step_v.data, step_v.stride);
        }
    }
}
