//! Tiles of rows and keys: how large they are on a device, and what is done with them in shared memory.

use cubecl::ir::ElemType;
use cubecl::ir::features::MmaConfig;
use cubecl::prelude::*;

use super::AttentionShape;
use super::sums::{
    SIDE_OF_CORES, Second, Square, Sums, UNITS_OF_PLANE, add_product, half_row, store, zero,
};
use crate::launch::at_most;

/// Tokens that share an entry of the table's last row.
pub const COARSE_ROWS: usize = 16;

/// Planes that share the rows of a tile where there are matrix units: tiles of 64 rows.
const MOST_PLANES: usize = 4;

/// Features of a head up to which matrix units are taken: with more, a thread has more sums than registers.
const MOST_FEATURES_OF_CORES: usize = 160;

/// The smallest square of sums.
const LEAST_SIDE: usize = 4;

/// Bytes that tiles in shared memory begin at a multiple of.
pub const ALIGNMENT: usize = 32;

/// What stands in shared memory at once.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Tiles of rows of a head.
    pub tiles: usize,
    /// Tiles of scores, in float32.
    pub scores: usize,
    /// Tiles of weights.
    pub weights: usize,
    /// Numbers for each row, in float32.
    pub of_row: usize,
    /// Sets of planes that each have all rows of the tile.
    pub sets: usize,
}

/// What kernels know when they are compiled.
#[derive(CubeType, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Planes that share the rows of a tile, each as many as a square of sums has.
    pub planes: usize,
    /// Sets of such planes in a cube.
    pub sets: usize,
    /// What a plane multiplies.
    pub square: Square,
    /// The last `window` positions alone are seen; 0: all.
    pub window: usize,
}

fn has_cores(client: &Client, element: ElemType) -> bool {
    let float = ElemType::from(cubecl::ir::FloatKind::F32);
    let side = SIDE_OF_CORES as u32;
    let wanted = MmaConfig {
        a_type: element,
        b_type: element,
        cd_type: float,
        m: side,
        n: side,
        k: side,
    };
    client.properties().features.matmul.cmma.contains(&wanted)
}

impl Layout {
    /// The largest tiles for which a cube of the device has enough shared memory.
    pub fn new(client: &Client, element: ElemType, shape: AttentionShape, needs: Needs) -> Self {
        let hardware = &client.properties().hardware;
        let cores = shape.head_dim <= MOST_FEATURES_OF_CORES && has_cores(client, element);
        let mut layout = Self {
            heads: shape.heads,
            kv_heads: shape.kv_heads,
            head_dim: shape.head_dim,
            planes: if cores { MOST_PLANES } else { 1 },
            sets: needs.sets,
            square: Square {
                side: SIDE_OF_CORES,
                lanes: UNITS_OF_PLANE,
                cores,
            },
            window: shape.window.unwrap_or(0),
        };
        let most = hardware.max_shared_memory_size;
        while layout.shared_bytes(needs, element.size()) > most {
            let square = &mut layout.square;
            if layout.planes > 1 {
                layout.planes /= 2;
            } else if square.cores {
                square.cores = false;
            } else if square.side > LEAST_SIDE {
                square.side /= 2;
            } else {
                // The device refuses it, and says what is missing.
                break;
            }
        }
        let square = &mut layout.square;
        if !square.cores {
            // Where units are threads of a CPU there are few.
            let most = hardware.max_units_per_cube as usize / needs.sets;
            square.lanes = at_most(UNITS_OF_PLANE, most.min(2 * square.side));
        }
        layout
    }

    fn shared_bytes(&self, needs: Needs, bytes: usize) -> usize {
        let float = size_of::<f32>();
        let of_row = needs.tiles * self.stride() * bytes
            + needs.scores * self.score_stride() * float
            + needs.weights * self.weight_stride() * bytes
            + needs.of_row * float;
        // Each begins where it is aligned.
        let parts = needs.tiles + needs.scores + needs.weights + needs.of_row;
        self.tile() * of_row + parts * ALIGNMENT
    }

    /// Rows and keys of a tile.
    pub fn tile(&self) -> usize {
        self.planes * self.square.side
    }

    /// Features with the zeros that fill the last square.
    pub fn features(&self) -> usize {
        self.head_dim.next_multiple_of(self.square.side)
    }

    /// Squares that the features are cut into.
    pub fn parts(&self) -> usize {
        self.features() / self.square.side
    }

    /// How far rows of features stand apart in shared memory: a little more than they are long, so that the same feature of
    /// several rows lies in several banks.
    pub fn stride(&self) -> usize {
        self.features() + 8
    }

    /// The same for rows of weights.
    pub fn weight_stride(&self) -> usize {
        self.tile() + 8
    }

    /// The same for rows of scores.
    pub fn score_stride(&self) -> usize {
        self.tile() + 4
    }

    /// Units of a cube.
    pub fn units(&self) -> usize {
        self.planes * self.sets * self.square.lanes
    }

    /// Numbers of a tile of features.
    pub fn tile_len(&self) -> usize {
        self.tile() * self.stride()
    }

    /// Numbers of a tile of scores.
    pub fn scores_len(&self) -> usize {
        self.tile() * self.score_stride()
    }

    /// Numbers of a tile of weights.
    pub fn weights_len(&self) -> usize {
        self.tile() * self.weight_stride()
    }
}

