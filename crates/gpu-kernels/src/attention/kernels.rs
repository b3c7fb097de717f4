//! The kernels of tree attention: one forward, two backward.
//!
//! A cube has a tile of rows of one head, a plane 16 of them, and goes over the tiles of keys that one of its rows sees; for the
//! gradients of keys and values it has a tile of keys, and goes over rows. Products are made in shared memory, sums stay with
//! the units. Scores are made twice forward, once for their log-sum-exp and once for the weights, so that no sum is ever
//! scaled again: it may lie in matrix units, whose layout is not known.

use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::sums::{SIDE, Second, Sums, UNITS_OF_PLANE, add_product, half_row, store, zero};

/// What kernels know when they are compiled.
#[derive(CubeType, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Planes of a cube; each has 16 rows.
    pub planes: usize,
    /// Whether products are made by matrix units.
    pub cores: bool,
    /// Tokens of an entry in the last row of the table.
    pub coarse: usize,
    /// The last `window` positions alone are seen; 0: all.
    pub window: usize,
}

impl Layout {
    /// Rows and keys of a tile.
    pub fn tile(&self) -> usize {
        self.planes * SIDE
    }

    /// Features with the zeros that fill the last 16.
    fn features(&self) -> usize {
        self.head_dim.next_multiple_of(SIDE)
    }

    /// How far rows of features stand apart in shared memory: a little more than they are long, so that the same feature of
    /// several rows lies in several banks.
    fn stride(&self) -> usize {
        self.features() + 8
    }

    /// The same for rows of weights.
    fn weight_stride(&self) -> usize {
        self.tile() + 8
    }

    /// The same for rows of scores.
    fn score_stride(&self) -> usize {
        self.tile() + 4
    }
}

/// Bytes that tiles in shared memory begin at a multiple of.
const ALIGNMENT: usize = 32;

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

/// The row behind the last one that sees a key of a tile.
#[cube]
fn last_end(table: &[i32], tokens: usize, tile: usize, #[comptime] layout: Layout) -> usize {
    let entries = comptime!(layout.tile() / layout.coarse);
    let mut end = 0i32;
    for entry in 0..entries {
        let at = tile * entries + entry;
        if at * layout.coarse < tokens {
            end = i32::max(end, table[2 * tokens + at]);
        }
    }
    usize::cast_from(end)
}

/// Copies a tile of rows of one head into shared memory; what lies behind the last row or feature is zero.
#[cube]
fn load_tile<F: Float>(
    from: &[F],
    to: &mut [F],
    tile: usize,
    tokens: usize,
    head: usize,
    #[comptime] heads: usize,
    #[comptime] layout: Layout,
) {
    let units = comptime!(layout.planes * UNITS_OF_PLANE);
    let rows = comptime!(layout.tile());
    let features = comptime!(layout.features());
    let mut i = UNIT_POS as usize;
    while i < rows * features {
        let (row, column) = (i / features, i % features);
        let token = tile * rows + row;
        let mut value = F::new(0.0);
        if token < tokens && column < layout.head_dim {
            value = from[(token * heads + head) * layout.head_dim + column];
        }
        to[row * comptime!(layout.stride()) + column] = value;
        i += units;
    }
}

/// The products of 16 rows of one tile with all rows of another, to the scores of these 16.
#[cube]
fn all_products<F: Float>(rows: &[F], keys: &[F], scores: &mut [f32], #[comptime] layout: Layout) {
    let first = UNIT_POS_Y as usize * SIDE;
    #[unroll]
    for part in 0..layout.planes {
        let mut sums = zero(layout.cores);
        add_product::<F>(
            &mut sums,
            rows,
            first * comptime!(layout.stride()),
            keys,
            part * SIDE * comptime!(layout.stride()),
            comptime!(layout.stride()),
            comptime!(layout.stride()),
            Second::Transposed,
            comptime!(layout.features()),
        );
        let at = first * comptime!(layout.score_stride()) + part * SIDE;
        store(&sums, scores, at, comptime!(layout.score_stride()));
    }
}

