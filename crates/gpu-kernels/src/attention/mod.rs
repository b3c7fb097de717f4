//! Attention of every token over its root path.

mod kernels;
mod sums;
mod tiles;

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use crate::launch::{buffer, dims, element, empty};
use kernels::{KEY_VALUE_GRADIENT, MIX, QUERY_GRADIENT, key_value_gradient, mix, query_gradient};
use tiles::{Layout, Needs};

pub use tiles::COARSE_ROWS;

/// Heads and sizes of one attention layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionShape {
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Features of a head.
    pub head_dim: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// Sliding window in positions along the path.
    pub window: Option<usize>,
}

/// The tiles of a kernel on a device, and its cubes for so many heads.
fn tiled(
    q: &CubeTensor,
    shape: AttentionShape,
    needs: Needs,
    heads: usize,
) -> (Layout, CubeCount, CubeDim) {
    let layout = Layout::new(&q.client, element(q), shape, needs);
    let tiles = dims(q)[0].div_ceil(layout.tile());
    let planes = layout.planes * layout.sets;
    let dim = CubeDim::new_2d(layout.square.lanes as u32, planes as u32);
    let count = CubeCount::Static(tiles as u32, heads as u32, 1);
    (layout, count, dim)
}

/// Mixed values `[T, heads * head_dim]`, and the log-sum-exp of the scores `[T, heads]` in float32.
///
/// `q [T, heads * head_dim]`, `k` and `v [T, kv_heads * head_dim]`; `table [3 T]`: of every token the row behind the subtree of
/// its node, then of every one its position along its path, then of every [`COARSE_ROWS`] tokens the largest of those rows.
pub fn forward(
    q: CubeTensor,
    k: CubeTensor,
    v: CubeTensor,
    table: CubeTensor,
    shape: AttentionShape,
) -> (CubeTensor, CubeTensor) {
    let [tokens, width] = dims(&q);
    let out = empty(&q, [tokens, width], q.dtype);
    let log_sum_exp = empty(&q, [tokens, shape.heads], DType::F32);
    if tokens == 0 {
        return (out, log_sum_exp);
    }
    let (client, element) = (q.client.clone(), element(&q));
    let (layout, count, dim) = tiled(&q, shape, MIX, shape.heads);
    // SAFETY: rows and keys are below `tokens`, heads below their number, and the table is made for these tokens.
    unsafe {
        mix::launch_unchecked(
            &client,
            count,
            dim,
            buffer(q),
            buffer(k),
            buffer(v),
            buffer(table),
            buffer(out.clone()),
            buffer(log_sum_exp.clone()),
            tokens,
            shape.scale,
            layout,
            element,
        );
    }
    (out, log_sum_exp)
}

/// Gradients of [`forward`] with respect to `q`, `k` and `v`; scores are computed again.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    q: CubeTensor,
    k: CubeTensor,
    v: CubeTensor,
    output: CubeTensor,
    log_sum_exp: CubeTensor,
    grad: CubeTensor,
    table: CubeTensor,
    shape: AttentionShape,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let [tokens, _] = dims(&q);
    let like = |tensor: &CubeTensor| empty(tensor, tensor.meta.shape().clone(), tensor.dtype);
    let (q_grad, k_grad, v_grad) = (like(&q), like(&k), like(&v));
    let along = empty(&q, [tokens, shape.heads], DType::F32);
    if tokens == 0 {
        return (q_grad, k_grad, v_grad);
    }
    let (client, element) = (q.client.clone(), element(&q));
    let (by_row, row_tiles, of_rows) = tiled(&q, shape, QUERY_GRADIENT, shape.heads);
    let (by_key, key_tiles, of_keys) = tiled(&q, shape, KEY_VALUE_GRADIENT, shape.kv_heads);
    // SAFETY: as in `forward`.
    unsafe {
        query_gradient::launch_unchecked(
            &client,
            row_tiles,
            of_rows,
            buffer(q.clone()),
            buffer(k.clone()),
            buffer(v.clone()),
            buffer(table.clone()),
            buffer(output),
            buffer(log_sum_exp.clone()),
            buffer(grad.clone()),
            buffer(q_grad.clone()),
            buffer(along.clone()),
            tokens,
            shape.scale,
            by_row,
            element,
        );
        key_value_gradient::launch_unchecked(
            &client,
            key_tiles,
            of_keys,
            buffer(q),
            buffer(k),
            buffer(v),
            buffer(table),
            buffer(log_sum_exp),
            buffer(along),
            buffer(grad),
            buffer(k_grad.clone()),
            buffer(v_grad.clone()),
            tokens,
            shape.scale,
            by_key,
            element,
        );
    }
    (q_grad, k_grad, v_grad)
}