/// The first row that a plane has of the tile.
#[cube]
pub fn first_row(#[comptime] layout: Layout) -> usize {
    UNIT_POS_Y as usize % comptime!(layout.planes) * comptime!(layout.square.side)
}

/// Whether the row `i` sees the key `j`.
#[cube]
pub fn sees(table: &[i32], tokens: usize, i: usize, j: usize, #[comptime] layout: Layout) -> bool {
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

/// The row behind the last one that sees a key of a tile, or one that lies behind it.
#[cube]
pub fn last_end(table: &[i32], tokens: usize, tile: usize, #[comptime] layout: Layout) -> usize {
    let entries = comptime!(layout.tile().div_ceil(COARSE_ROWS));
    let first = tile * comptime!(layout.tile()) / COARSE_ROWS;
    let mut end = 0i32;
    for entry in 0..entries {
        let at = first + entry;
        if at * COARSE_ROWS < tokens {
            end = i32::max(end, table[2 * tokens + at]);
        }
    }
    usize::cast_from(end)
}

/// Copies a tile of rows of one head into shared memory; what lies behind the last row or feature is zero.
#[cube]
pub fn load_tile<F: Float>(
    from: &[F],
    to: &mut [F],
    to_at: usize,
    tile: usize,
    tokens: usize,
    head: usize,
    #[comptime] heads: usize,
    #[comptime] layout: Layout,
) {
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
        to[to_at + row * comptime!(layout.stride()) + column] = value;
        i += comptime!(layout.units());
    }
}

/// The products of the rows that a plane has of one tile with all rows of another, to the scores of these.
#[cube]
pub fn all_products<F: Float>(
    rows: &[F],
    rows_at: usize,
    keys: &[F],
    keys_at: usize,
    scores: &mut [f32],
    scores_at: usize,
    #[comptime] layout: Layout,
) {
    let first = first_row(layout);
    let stride = comptime!(layout.stride());
    let score_stride = comptime!(layout.score_stride());
    for part in 0..layout.planes {
        let mut sums = zero(layout.square);
        let before = part * layout.square.side;
        add_product::<F>(
            &mut sums,
            rows,
            rows_at + first * stride,
            keys,
            keys_at + before * stride,
            stride,
            stride,
            Second::Transposed,
            comptime!(layout.features()),
            layout.square,
        );
        let at = scores_at + first * score_stride + before;
        store(&sums, scores, at, score_stride, layout.square);
    }
}

/// Adds the product of the rows of weights that a plane has with all rows of a tile to sums of features.
#[cube]
pub fn add_weighted<F: Float>(
    weights: &[F],
    weights_at: usize,
    values: &[F],
    values_at: usize,
    sums: &mut Sequence<Sums>,
    #[comptime] layout: Layout,
) {
    let first = first_row(layout);
    #[unroll]
    for part in 0..comptime!(layout.parts()) {
        add_product::<F>(
            sums.index_mut(part),
            weights,
            weights_at + first * comptime!(layout.weight_stride()),
            values,
            values_at + part * layout.square.side,
            comptime!(layout.weight_stride()),
            comptime!(layout.stride()),
            Second::Plain,
            comptime!(layout.tile()),
            layout.square,
        );
    }
}

/// Sums of features of the rows that a plane has.
#[cube]
pub fn zeros(#[comptime] layout: Layout) -> Sequence<Sums> {
    let mut sums = Sequence::<Sums>::new();
    #[unroll]
    for _part in 0..comptime!(layout.parts()) {
        sums.push(zero(layout.square));
    }
    sums
}

/// Writes a square of the sums of a plane to memory, which lie in its rows of the scores.
#[cube]
pub fn write_square<F: Float>(
    scores: &mut [f32],
    scores_at: usize,
    out: &mut [F],
    tile: usize,
    tokens: usize,
    head: usize,
    part: usize,
    #[comptime] heads: usize,
    #[comptime] layout: Layout,
) {
    let first = first_row(layout);
    for n in 0..comptime!(layout.square.halves()) {
        let (row, half) = half_row(n, layout.square);
        let token = tile * comptime!(layout.tile()) + first + row;
        for x in 0..comptime!(layout.square.half()) {
            let column = part * layout.square.side + half + x;
            if token < tokens && column < layout.head_dim {
                let at = scores_at + (first + row) * comptime!(layout.score_stride());
                let to = (token * heads + head) * layout.head_dim + column;
                out[to] = F::cast_from(scores[at + half + x]);
            }
        }
    }
}

/// Writes the sums of features of one head to memory, by way of the scores.
#[cube]
pub fn write_out<F: Float>(
    sums: &Sequence<Sums>,
    scores: &mut [f32],
    out: &mut [F],
    tile: usize,
    tokens: usize,
    head: usize,
    #[comptime] heads: usize,
    #[comptime] layout: Layout,
) {
    let at = first_row(layout) * comptime!(layout.score_stride());
    #[unroll]
    for part in 0..comptime!(layout.parts()) {
        store(
            sums.index(part),
            scores,
            at,
            comptime!(layout.score_stride()),
            layout.square,
        );
        sync_cube();
        write_square::<F>(scores, 0, out, tile, tokens, head, part, heads, layout);
        sync_cube();
    }
}