/// Adds the product of 16 rows of weights with all rows of a tile to sums of features.
#[cube]
fn add_weighted<F: Float>(
    weights: &[F],
    values: &[F],
    sums: &mut Sequence<Sums>,
    #[comptime] layout: Layout,
) {
    let first = UNIT_POS_Y as usize * SIDE;
    #[unroll]
    for part in 0..comptime!(layout.features() / SIDE) {
        add_product::<F>(
            sums.index_mut(part),
            weights,
            first * comptime!(layout.weight_stride()),
            values,
            part * SIDE,
            comptime!(layout.weight_stride()),
            comptime!(layout.stride()),
            Second::Plain,
            comptime!(layout.tile()),
        );
    }
}

#[cube]
fn zeros(#[comptime] layout: Layout) -> Sequence<Sums> {
    let mut sums = Sequence::<Sums>::new();
    #[unroll]
    for _part in 0..comptime!(layout.features() / SIDE) {
        sums.push(zero(layout.cores));
    }
    sums
}

/// Writes sums of features of 16 rows of one head to memory, by way of these rows of the scores.
#[cube]
fn write_out<F: Float>(
    sums: &Sequence<Sums>,
    scores: &mut [f32],
    out: &mut [F],
    tile: usize,
    tokens: usize,
    head: usize,
    #[comptime] heads: usize,
    #[comptime] layout: Layout,
) {
    let first = UNIT_POS_Y as usize * SIDE;
    let (row, half) = half_row();
    let token = tile * comptime!(layout.tile()) + first + row;
    #[unroll]
    for part in 0..comptime!(layout.features() / SIDE) {
        let at = first * comptime!(layout.score_stride());
        store(
            sums.index(part),
            scores,
            at,
            comptime!(layout.score_stride()),
        );
        sync_cube();
        for x in 0..comptime!(SIDE / 2) {
            let column = part * SIDE + half + x;
            if token < tokens && column < layout.head_dim {
                let value = scores[at + row * comptime!(layout.score_stride()) + half + x];
                out[(token * heads + head) * layout.head_dim + column] = F::cast_from(value);
            }
        }
        sync_cube();
    }
}

/// Mixed values, and the log-sum-exp of the scores.
#[cube(launch_unchecked)]
pub fn mix<F: Float>(
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
    let rows = comptime!(layout.tile());
    let len = comptime!(layout.tile() * layout.stride());
    let score_stride = comptime!(layout.score_stride());
    let row_tile = CUBE_POS_X as usize;
    let head = CUBE_POS_Y as usize;
    let kv_head = head / comptime!(layout.heads / layout.kv_heads);
    let mut queries = Shared::<[F]>::new_aligned_slice(len, ALIGNMENT);
    let mut keys = Shared::<[F]>::new_aligned_slice(len, ALIGNMENT);
    let mut values = Shared::<[F]>::new_aligned_slice(len, ALIGNMENT);
    let mut scores = Shared::<[f32]>::new_aligned_slice(rows * score_stride, ALIGNMENT);
    let mut weights =
        Shared::<[F]>::new_aligned_slice(rows * comptime!(layout.weight_stride()), ALIGNMENT);
    let mut halves = Shared::<[f32]>::new_slice(2 * rows);
    let mut half_sums = Shared::<[f32]>::new_slice(2 * rows);
    load_tile::<F>(q, &mut queries, row_tile, tokens, head, heads, layout);

    // A unit has half a row of each tile of scores.
    let lane = UNIT_POS_X as usize;
    let row = UNIT_POS_Y as usize * SIDE + lane / 2;
    let first = lane % 2 * (rows / 2);
    let token = row_tile * rows + row;
    let mut max = f32::new(-1e30f32);
    let mut sum = f32::new(0.0f32);
    for key_tile in 0..row_tile + 1 {
        if last_end(table, tokens, key_tile, layout) > row_tile * rows {
            load_tile::<F>(k, &mut keys, key_tile, tokens, kv_head, kv_heads, layout);
            sync_cube();
            all_products::<F>(&queries, &keys, &mut scores, layout);
            sync_cube();
            for x in 0..rows / 2 {
                let column = first + x;
                if sees(table, tokens, token, key_tile * rows + column, layout) {
                    let score = scores[row * score_stride + column] * scale;
                    let larger = f32::max(max, score);
                    sum = sum * (max - larger).exp() + (score - larger).exp();
                    max = larger;
                }
            }
            sync_cube();
        }
    }
    halves[2 * row + lane % 2] = max;
    half_sums[2 * row + lane % 2] = sum;
    sync_cube();
    let larger = f32::max(halves[2 * row], halves[2 * row + 1]);
    let total = half_sums[2 * row] * (halves[2 * row] - larger).exp()
        + half_sums[2 * row + 1] * (halves[2 * row + 1] - larger).exp();
    let lse = larger + total.ln();
    if token < tokens && lane % 2 == 0 {
        log_sum_exp[token * heads + head] = lse;
    }

    let mut mixed = zeros(layout);
    for key_tile in 0..row_tile + 1 {
        if last_end(table, tokens, key_tile, layout) > row_tile * rows {
            load_tile::<F>(k, &mut keys, key_tile, tokens, kv_head, kv_heads, layout);
            load_tile::<F>(v, &mut values, key_tile, tokens, kv_head, kv_heads, layout);
            sync_cube();
            all_products::<F>(&queries, &keys, &mut scores, layout);
            sync_cube();
            for x in 0..rows / 2 {
                let column = first + x;
                let mut weight = f32::new(0.0f32);
                if sees(table, tokens, token, key_tile * rows + column, layout) {
                    weight = (scores[row * score_stride + column] * scale - lse).exp();
                }
                weights[row * comptime!(layout.weight_stride()) + column] = F::cast_from(weight);
            }
            sync_cube();
            add_weighted::<F>(&weights, &values, &mut mixed, layout);
            sync_cube();
        }
    }
    write_out::<F>(
        &mixed,
        &mut scores,
        out,
        row_tile,
        tokens,
        head,
        heads,
        layout,
    );
}

