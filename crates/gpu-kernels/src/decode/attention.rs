//! Attention of one new token per sequence over a cache that is kept in blocks.
//!
//! The keys of a sequence are those of its prompt, which it shares with other samples of it, and its own. Both are cut into
//! pieces, and a cube has one piece and one key/value head for all sequences that share the piece: its mixed values, and the
//! largest and the sum of its weights. A second kernel puts the pieces of every sequence together.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use crate::attention::AttentionShape;
use crate::launch::{buffer, cubes_for, element, empty, row_of, row_of_units};

use super::layout::Layout;
pub use super::layout::QUERIES;

/// Tokens of a block of the cache.
pub const BLOCK: usize = 64;

/// Entries of the table before its pieces, for each row: its token, where its keys are written, its position, and the first of
/// its parts. One more says where the parts of the last row end.
pub const ENTRIES_OF_ROW: usize = 4;

/// Entries of a piece: its first row, how many rows have it, where the blocks of its tokens stand in the table, the first of
/// these tokens that is in it, how many are, the position of the first, and which of the parts of its rows it is.
pub const ENTRIES_OF_PIECE: usize = 7;

/// How long the parts of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableSize {
    /// Sequences.
    pub rows: usize,
    /// Pieces of keys.
    pub pieces: usize,
    /// Parts that are put together: for every row the pieces that it has.
    pub parts: usize,
}

/// Less than any score.
const LEAST: f32 = -1e30;

/// The query `n` of a unit that has every one of `lanes`, from its own on; behind the last one, the last one.
#[cube]
fn query_of(lane: usize, n: usize, #[comptime] lanes: usize, #[comptime] queries: usize) -> usize {
    let mut query = lane + n * lanes;
    // Where none can lie behind it the places of all are known from the first.
    if comptime!(!queries.is_multiple_of(lanes)) {
        query = usize::min(query, queries - 1);
    }
    query
}

