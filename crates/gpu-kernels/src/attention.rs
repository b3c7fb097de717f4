//! Attention of every token over its root path: one kernel forward, two backward.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use crate::launch::{buffer, dims, element, empty};

/// Rows and keys that a cube takes at once; a unit has one pair of them.
const TILE: usize = 16;

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

/// What all kernels know when they are compiled.
#[derive(CubeType, Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Layout {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    /// Rows and keys of a tile.
    tile: usize,
    /// Rows of the table table's coarse entries.
    coarse: usize,
    /// The last `window` positions alone are seen; 0: all.
    window: usize,
}

/// Whether the row `i` sees the key `j`.
#[cube]
fn sees(table: &[i32], tokens: usize, i: usize, j: usize, #[comptime] layout: Layout) -> bool {
    let mut visible = false;
    if i < tokens && j <= i {
        visible = i32::cast_from(i) < table[j];
        if comptime!(layout.window > 0) {
            let distance = table[tokens + i] - table[tokens + j];
            visible = visible && distance < comptime!(layout.window as i32).runtime();
        }
    }
    visible
}

/// Copies a tile of rows of one head into shared memory; what lies behind the last row is zero.
#[cube]
fn load_tile<F: Float>(
    from: &[F],
    to: &mut Shared<[f32]>,
    first_row: usize,
    tokens: usize,
    head: usize,
    #[comptime] heads: usize,
    #[comptime] layout: Layout,
) {
    let row = UNIT_POS_Y as usize;
    let mut column = UNIT_POS_X as usize;
    while column < layout.head_dim {
        let mut value = f32::new(0.0f32);
        if first_row + row < tokens {
            let at = ((first_row + row) * heads + head) * layout.head_dim + column;
            value = f32::cast_from(from[at]);
        }
        to[row * layout.head_dim + column] = value;
        column += layout.tile;
    }
}

/// The scalar product of a row of a tile and one of a matrix.
#[cube]
fn dot<F: Float>(
    tile: &Shared<[f32]>,
    row_of_tile: usize,
    matrix: &[F],
    at: usize,
    #[comptime] layout: Layout,
) -> f32 {
    let mut sum = f32::new(0.0f32);
    for column in 0..layout.head_dim {
        sum += tile[row_of_tile * layout.head_dim + column] * f32::cast_from(matrix[at + column]);
    }
    sum
}

/// A cube has a tile of rows of one head, and goes over the tiles of keys.
#[cube(launch_unchecked)]
fn mix<F: Float>(
    q: &[F],
    k: &[F],
    v: &[F],
    table: &[i32],
    out: &mut [F],
    log_sum_exp: &mut [f32],
    tokens: usize,
    scale: f32,
    #[comptime] layout: Layout,
    #[define(F)] _element: ElemType,
) {
    let heads = comptime!(layout.heads);
    let kv_heads = comptime!(layout.kv_heads);
    let tile = comptime!(layout.tile);
    let columns = comptime!(layout.head_dim.div_ceil(layout.tile));
    let head = CUBE_POS_Y as usize;
    let kv_head = head / comptime!(layout.heads / layout.kv_heads);
    let first_row = CUBE_POS_X as usize * tile;
    let (r, c) = (UNIT_POS_Y as usize, UNIT_POS_X as usize);
    let row = first_row + r;
    let row_at = (usize::min(row, tokens - 1) * heads + head) * layout.head_dim;

    let mut keys = Shared::<[f32]>::new_slice(comptime!(layout.tile * layout.head_dim));
    let mut values = Shared::<[f32]>::new_slice(comptime!(layout.tile * layout.head_dim));
    let mut weights = Shared::<[f32]>::new_slice(comptime!(layout.tile * layout.tile));
    let mut mixed = Array::<f32>::new(columns);
    for x in 0..columns {
        mixed[x] = 0.0f32;
    }
    let mut max = f32::new(-1e30f32);
    let mut sum = f32::new(0.0f32);
    for key_tile in 0..CUBE_POS_X as usize + 1 {
        let first_key = key_tile * tile;
        // The same for all units of the cube.
        let is_seen =
            table[2 * tokens + first_key / comptime!(layout.coarse)] > i32::cast_from(first_row);
        if is_seen {
            load_tile::<F>(k, &mut keys, first_key, tokens, kv_head, kv_heads, layout);
            load_tile::<F>(v, &mut values, first_key, tokens, kv_head, kv_heads, layout);
            sync_cube();
            let mut score = f32::new(-1e30f32);
            if sees(table, tokens, row, first_key + c, layout) {
                score = dot::<F>(&keys, c, q, row_at, layout) * scale;
            }
            weights[r * tile + c] = score;
            sync_cube();
            let mut new_max = max;
            for x in 0..tile {
                new_max = f32::max(new_max, weights[r * tile + x]);
            }
            let shrink = (max - new_max).exp();
            max = new_max;
            sum *= shrink;
            for x in 0..columns {
                mixed[x] = mixed[x] * shrink;
            }
            for x in 0..tile {
                let score = weights[r * tile + x];
                // Else a row that sees none of these keys would weigh them all alike.
                if score > -1e29f32 {
                    let weight = (score - new_max).exp();
                    sum += weight;
                    for y in 0..columns {
                        let column = c + y * tile;
                        if column < layout.head_dim {
                            mixed[y] = mixed[y] + weight * values[x * layout.head_dim + column];
                        }
                    }
                }
            }
            sync_cube();
        }
    }
    if row < tokens {
        for y in 0..columns {
            let column = c + y * tile;
            if column < layout.head_dim {
                out[row_at + column] = F::cast_from(mixed[y] / sum);
            }
        }
        if c == 0 {
            log_sum_exp[row * heads + head] = max + sum.ln();
        }
    }
}