/// The gradient of the queries, and of every row and head the product of output and its gradient, which the gradient of the
/// keys needs too.
#[cube(launch_unchecked)]
pub fn query_gradient<F: Float>(
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
    let rows = comptime!(layout.tile());
    let len = comptime!(layout.tile() * layout.stride());
    let score_stride = comptime!(layout.score_stride());
    let row_tile = CUBE_POS_X as usize;
    let head = CUBE_POS_Y as usize;
    let kv_head = head / comptime!(layout.heads / layout.kv_heads);
    let mut queries = Shared::<[F]>::new_aligned_slice(len, ALIGNMENT);
    let mut grads = Shared::<[F]>::new_aligned_slice(len, ALIGNMENT);
    let mut keys = Shared::<[F]>::new_aligned_slice(len, ALIGNMENT);
    let mut values = Shared::<[F]>::new_aligned_slice(len, ALIGNMENT);
    let mut scores = Shared::<[f32]>::new_aligned_slice(rows * score_stride, ALIGNMENT);
    let mut weight_grads = Shared::<[f32]>::new_aligned_slice(rows * score_stride, ALIGNMENT);
    let mut score_grads =
        Shared::<[F]>::new_aligned_slice(rows * comptime!(layout.weight_stride()), ALIGNMENT);
    load_tile::<F>(q, &mut queries, row_tile, tokens, head, heads, layout);
    load_tile::<F>(grad, &mut grads, row_tile, tokens, head, heads, layout);

    let lane = UNIT_POS_X as usize;
    let row = UNIT_POS_Y as usize * SIDE + lane / 2;
    let first = lane % 2 * (rows / 2);
    let token = row_tile * rows + row;
    let safe = usize::min(token, tokens - 1);
    let at = (safe * heads + head) * layout.head_dim;
    let mut of_row = f32::new(0.0f32);
    for column in 0..layout.head_dim {
        of_row += f32::cast_from(out[at + column]) * f32::cast_from(grad[at + column]);
    }
    if token < tokens && lane % 2 == 0 {
        along[token * heads + head] = of_row;
    }
    let lse = log_sum_exp[safe * heads + head];

    let mut sums = zeros(layout);
    for key_tile in 0..row_tile + 1 {
        if last_end(table, tokens, key_tile, layout) > row_tile * rows {
            load_tile::<F>(k, &mut keys, key_tile, tokens, kv_head, kv_heads, layout);
            load_tile::<F>(v, &mut values, key_tile, tokens, kv_head, kv_heads, layout);
            sync_cube();
            all_products::<F>(&queries, &keys, &mut scores, layout);
            all_products::<F>(&grads, &values, &mut weight_grads, layout);
            sync_cube();
            for x in 0..rows / 2 {
                let column = first + x;
                let place = row * score_stride + column;
                let mut score_grad = f32::new(0.0f32);
                if sees(table, tokens, token, key_tile * rows + column, layout) {
                    let weight = (scores[place] * scale - lse).exp();
                    score_grad = weight * (weight_grads[place] - of_row) * scale;
                }
                score_grads[row * comptime!(layout.weight_stride()) + column] =
                    F::cast_from(score_grad);
            }
            sync_cube();
            add_weighted::<F>(&score_grads, &keys, &mut sums, layout);
            sync_cube();
        }
    }
    write_out::<F>(
        &sums,
        &mut scores,
        q_grad,
        row_tile,
        tokens,
        head,
        heads,
        layout,
    );
}

