//! How the work of one piece of keys is shared out between the units of a cube.

use cubecl::prelude::*;

use crate::attention::AttentionShape;
use crate::launch::at_most;

/// Units of a cube, where the device has as many at once.
const UNITS: usize = 256;

/// Bytes of shared memory that every GPU has.
const SHARED_BYTES: usize = 32 * 1024;

/// Keys that are in shared memory at once, where there is room for them.
const MOST_KEYS: usize = 32;

/// Query heads that go over keys together in a cube, where there are as many.
pub const QUERIES: usize = 16;

/// Rows that one piece has at most.
fn rows_of_piece(shape: AttentionShape) -> usize {
    (QUERIES * shape.kv_heads / shape.heads).max(1)
}

/// What the kernels know when they are compiled.
#[derive(CubeType, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Rows of a piece, at most.
    rows: usize,
    /// Units of a cube.
    pub units: usize,
    /// Keys that are in shared memory at once; divides a block.
    pub tile: usize,
    /// The last `window` positions alone are seen; 0: all.
    pub window: usize,
}

impl Layout {
    /// What a device has room and units for.
    pub fn new(client: &Client, shape: AttentionShape) -> Self {
        let hardware = &client.properties().hardware;
        let units = at_most(UNITS, hardware.max_units_per_cube as usize);
        let mut layout = Self {
            heads: shape.heads,
            kv_heads: shape.kv_heads,
            head_dim: shape.head_dim,
            rows: rows_of_piece(shape),
            units,
            tile: MOST_KEYS.min(units),
            window: shape.window.unwrap_or(0),
        };
        while layout.tile > 4 && layout.shared_bytes() > SHARED_BYTES {
            layout.tile /= 2;
        }
        layout
    }

    fn shared_bytes(&self) -> usize {
        let of_query = self.head_dim + self.tile + 3;
        size_of::<f32>() * (self.queries() * of_query + self.tile * self.stride())
    }

    /// Query heads of one key/value head.
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Query heads that go over a piece together.
    pub fn queries(&self) -> usize {
        self.rows * self.group()
    }

    /// How far keys stand apart in shared memory, so that the same feature of several keys lies in several banks.
    pub fn stride(&self) -> usize {
        self.head_dim + 1
    }

    /// Units that have the scores of one key, each of other queries.
    pub fn lanes_of_key(&self) -> usize {
        self.units / self.tile
    }

    /// Units that have the sums of one feature, each of other queries.
    pub fn lanes_of_feature(&self) -> usize {
        match self.units.is_multiple_of(self.head_dim) {
            true => self.units / self.head_dim,
            false => 1,
        }
    }

    /// Features that a unit has.
    pub fn features_of_unit(&self) -> usize {
        self.head_dim.div_ceil(self.units)
    }
}
