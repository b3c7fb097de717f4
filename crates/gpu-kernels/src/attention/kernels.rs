//! The kernels of tree attention: one forward, two backward.
//!
//! A cube has a tile of rows of one head, a plane some of them, and goes over the tiles of keys that one of its rows sees; for the
//! gradients of keys and values it has a tile of keys, and goes over rows. Products are made in shared memory, sums stay with
//! the units. Scores are made twice forward, once for their log-sum-exp and once for the weights, so that no sum is ever
//! scaled again: it may lie in matrix units, whose layout is not known.

use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::sums::{half_row, store};
use super::tiles::{
    ALIGNMENT, Layout, Needs, add_weighted, all_products, first_row, last_end, load_tile, sees,
    write_out, write_square, zeros,
};

/// What [`mix`] has in shared memory.
pub const MIX: Needs = Needs {
    tiles: 3,
    scores: 1,
    weights: 1,
    of_row: 5,
    sets: 1,
};

/// What [`query_gradient`] has in shared memory.
pub const QUERY_GRADIENT: Needs = Needs {
    tiles: 4,
    scores: 2,
    weights: 1,
    of_row: 4,
    sets: 1,
};

/// What [`key_value_gradient`] has in shared memory.
pub const KEY_VALUE_GRADIENT: Needs = Needs {
    tiles: 4,
    scores: 2,
    weights: 2,
    of_row: 0,
    sets: 2,
};

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
    let halves = comptime!(layout.square.halves());
    let score_stride = comptime!(layout.score_stride());
    let weight_stride = comptime!(layout.weight_stride());
    let row_tile = CUBE_POS_X as usize;
    let head = CUBE_POS_Y as usize;
    let kv_head = head / comptime!(layout.heads / layout.kv_heads);
    let mut queries = Shared::<[F]>::new_aligned_slice(comptime!(layout.tile_len()), ALIGNMENT);
    let mut keys = Shared::<[F]>::new_aligned_slice(comptime!(layout.tile_len()), ALIGNMENT);
    let mut values = Shared::<[F]>::new_aligned_slice(comptime!(layout.tile_len()), ALIGNMENT);
    let mut scores = Shared::<[f32]>::new_aligned_slice(comptime!(layout.scores_len()), ALIGNMENT);
    let mut weights = Shared::<[F]>::new_aligned_slice(comptime!(layout.weights_len()), ALIGNMENT);
    let mut largest = Shared::<[f32]>::new_slice(2 * rows);
    let mut totals = Shared::<[f32]>::new_slice(2 * rows);
    let mut of_rows = Shared::<[f32]>::new_slice(rows);
    load_tile::<F>(q, &mut queries, 0, row_tile, tokens, head, heads, layout);

    // A unit has half rows of each tile of scores.
    let first = first_row(layout);
    for n in 0..halves {
        let (row, half) = half_row(n, layout.square);
        let at = 2 * (first + row) + half / comptime!(layout.square.half());
        largest[at] = f32::new(-1e30f32);
        totals[at] = f32::new(0.0f32);
    }
    for key_tile in 0..row_tile + 1 {
        if last_end(table, tokens, key_tile, layout) > row_tile * rows {
            load_tile::<F>(k, &mut keys, 0, key_tile, tokens, kv_head, kv_heads, layout);
            sync_cube();
            all_products::<F>(&queries, 0, &keys, 0, &mut scores, 0, layout);
            sync_cube();
            for n in 0..halves {
                let (row, half) = half_row(n, layout.square);
                let row = first + row;
                let half = half / comptime!(layout.square.half());
                let mut max = largest[2 * row + half];
                let mut sum = totals[2 * row + half];
                for x in 0..rows / 2 {
                    let column = half * (rows / 2) + x;
                    let (i, j) = (row_tile * rows + row, key_tile * rows + column);
                    if sees(table, tokens, i, j, layout) {
                        let score = scores[row * score_stride + column] * scale;
                        let larger = f32::max(max, score);
                        sum = sum * (max - larger).exp() + (score - larger).exp();
                        max = larger;
                    }
                }
                largest[2 * row + half] = max;
                totals[2 * row + half] = sum;
            }
            sync_cube();
        }
    }
    let mut row = UNIT_POS as usize;
    while row < rows {
        let larger = f32::max(largest[2 * row], largest[2 * row + 1]);
        let total = totals[2 * row] * (largest[2 * row] - larger).exp()
            + totals[2 * row + 1] * (largest[2 * row + 1] - larger).exp();
        let of_row = larger + total.ln();
        of_rows[row] = of_row;
        let token = row_tile * rows + row;
        if token < tokens {
            log_sum_exp[token * heads + head] = of_row;
        }
        row += comptime!(layout.units());
    }
    sync_cube();

    let mut mixed = zeros(layout);
    for key_tile in 0..row_tile + 1 {
        if last_end(table, tokens, key_tile, layout) > row_tile * rows {
            load_tile::<F>(k, &mut keys, 0, key_tile, tokens, kv_head, kv_heads, layout);
            load_tile::<F>(
                v,
                &mut values,
                0,
                key_tile,
                tokens,
                kv_head,
                kv_heads,
                layout,
            );
            sync_cube();
            all_products::<F>(&queries, 0, &keys, 0, &mut scores, 0, layout);
            sync_cube();
            let mut cell = UNIT_POS as usize;
            while cell < rows * rows {
                let (row, column) = (cell / rows, cell % rows);
                let (i, j) = (row_tile * rows + row, key_tile * rows + column);
                let mut weight = f32::new(0.0f32);
                if sees(table, tokens, i, j, layout) {
                    weight = (scores[row * score_stride + column] * scale - of_rows[row]).exp();
                }
                weights[row * weight_stride + column] = F::cast_from(weight);
                cell += comptime!(layout.units());
            }
            sync_cube();
            add_weighted::<F>(&weights, 0, &values, 0, &mut mixed, layout);
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
    let score_stride = comptime!(layout.score_stride());
    let weight_stride = comptime!(layout.weight_stride());
    let row_tile = CUBE_POS_X as usize;
    let head = CUBE_POS_Y as usize;
    let kv_head = head / comptime!(layout.heads / layout.kv_heads);
    let mut queries = Shared::<[F]>::new_aligned_slice(comptime!(layout.tile_len()), ALIGNMENT);
    let mut grads = Shared::<[F]>::new_aligned_slice(comptime!(layout.tile_len()), ALIGNMENT);
    let mut keys = Shared::<[F]>::new_aligned_slice(comptime!(layout.tile_len()), ALIGNMENT);
    let mut values = Shared::<[F]>::new_aligned_slice(comptime!(layout.tile_len()), ALIGNMENT);
    let mut scores = Shared::<[f32]>::new_aligned_slice(comptime!(layout.scores_len()), ALIGNMENT);
    let mut weight_grads =
        Shared::<[f32]>::new_aligned_slice(comptime!(layout.scores_len()), ALIGNMENT);
    let mut score_grads =
        Shared::<[F]>::new_aligned_slice(comptime!(layout.weights_len()), ALIGNMENT);
    let mut of_halves = Shared::<[f32]>::new_slice(2 * rows);
    let mut of_rows = Shared::<[f32]>::new_slice(rows);
    let mut log_sums = Shared::<[f32]>::new_slice(rows);
    load_tile::<F>(q, &mut queries, 0, row_tile, tokens, head, heads, layout);
    load_tile::<F>(grad, &mut grads, 0, row_tile, tokens, head, heads, layout);

    let half = comptime!(layout.head_dim.div_ceil(2));
    let mut at = UNIT_POS as usize;
    while at < 2 * rows {
        let token = usize::min(row_tile * rows + at / 2, tokens - 1);
        let before = (token * heads + head) * layout.head_dim;
        let mut sum = f32::new(0.0f32);
        for x in 0..half {
            let column = at % 2 * half + x;
            if column < layout.head_dim {
                sum += f32::cast_from(out[before + column]) * f32::cast_from(grad[before + column]);
            }
        }
        of_halves[at] = sum;
        at += comptime!(layout.units());
    }
    sync_cube();
    let mut row = UNIT_POS as usize;
    while row < rows {
        let of_row = of_halves[2 * row] + of_halves[2 * row + 1];
        let token = usize::min(row_tile * rows + row, tokens - 1);
        of_rows[row] = of_row;
        log_sums[row] = log_sum_exp[token * heads + head];
        if row_tile * rows + row < tokens {
            along[token * heads + head] = of_row;
        }
        row += comptime!(layout.units());
    }
    sync_cube();

    let mut sums = zeros(layout);
    for key_tile in 0..row_tile + 1 {
        if last_end(table, tokens, key_tile, layout) > row_tile * rows {
            load_tile::<F>(k, &mut keys, 0, key_tile, tokens, kv_head, kv_heads, layout);
            load_tile::<F>(
                v,
                &mut values,
                0,
                key_tile,
                tokens,
                kv_head,
                kv_heads,
                layout,
            );
            sync_cube();
            all_products::<F>(&queries, 0, &keys, 0, &mut scores, 0, layout);
            all_products::<F>(&grads, 0, &values, 0, &mut weight_grads, 0, layout);
            sync_cube();
            let mut cell = UNIT_POS as usize;
            while cell < rows * rows {
                let (row, column) = (cell / rows, cell % rows);
                let (i, j) = (row_tile * rows + row, key_tile * rows + column);
                let place = row * score_stride + column;
                let mut score_grad = f32::new(0.0f32);
                if sees(table, tokens, i, j, layout) {
                    let weight = (scores[place] * scale - log_sums[row]).exp();
                    score_grad = weight * (weight_grads[place] - of_rows[row]) * scale;
                }
                score_grads[row * weight_stride + column] = F::cast_from(score_grad);
                cell += comptime!(layout.units());
            }
            sync_cube();
            add_weighted::<F>(&score_grads, 0, &keys, 0, &mut sums, layout);
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
///
/// The first set of planes makes the scores and has the sums of the values' gradients, the second makes the gradients of the
/// weights and has the sums of the keys': no product is made twice, and neither set has more sums than it has registers.
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
    let len = comptime!(layout.tile_len());
    let scores_len = comptime!(layout.scores_len());
    let weights_len = comptime!(layout.weights_len());
    let score_stride = comptime!(layout.score_stride());
    let weight_stride = comptime!(layout.weight_stride());
    let key_tile = CUBE_POS_X as usize;
    let kv_head = CUBE_POS_Y as usize;
    let set = UNIT_POS_Y as usize / comptime!(layout.planes);
    // Keys, then values.
    let mut of_keys = Shared::<[F]>::new_aligned_slice(2 * len, ALIGNMENT);
    // Queries, then the gradients of what they mixed.
    let mut of_rows = Shared::<[F]>::new_aligned_slice(2 * len, ALIGNMENT);
    // Scores, then the gradients of the weights.
    let mut scores = Shared::<[f32]>::new_aligned_slice(2 * scores_len, ALIGNMENT);
    // Weights, then the gradients of the scores.
    let mut weights = Shared::<[F]>::new_aligned_slice(2 * weights_len, ALIGNMENT);
    load_tile::<F>(
        k,
        &mut of_keys,
        0,
        key_tile,
        tokens,
        kv_head,
        kv_heads,
        layout,
    );
    load_tile::<F>(
        v,
        &mut of_keys,
        len,
        key_tile,
        tokens,
        kv_head,
        kv_heads,
        layout,
    );

    // Here the rows of a tile of scores are keys, and its columns rows of the forest.
    let mut sums = zeros(layout);
    let end = last_end(table, tokens, key_tile, layout);
    for row_tile in key_tile..end.div_ceil(rows) {
        for of_group in 0..group {
            let head = kv_head * group + of_group;
            load_tile::<F>(q, &mut of_rows, 0, row_tile, tokens, head, heads, layout);
            load_tile::<F>(
                grad,
                &mut of_rows,
                len,
                row_tile,
                tokens,
                head,
                heads,
                layout,
            );
            sync_cube();
            let (at, scores_at) = (set * len, set * scores_len);
            all_products::<F>(&of_keys, at, &of_rows, at, &mut scores, scores_at, layout);
            sync_cube();
            let mut cell = UNIT_POS as usize;
            while cell < rows * rows {
                let (key, column) = (cell / rows, cell % rows);
                let token = key_tile * rows + key;
                let row = row_tile * rows + column;
                let place = key * score_stride + column;
                let mut weight = f32::new(0.0f32);
                let mut score_grad = f32::new(0.0f32);
                if token < tokens && sees(table, tokens, row, token, layout) {
                    let at = row * heads + head;
                    weight = (scores[place] * scale - log_sum_exp[at]).exp();
                    score_grad = weight * (scores[scores_len + place] - along[at]) * scale;
                }
                let place = key * weight_stride + column;
                weights[place] = F::cast_from(weight);
                weights[weights_len + place] = F::cast_from(score_grad);
                cell += comptime!(layout.units());
            }
            sync_cube();
            let weights_at = set * weights_len;
            let rows_at = (1 - set) * len;
            add_weighted::<F>(&weights, weights_at, &of_rows, rows_at, &mut sums, layout);
            sync_cube();
        }
    }
    let at = set * scores_len;
    let first = at + first_row(layout) * score_stride;
    #[unroll]
    for part in 0..comptime!(layout.parts()) {
        store(
            sums.index(part),
            &mut scores,
            first,
            score_stride,
            layout.square,
        );
        sync_cube();
        if set == 0 {
            write_square::<F>(
                &mut scores,
                at,
                v_grad,
                key_tile,
                tokens,
                kv_head,
                part,
                kv_heads,
                layout,
            );
        } else {
            write_square::<F>(
                &mut scores,
                at,
                k_grad,
                key_tile,
                tokens,
                kv_head,
                part,
                kv_heads,
                layout,
            );
        }
        sync_cube();
    }
}