/// The gradients of keys and values: a cube has a tile of keys of one key/value head, and goes over the rows from the first of
/// these keys to the last that sees one, for each query head of the group.
#[cube(launch_unchecked)]
pub fn key_value_gradient<F: Float>(
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
    let rows = comptime!(layout.tile());
    let len = comptime!(layout.tile() * layout.stride());
    let score_stride = comptime!(layout.score_stride());
    let weight_stride = comptime!(layout.weight_stride());
    let key_tile = CUBE_POS_X as usize;
    let kv_head = CUBE_POS_Y as usize;
    let mut queries = Shared::<[F]>::new_aligned_slice(len, ALIGNMENT);
    let mut grads = Shared::<[F]>::new_aligned_slice(len, ALIGNMENT);
    let mut keys = Shared::<[F]>::new_aligned_slice(len, ALIGNMENT);
    let mut values = Shared::<[F]>::new_aligned_slice(len, ALIGNMENT);
    let mut scores = Shared::<[f32]>::new_aligned_slice(rows * score_stride, ALIGNMENT);
    let mut weight_grads = Shared::<[f32]>::new_aligned_slice(rows * score_stride, ALIGNMENT);
    let mut weights = Shared::<[F]>::new_aligned_slice(rows * weight_stride, ALIGNMENT);
    let mut score_grads = Shared::<[F]>::new_aligned_slice(rows * weight_stride, ALIGNMENT);
    load_tile::<F>(k, &mut keys, key_tile, tokens, kv_head, kv_heads, layout);
    load_tile::<F>(v, &mut values, key_tile, tokens, kv_head, kv_heads, layout);

    // Here the rows of a tile of scores are keys, and its columns rows of the forest.
    let lane = UNIT_POS_X as usize;
    let key = UNIT_POS_Y as usize * SIDE + lane / 2;
    let first = lane % 2 * (rows / 2);
    let token = key_tile * rows + key;
    let mut key_sums = zeros(layout);
    let mut value_sums = zeros(layout);
    let end = last_end(table, tokens, key_tile, layout);
    for row_tile in key_tile..end.div_ceil(rows) {
        for of_group in 0..group {
            let head = kv_head * group + of_group;
            load_tile::<F>(q, &mut queries, row_tile, tokens, head, heads, layout);
            load_tile::<F>(grad, &mut grads, row_tile, tokens, head, heads, layout);
            sync_cube();
            all_products::<F>(&keys, &queries, &mut scores, layout);
            all_products::<F>(&values, &grads, &mut weight_grads, layout);
            sync_cube();
            for x in 0..rows / 2 {
                let column = first + x;
                let row = row_tile * rows + column;
                let place = key * score_stride + column;
                let mut weight = f32::new(0.0f32);
                let mut score_grad = f32::new(0.0f32);
                if token < tokens && sees(table, tokens, row, token, layout) {
                    let at = row * heads + head;
                    weight = (scores[place] * scale - log_sum_exp[at]).exp();
                    score_grad = weight * (weight_grads[place] - along[at]) * scale;
                }
                weights[key * weight_stride + column] = F::cast_from(weight);
                score_grads[key * weight_stride + column] = F::cast_from(score_grad);
            }
            sync_cube();
            add_weighted::<F>(&weights, &grads, &mut value_sums, layout);
            add_weighted::<F>(&score_grads, &queries, &mut key_sums, layout);
            sync_cube();
        }
    }
    write_out::<F>(
        &key_sums,
        &mut scores,
        k_grad,
        key_tile,
        tokens,
        kv_head,
        kv_heads,
        layout,
    );
    write_out::<F>(
        &value_sums,
        &mut scores,
        v_grad,
        key_tile,
        tokens,
        kv_head,
        kv_heads,
        layout,
    );
}
