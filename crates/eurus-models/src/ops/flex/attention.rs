//! Tree attention without a mask and without keeping scores: each node's queries, a block of rows at a time, against
//! the keys of its root path.

use std::ops::Range;

use cpu_kernels::products::{Destination, Matrix, product};
use cpu_kernels::rows;
use rayon::prelude::*;

use crate::ops::{AttentionShape, ForestSpans, NodeSpan, Segment};

/// Queries handled together. Larger blocks make better matrix products, smaller ones waste fewer hidden keys.
const ROWS_PER_BLOCK: usize = 64;

/// A block of queries of one node and the keys that at least one of them sees.
struct Block {
    /// Rows within the node.
    rows: Range<usize>,
    /// Keys, counted along the path.
    keys: Range<usize>,
}

impl Block {
    fn of(span: &NodeSpan, shape: AttentionShape) -> impl Iterator<Item = Block> + '_ {
        (0..span.queries.len)
            .step_by(ROWS_PER_BLOCK)
            .map(move |first| {
                let rows = first..(first + ROWS_PER_BLOCK).min(span.queries.len);
                let start = shape.visible(span.path_start + rows.start).start;
                let end = shape.visible(span.path_start + rows.end - 1).end;
                Block {
                    rows,
                    keys: start..end,
                }
            })
    }

    /// The keys the query at `row` sees, counted from the block's first key.
    fn visible(&self, span: &NodeSpan, shape: AttentionShape, row: usize) -> Range<usize> {
        let keys = shape.visible(span.path_start + row);
        keys.start - self.keys.start..keys.end - self.keys.start
    }

    /// The segments the block's keys lie in, each with its offset from the block's first key.
    fn segments<'a>(&self, span: &'a NodeSpan) -> impl Iterator<Item = (usize, Segment)> + 'a {
        let wanted = self.keys.clone();
        span.keys
            .iter()
            .scan(0, |position, segment| {
                let start = *position;
                *position += segment.len;
                Some((start, *segment))
            })
            .filter_map(move |(start, segment)| {
                let first = wanted.start.max(start);
                let last = wanted.end.min(start + segment.len);
                (first < last).then(|| {
                    let part = Segment {
                        start: segment.start + (first - start),
                        len: last - first,
                    };
                    (first - wanted.start, part)
                })
            })
    }
}

/// One head's columns of a run of rows.
fn head<'a>(
    values: &'a [f32],
    heads: usize,
    head: usize,
    head_dim: usize,
    rows: Segment,
) -> Matrix<'a> {
    let stride = heads * head_dim;
    let start = rows.start * stride + head * head_dim;
    Matrix::rows(&values[start..], rows.len, head_dim, stride)
}

fn block_queries(span: &NodeSpan, block: &Block) -> Segment {
    Segment {
        start: span.queries.start + block.rows.start,
        len: block.rows.len(),
    }
}

fn scores(
    scores: &mut [f32],
    queries: Matrix<'_>,
    k: &[f32],
    kv_head: usize,
    span: &NodeSpan,
    block: &Block,
    shape: AttentionShape,
) {
    let width = block.keys.len();
    for (offset, segment) in block.segments(span) {
        let keys = head(k, shape.kv_heads, kv_head, shape.head_dim, segment);
        product(
            &mut scores[offset..],
            width,
            Destination::Overwrite,
            shape.scale,
            queries,
            keys.transposed(),
        );
    }
}

/// Returns the mixed values `[T, heads * head_dim]` and the log-sum-exp of the scores `[T, heads]`.
pub fn forward(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    spans: &ForestSpans,
    shape: AttentionShape,
) -> (Vec<f32>, Vec<f32>) {
    let tasks: Vec<(usize, usize)> = (0..spans.nodes.len())
        .flat_map(|node| (0..shape.heads).map(move |head| (node, head)))
        .collect();
    let parts: Vec<(Vec<f32>, Vec<f32>)> = tasks
        .par_iter()
        .map(|&(node, head)| forward_head(q, k, v, &spans.nodes[node], head, shape))
        .collect();
    let mut output = vec![0.0; spans.tokens * shape.heads * shape.head_dim];
    let mut log_sum_exp = vec![0.0; spans.tokens * shape.heads];
    for ((node, head), (out, lse)) in tasks.into_iter().zip(parts) {
        let queries = spans.nodes[node].queries;
        scatter(
            &mut output,
            &out,
            queries,
            shape.heads,
            head,
            shape.head_dim,
        );
        scatter(&mut log_sum_exp, &lse, queries, shape.heads, head, 1);
    }
    (output, log_sum_exp)
}