/// The gradient of the queries, and of every row and head the product of output and its gradient, which the gradient of the
/// keys needs too. Cubes as in the forward pass.
#[cube(launch_unchecked)]
fn query_gradient<F: Float>(
    q: &[F],
    k: &[F],
    v: &[F],
    table: &[i32],
    out: &[F],
    log_sum_exp: &[f32],
    grad: &[F],
    q_grad: &mut [F],
    along: &mut [f32],
    tokens: usize,
    scale: f32,
    #[comptime] layout: Layout,
    #[define(F)] _element: ElemType,
) {
    let heads = comptime!(layout.heads);
    let kv_heads = comptime!(layout.kv_heads);
    let tile = comptime!(layout.tile);
    let columns = comptime!(layout.head_dim.div_ceil(layout.tile));
    let head = CUBE_POS_Y as usize;
    let kv_head = head / comptime!(layout.heads / layout.kv_heads);
    let first_row = CUBE_POS_X as usize * tile;
    let (r, c) = (UNIT_POS_Y as usize, UNIT_POS_X as usize);
    let row = first_row + r;
    let safe_row = usize::min(row, tokens - 1);
    let row_at = (safe_row * heads + head) * layout.head_dim;

    let mut keys = Shared::<[f32]>::new_slice(comptime!(layout.tile * layout.head_dim));
    let mut values = Shared::<[f32]>::new_slice(comptime!(layout.tile * layout.head_dim));
    let mut score_grads = Shared::<[f32]>::new_slice(comptime!(layout.tile * layout.tile));
    let mut sums = Array::<f32>::new(columns);
    for x in 0..columns {
        sums[x] = 0.0f32;
    }
    let mut of_row = f32::new(0.0f32);
    for column in 0..layout.head_dim {
        of_row += f32::cast_from(out[row_at + column]) * f32::cast_from(grad[row_at + column]);
    }
    let lse = log_sum_exp[safe_row * heads + head];
    for key_tile in 0..CUBE_POS_X as usize + 1 {
        let first_key = key_tile * tile;
        let is_seen =
            table[2 * tokens + first_key / comptime!(layout.coarse)] > i32::cast_from(first_row);
        if is_seen {
            load_tile::<F>(k, &mut keys, first_key, tokens, kv_head, kv_heads, layout);
            load_tile::<F>(v, &mut values, first_key, tokens, kv_head, kv_heads, layout);
            sync_cube();
            let mut score_grad = f32::new(0.0f32);
            if sees(table, tokens, row, first_key + c, layout) {
                let weight = (dot::<F>(&keys, c, q, row_at, layout) * scale - lse).exp();
                let weight_grad = dot::<F>(&values, c, grad, row_at, layout);
                score_grad = weight * (weight_grad - of_row) * scale;
            }
            score_grads[r * tile + c] = score_grad;
            sync_cube();
            for x in 0..tile {
                let score_grad = score_grads[r * tile + x];
                for y in 0..columns {
                    let column = c + y * tile;
                    if column < layout.head_dim {
                        sums[y] = sums[y] + score_grad * keys[x * layout.head_dim + column];
                    }
                }
            }
            sync_cube();
        }
    }
    if row < tokens {
        for y in 0..columns {
            let column = c + y * tile;
            if column < layout.head_dim {
                q_grad[row_at + column] = F::cast_from(sums[y]);
            }
        }
        if c == 0 {
            along[row * heads + head] = of_row;
        }
    }
}