/// The mixed values of one piece, not divided by the sum of their weights, and the largest score and that sum.
#[cube(launch_unchecked)]
fn mix_piece<F: Float>(
    q: &[F],
    keys: &[F],
    values: &[F],
    table: &[i32],
    mixed: &mut [f32],
    statistics: &mut [f32],
    rows: usize,
    scale: f32,
    #[comptime] layout: Layout,
    #[define(F)] _element: ElemType,
) {
    let d = comptime!(layout.head_dim);
    let heads = comptime!(layout.heads);
    let group = comptime!(layout.group());
    let queries = comptime!(layout.queries());
    let tile = comptime!(layout.tile);
    let stride = comptime!(layout.stride());
    let width = comptime!(layout.kv_heads * layout.head_dim);
    let lanes_of_key = comptime!(layout.lanes_of_key());
    let scores_of_unit = comptime!(layout.queries().div_ceil(layout.lanes_of_key()));
    let lanes_of_feature = comptime!(layout.lanes_of_feature());
    let features_of_lane = comptime!(layout.units / layout.lanes_of_feature());
    let features_of_unit = comptime!(layout.features_of_unit());
    let queries_of_unit = comptime!(layout.queries().div_ceil(layout.lanes_of_feature()));

    let unit = UNIT_POS as usize;
    let kv_head = CUBE_POS_Y as usize;
    let piece = rows * ENTRIES_OF_ROW + 1 + CUBE_POS_X as usize * ENTRIES_OF_PIECE;
    let first_row = usize::cast_from(table[piece]);
    let row_count = usize::cast_from(table[piece + 1]);
    let blocks = usize::cast_from(table[piece + 2]);
    let first_key = usize::cast_from(table[piece + 3]);
    let key_count = usize::cast_from(table[piece + 4]);
    let first_position = table[piece + 5];
    let part = usize::cast_from(table[piece + 6]);

    let mut of_queries = Shared::<[f32]>::new_slice(queries * d);
    let mut of_keys = Shared::<[f32]>::new_slice(tile * stride);
    let mut weights = Shared::<[f32]>::new_slice(queries * tile);
    let mut largest = Shared::<[f32]>::new_slice(queries);
    let mut totals = Shared::<[f32]>::new_slice(queries);
    let mut factors = Shared::<[f32]>::new_slice(queries);
    let mut i = unit;
    while i < queries * d {
        let row = i / d / group;
        let mut value = f32::new(0.0f32);
        if row < row_count {
            let head = kv_head * group + i / d % group;
            value = f32::cast_from(q[((first_row + row) * heads + head) * d + i % d]) * scale;
        }
        of_queries[i] = value;
        i += comptime!(layout.units);
    }
    let mut query = unit;
    while query < queries {
        largest[query] = f32::new(LEAST);
        totals[query] = f32::new(0.0f32);
        query += comptime!(layout.units);
    }
    let mut sums = Array::<f32>::new(comptime!(queries_of_unit * features_of_unit));
    #[unroll]
    for n in 0..queries_of_unit * features_of_unit {
        sums[n] = f32::new(0.0f32);
    }

    // A piece that lies before the windows of all its rows has no weight.
    let mut tiles = key_count.div_ceil(tile);
    if comptime!(layout.window > 0) {
        let mut is_seen = false;
        let last = first_position + i32::cast_from(key_count) - 1;
        for row in 0..row_count {
            let distance = table[2 * rows + first_row + row] - last;
            if distance < comptime!(layout.window as i32).runtime() {
                is_seen = true;
            }
        }
        if !is_seen {
            tiles = comptime!(0usize).runtime();
        }
    }

    let key = unit % tile;
    let lane_of_key = unit / tile;
    let lane_of_feature = unit / features_of_lane;
    let first_feature = unit % features_of_lane;
    for t in 0..tiles {
        let first = t * tile;
        let token = first_key + first;
        // A tile lies in one block.
        let slot = usize::cast_from(table[blocks + token / BLOCK]) * BLOCK + token % BLOCK;
        let count = usize::min(tile, key_count - first);
        let mut i = unit;
        while i < tile * d {
            let row = i / d;
            let mut value = f32::new(0.0f32);
            if row < count {
                value = f32::cast_from(keys[(slot + row) * width + kv_head * d + i % d]);
            }
            of_keys[row * stride + i % d] = value;
            i += comptime!(layout.units);
        }
        sync_cube();

        let mut scores = Array::<f32>::new(scores_of_unit);
        #[unroll]
        for n in 0..scores_of_unit {
            scores[n] = f32::new(0.0f32);
        }
        for feature in 0..d {
            let factor = of_keys[key * stride + feature];
            #[unroll]
            for n in 0..scores_of_unit {
                let query = query_of(lane_of_key, n, lanes_of_key, queries);
                scores[n] += of_queries[query * d + feature] * factor;
            }
        }
        #[unroll]
        for n in 0..scores_of_unit {
            let query = lane_of_key + n * lanes_of_key;
            if query < queries {
                let row = query / group;
                let mut is_seen = key < count && row < row_count;
                if comptime!(layout.window > 0) {
                    let at = usize::min(row, row_count - 1);
                    let position = first_position + i32::cast_from(first + key);
                    let distance = table[2 * rows + first_row + at] - position;
                    is_seen = is_seen && distance < comptime!(layout.window as i32).runtime();
                }
                let mut score = f32::new(LEAST);
                if is_seen {
                    score = scores[n];
                }
                weights[query * tile + key] = score;
            }
        }
        sync_cube();

        let mut query = unit;
        while query < queries {
            let before = largest[query];
            let mut max = before;
            for key in 0..tile {
                max = f32::max(max, weights[query * tile + key]);
            }
            factors[query] = (before - max).exp();
            largest[query] = max;
            query += comptime!(layout.units);
        }
        sync_cube();

        #[unroll]
        for n in 0..scores_of_unit {
            let query = lane_of_key + n * lanes_of_key;
            if query < queries {
                let score = weights[query * tile + key];
                let mut weight = (score - largest[query]).exp();
                // The other way round what is not a number would be no weight.
                if score <= LEAST {
                    weight = f32::new(0.0f32);
                }
                weights[query * tile + key] = weight;
            }
        }
        sync_cube();

        let mut query = unit;
        while query < queries {
            let mut total = totals[query] * factors[query];
            for key in 0..tile {
                total += weights[query * tile + key];
            }
            totals[query] = total;
            query += comptime!(layout.units);
        }
        #[unroll]
        for n in 0..queries_of_unit {
            let query = query_of(lane_of_feature, n, lanes_of_feature, queries);
            #[unroll]
            for f in 0..features_of_unit {
                sums[n * features_of_unit + f] *= factors[query];
            }
        }
        for key in 0..count {
            #[unroll]
            for f in 0..features_of_unit {
                let feature = first_feature + f * layout.units;
                if feature < d {
                    let value =
                        f32::cast_from(values[(slot + key) * width + kv_head * d + feature]);
                    #[unroll]
                    for n in 0..queries_of_unit {
                        let query = query_of(lane_of_feature, n, lanes_of_feature, queries);
                        sums[n * features_of_unit + f] += weights[query * tile + key] * value;
                    }
                }
            }
        }
        sync_cube();
    }

    #[unroll]
    for n in 0..queries_of_unit {
        let query = lane_of_feature + n * lanes_of_feature;
        let row = query / group;
        if query < queries && row < row_count {
            let first_part = usize::cast_from(table[3 * rows + first_row + row]);
            let head = kv_head * group + query % group;
            let at = (first_part + part) * heads + head;
            #[unroll]
            for f in 0..features_of_unit {
                let feature = first_feature + f * layout.units;
                if feature < d {
                    mixed[at * d + feature] = sums[n * features_of_unit + f];
                }
            }
            if first_feature == 0 {
                statistics[2 * at] = largest[query];
                statistics[2 * at + 1] = totals[query];
            }
        }
    }
}