/// Writes one head's rows into its columns.
fn scatter(
    target: &mut [f32],
    rows: &[f32],
    place: Segment,
    heads: usize,
    head: usize,
    head_dim: usize,
) {
    let stride = heads * head_dim;
    let target = &mut target[place.start * stride..(place.start + place.len) * stride];
    for (target, row) in target.chunks_mut(stride).zip(rows.chunks(head_dim)) {
        target[head * head_dim..][..head_dim].copy_from_slice(row);
    }
}

fn forward_head(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    span: &NodeSpan,
    query_head: usize,
    shape: AttentionShape,
) -> (Vec<f32>, Vec<f32>) {
    let d = shape.head_dim;
    let kv_head = query_head / shape.group();
    let mut output = vec![0.0; span.queries.len * d];
    let mut log_sum_exp = vec![0.0; span.queries.len];
    let mut weights = Vec::new();
    for block in Block::of(span, shape) {
        let width = block.keys.len();
        weights.resize(block.rows.len() * width, 0.0);
        let queries = head(q, shape.heads, query_head, d, block_queries(span, &block));
        scores(&mut weights, queries, k, kv_head, span, &block, shape);
        for (row, weights) in block.rows.clone().zip(weights.chunks_mut(width)) {
            let visible = block.visible(span, shape, row);
            // The product below runs over all keys of the block, those that this query does not see included.
            weights[..visible.start].fill(0.0);
            weights[visible.end..].fill(0.0);
            log_sum_exp[row] = rows::softmax(&mut weights[visible]);
        }
        for (offset, segment) in block.segments(span) {
            product(
                &mut output[block.rows.start * d..],
                d,
                Destination::Add,
                1.0,
                Matrix::rows(&weights[offset..], block.rows.len(), segment.len, width),
                head(v, shape.kv_heads, kv_head, d, segment),
            );
        }
    }
    (output, log_sum_exp)
}

/// The inputs of [`backward`]: the forward pass's inputs and outputs and the gradient of the output.
pub struct BackwardInputs<'a> {
    pub q: &'a [f32],
    pub k: &'a [f32],
    pub v: &'a [f32],
    pub output: &'a [f32],
    pub log_sum_exp: &'a [f32],
    pub grad: &'a [f32],
}

/// Gradients of one tree's tokens, one key/value head with the query heads that share it.
struct HeadGradients {
    /// `[group][tokens, head_dim]`.
    q: Vec<Vec<f32>>,
    k: Vec<f32>,
    v: Vec<f32>,
}

/// Returns the gradients of `q`, `k` and `v`.
pub fn backward(
    inputs: &BackwardInputs<'_>,
    spans: &ForestSpans,
    shape: AttentionShape,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    // Trees share no tokens and key/value heads no columns, so each task owns its sums.
    let tasks: Vec<(usize, usize)> = (0..spans.trees.len())
        .flat_map(|tree| (0..shape.kv_heads).map(move |head| (tree, head)))
        .collect();
    let parts: Vec<HeadGradients> = tasks
        .par_iter()
        .map(|&(tree, kv_head)| {
            backward_head(
                inputs,
                &spans.nodes[spans.trees[tree].clone()],
                kv_head,
                shape,
            )
        })
        .collect();
    let d = shape.head_dim;
    let mut q = vec![0.0; spans.tokens * shape.heads * d];
    let mut k = vec![0.0; spans.tokens * shape.kv_heads * d];
    let mut v = k.clone();
    for ((tree, kv_head), part) in tasks.into_iter().zip(parts) {
        let tokens = tree_tokens(&spans.nodes[spans.trees[tree].clone()]);
        for (member, rows) in part.q.iter().enumerate() {
            let query_head = kv_head * shape.group() + member;
            scatter(&mut q, rows, tokens, shape.heads, query_head, d);
        }
        scatter(&mut k, &part.k, tokens, shape.kv_heads, kv_head, d);
        scatter(&mut v, &part.v, tokens, shape.kv_heads, kv_head, d);
    }
    (q, k, v)
}