/// The gradients of keys and values. A cube has a tile of keys of one key/value head, and goes over the rows from the first of
/// these keys to the last that sees one, for each query head of the group.
#[cube(launch_unchecked)]
fn key_value_gradient<F: Float>(
    q: &[F],
    k: &[F],
    v: &[F],
    table: &[i32],
    log_sum_exp: &[f32],
    along: &[f32],
    grad: &[F],
    k_grad: &mut [F],
    v_grad: &mut [F],
    tokens: usize,
    scale: f32,
    #[comptime] layout: Layout,
    #[define(F)] _element: ElemType,
) {
    let heads = comptime!(layout.heads);
    let kv_heads = comptime!(layout.kv_heads);
    let group = comptime!(layout.heads / layout.kv_heads);
    let tile = comptime!(layout.tile);
    let columns = comptime!(layout.head_dim.div_ceil(layout.tile));
    let kv_head = CUBE_POS_Y as usize;
    let key_tile = CUBE_POS_X as usize;
    let first_key = key_tile * tile;
    let (r, c) = (UNIT_POS_Y as usize, UNIT_POS_X as usize);
    let key = first_key + r;
    let key_at = (usize::min(key, tokens - 1) * kv_heads + kv_head) * layout.head_dim;

    let mut queries = Shared::<[f32]>::new_slice(comptime!(layout.tile * layout.head_dim));
    let mut grads = Shared::<[f32]>::new_slice(comptime!(layout.tile * layout.head_dim));
    let mut weights = Shared::<[f32]>::new_slice(comptime!(layout.tile * layout.tile));
    let mut score_grads = Shared::<[f32]>::new_slice(comptime!(layout.tile * layout.tile));
    let mut key_sums = Array::<f32>::new(columns);
    let mut value_sums = Array::<f32>::new(columns);
    for x in 0..columns {
        key_sums[x] = 0.0f32;
        value_sums[x] = 0.0f32;
    }
    let last_end = usize::cast_from(table[2 * tokens + first_key / comptime!(layout.coarse)]);
    for row_tile in key_tile..last_end.div_ceil(tile) {
        let first_row = row_tile * tile;
        for of_group in 0..group {
            let head = kv_head * group + of_group;
            load_tile::<F>(q, &mut queries, first_row, tokens, head, heads, layout);
            load_tile::<F>(grad, &mut grads, first_row, tokens, head, heads, layout);
            sync_cube();
            let row = first_row + c;
            let mut weight = f32::new(0.0f32);
            let mut score_grad = f32::new(0.0f32);
            if key < tokens && sees(table, tokens, row, key, layout) {
                let at = row * heads + head;
                weight = (dot::<F>(&queries, c, k, key_at, layout) * scale - log_sum_exp[at]).exp();
                let weight_grad = dot::<F>(&grads, c, v, key_at, layout);
                score_grad = weight * (weight_grad - along[at]) * scale;
            }
            weights[r * tile + c] = weight;
            score_grads[r * tile + c] = score_grad;
            sync_cube();
            for x in 0..tile {
                let weight = weights[r * tile + x];
                let score_grad = score_grads[r * tile + x];
                for y in 0..columns {
                    let column = c + y * tile;
                    if column < layout.head_dim {
                        let at = x * layout.head_dim + column;
                        value_sums[y] = value_sums[y] + weight * grads[at];
                        key_sums[y] = key_sums[y] + score_grad * queries[at];
                    }
                }
            }
            sync_cube();
        }
    }
    if key < tokens {
        for y in 0..columns {
            let column = c + y * tile;
            if column < layout.head_dim {
                k_grad[key_at + column] = F::cast_from(key_sums[y]);
                v_grad[key_at + column] = F::cast_from(value_sums[y]);
            }
        }
    }
}

fn layout(shape: AttentionShape) -> Layout {
    Layout {
        heads: shape.heads,
        kv_heads: shape.kv_heads,
        head_dim: shape.head_dim,
        tile: TILE,
        coarse: COARSE_ROWS,
        window: shape.window.unwrap_or(0),
    }
}

fn cubes(tokens: usize, heads: usize) -> (CubeCount, CubeDim) {
    let count = CubeCount::Static(tokens.div_ceil(TILE) as u32, heads as u32, 1);
    (count, CubeDim::new_2d(TILE as u32, TILE as u32))
}

/// Mixed values `[T, heads * head_dim]`, and the log-sum-exp of the scores `[T, heads]` in float32.
///
/// `q [T, heads * head_dim]`, `k` and `v [T, kv_heads * head_dim]`; `table [3, T]`: of every token the row behind the subtree of
/// its node and its position along its path, then of every [`COARSE_ROWS`] tokens the largest of those rows.
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
    let (count, dim) = cubes(tokens, shape.heads);
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
            layout(shape),
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
    let (by_row, dim) = cubes(tokens, shape.heads);
    let (by_key, _) = cubes(tokens, shape.kv_heads);
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
            layout(shape),
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
            layout(shape),
            element,
        );
    }
    (q_grad, k_grad, v_grad)
}