/// Puts the parts of every row together. A unit has one feature of one head of a row.
#[cube(launch_unchecked)]
fn combine<F: Float>(
    mixed: &[f32],
    statistics: &[f32],
    table: &[i32],
    out: &mut [F],
    rows: usize,
    heads: usize,
    head_dim: usize,
    #[define(F)] _element: ElemType,
) {
    let i = ABSOLUTE_POS;
    if i < out.len() {
        let head = i / head_dim % heads;
        let row = i / head_dim / heads;
        let begin = usize::cast_from(table[3 * rows + row]);
        let end = usize::cast_from(table[3 * rows + row + 1]);
        let mut max = f32::new(LEAST);
        for part in begin..end {
            max = f32::max(max, statistics[2 * (part * heads + head)]);
        }
        let mut total = f32::new(0.0f32);
        let mut sum = f32::new(0.0f32);
        for part in begin..end {
            let at = part * heads + head;
            let share = (statistics[2 * at] - max).exp();
            total += share * statistics[2 * at + 1];
            sum += share * mixed[at * head_dim + i % head_dim];
        }
        out[i] = F::cast_from(sum / total);
    }
}

/// Mixed values `[B, heads * head_dim]` of one new token of each of `B` sequences.
///
/// `q [B, heads * head_dim]`; `keys` and `values` `[blocks * BLOCK, kv_heads * head_dim]` have the new tokens already. `table` are
/// integers: tokens `[B]`, where their keys are `[B]`, their positions `[B]`, the first parts of the rows `[B + 1]`, the pieces
/// `[pieces, ENTRIES_OF_PIECE]`, and blocks. A piece begins at a multiple of [`BLOCK`] tokens, and has [`rows_of_piece`] rows at
/// most.
pub fn attention(
    q: CubeTensor,
    keys: CubeTensor,
    values: CubeTensor,
    table: CubeTensor,
    size: TableSize,
    shape: AttentionShape,
) -> CubeTensor {
    let out = empty(&q, q.meta.shape().clone(), q.dtype);
    if size.rows == 0 {
        return out;
    }
    let TableSize {
        rows,
        pieces,
        parts,
    } = size;
    let mixed = empty(&q, [parts, shape.heads * shape.head_dim], DType::F32);
    let statistics = empty(&q, [parts, 2 * shape.heads], DType::F32);
    let (client, kind) = (q.client.clone(), element(&q));
    let layout = Layout::new(&client, shape);
    // SAFETY: the table names rows, parts and tokens that there are; heads and features are below their number.
    unsafe {
        mix_piece::launch_unchecked(
            &client,
            CubeCount::Static(pieces as u32, shape.kv_heads as u32, 1),
            row_of(layout.units),
            buffer(q),
            buffer(keys),
            buffer(values),
            buffer(table.clone()),
            mixed.clone().into_buffer_arg(),
            statistics.clone().into_buffer_arg(),
            rows,
            shape.scale,
            layout,
            kind,
        );
        combine::launch_unchecked(
            &client,
            cubes_for(&client, rows * shape.heads * shape.head_dim),
            row_of_units(),
            buffer(mixed),
            buffer(statistics),
            buffer(table),
            out.clone().into_buffer_arg(),
            rows,
            shape.heads,
            shape.head_dim,
            kind,
        );
    }
    out
}