/// A tree's nodes are neighbours in packed order.
fn tree_tokens(nodes: &[NodeSpan]) -> Segment {
    let start = nodes.first().map_or(0, |node| node.queries.start);
    let end = nodes
        .last()
        .map_or(start, |node| node.queries.start + node.queries.len);
    Segment {
        start,
        len: end - start,
    }
}

fn backward_head(
    inputs: &BackwardInputs<'_>,
    nodes: &[NodeSpan],
    kv_head: usize,
    shape: AttentionShape,
) -> HeadGradients {
    let d = shape.head_dim;
    let tokens = tree_tokens(nodes);
    let mut sums = HeadGradients {
        q: vec![vec![0.0; tokens.len * d]; shape.group()],
        k: vec![0.0; tokens.len * d],
        v: vec![0.0; tokens.len * d],
    };
    let mut weights = Vec::new();
    let mut weight_grads = Vec::new();
    for span in nodes {
        for (member, block) in
            (0..shape.group()).flat_map(|m| Block::of(span, shape).map(move |block| (m, block)))
        {
            let query_head = kv_head * shape.group() + member;
            let (rows, width) = (block.rows.len(), block.keys.len());
            let place = block_queries(span, &block);
            let queries = head(inputs.q, shape.heads, query_head, d, place);
            let out_grad = head(inputs.grad, shape.heads, query_head, d, place);
            let output = head(inputs.output, shape.heads, query_head, d, place);
            weights.resize(rows * width, 0.0);
            weight_grads.resize(rows * width, 0.0);
            scores(
                &mut weights,
                queries,
                inputs.k,
                kv_head,
                span,
                &block,
                shape,
            );
            for (offset, segment) in block.segments(span) {
                product(
                    &mut weight_grads[offset..],
                    width,
                    Destination::Overwrite,
                    1.0,
                    out_grad,
                    head(inputs.v, shape.kv_heads, kv_head, d, segment).transposed(),
                );
            }
            for (index, row) in block.rows.clone().enumerate() {
                let visible = block.visible(span, shape, row);
                let weights = &mut weights[index * width..][..width];
                let weight_grads = &mut weight_grads[index * width..][..width];
                for hidden in [0..visible.start, visible.end..width] {
                    weights[hidden.clone()].fill(0.0);
                    weight_grads[hidden].fill(0.0);
                }
                let token = place.start + index;
                let log_sum_exp = inputs.log_sum_exp[token * shape.heads + query_head];
                rows::softmax_known(&mut weights[visible.clone()], log_sum_exp);
                let row_of = |matrix: &Matrix<'_>| index * matrix.row_stride;
                let along = rows::dot(
                    &output.data[row_of(&output)..][..d],
                    &out_grad.data[row_of(&out_grad)..][..d],
                );
                rows::softmax_backward(
                    &weights[visible.clone()],
                    &mut weight_grads[visible],
                    along,
                );
            }
            for (offset, segment) in block.segments(span) {
                let weights = Matrix::rows(&weights[offset..], rows, segment.len, width);
                let score_grads = Matrix::rows(&weight_grads[offset..], rows, segment.len, width);
                let local = (segment.start - tokens.start) * d;
                product(
                    &mut sums.v[local..],
                    d,
                    Destination::Add,
                    1.0,
                    weights.transposed(),
                    out_grad,
                );
                product(
                    &mut sums.k[local..],
                    d,
                    Destination::Add,
                    shape.scale,
                    score_grads.transposed(),
                    queries,
                );
                product(
                    &mut sums.q[member][(place.start - tokens.start) * d..],
                    d,
                    Destination::Add,
                    shape.scale,
                    score_grads,
                    head(inputs.k, shape.kv_heads, kv_head, d, segment),
                );
            }
        }
    }
    sums
}
