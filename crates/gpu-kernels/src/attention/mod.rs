//! Attention of every token over its root path.

mod kernels;
mod sums;

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::client::Client;
use cubecl::ir::ElemType;
use cubecl::ir::features::MmaConfig;
use cubecl::prelude::*;

use crate::launch::{buffer, dims, element, empty};
use kernels::{Layout, key_value_gradient, mix, query_gradient};
use sums::{SIDE, UNITS_OF_PLANE};

/// Tokens that share an entry of the table's last row.
pub const COARSE_ROWS: usize = 16;

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

/// Planes of a cube with matrix units: tiles of 64 rows.
const PLANES: usize = 4;

/// Features of a head up to which tiles of 64 rows fit into the shared memory of a cube.
const MOST_FEATURES: usize = 128;

fn has_cores(client: &Client, element: ElemType) -> bool {
    let float = ElemType::from(cubecl::ir::FloatKind::F32);
    client
        .properties()
        .features
        .matmul
        .cmma
        .contains(&MmaConfig {
            a_type: element,
            b_type: element,
            cd_type: float,
            m: SIDE as u32,
            n: SIDE as u32,
            k: SIDE as u32,
        })
}

fn layout(q: &CubeTensor, shape: AttentionShape) -> Layout {
    let cores = has_cores(&q.client, element(q)) && shape.head_dim <= MOST_FEATURES;
    Layout {
        heads: shape.heads,
        kv_heads: shape.kv_heads,
        head_dim: shape.head_dim,
        planes: if cores { PLANES } else { 1 },
        cores,
        coarse: COARSE_ROWS,
        window: shape.window.unwrap_or(0),
    }
}

fn cubes(tokens: usize, heads: usize, layout: Layout) -> (CubeCount, CubeDim) {
    let tiles = tokens.div_ceil(layout.tile());
    let dim = CubeDim::new_2d(UNITS_OF_PLANE as u32, layout.planes as u32);
    (CubeCount::Static(tiles as u32, heads as u32, 1), dim)
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
    let layout = layout(&q, shape);
    let (count, dim) = cubes(tokens, shape.heads, layout);
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
    let layout = layout(&q, shape);
    let (by_row, dim) = cubes(tokens, shape.heads, layout);
    let (by_key, _) = cubes(tokens, shape.kv_heads, layout);
    // SAFETY: as in `forward`.
    unsafe {
        query_gradient::launch_unchecked(
            &client,
            by_row,
            dim,
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
            layout,
            element,
        );
        key_value_gradient::launch_unchecked(
            &client,
            by_key,
            dim,
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
            layout,
            element,
        );
    }
    (q_grad, k_grad, v_grad)
}
