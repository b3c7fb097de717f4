//! The product of some panels with rows.

use super::{Columns, LINE, PANEL};
use crate::lanes::Lanes;
use crate::row_products::Rows;
#[cfg(target_arch = "x86_64")]
use crate::width::VectorWidth;

/// Inputs of a panel that go through all tiles of rows before the next ones do: 24 KiB in single precision.
const PART: usize = 192;

/// A value of a weight.
pub(super) trait Element: Copy {
    /// # Safety
    ///
    /// As for [`Lanes::load`].
    unsafe fn load<V: Lanes>(from: *const Self) -> V;
}

impl Element for f32 {
    #[inline(always)]
    unsafe fn load<V: Lanes>(from: *const Self) -> V {
        // SAFETY: what the caller promises.
        unsafe { V::load(from) }
    }
}

/// The upper half of an `f32`.
impl Element for u16 {
    #[inline(always)]
    unsafe fn load<V: Lanes>(from: *const Self) -> V {
        // SAFETY: what the caller promises.
        unsafe { V::load_bf16(from) }
    }
}

impl Element for i8 {
    #[inline(always)]
    unsafe fn load<V: Lanes>(from: *const Self) -> V {
        // SAFETY: what the caller promises.
        unsafe { V::load_i8(from) }
    }
}

/// Panels of outputs, and the rows and columns that they are for.
pub(super) struct Product<'a, E> {
    pub x: Rows<'a>,
    pub panels: *const E,
    pub inputs: usize,
    pub scales: Option<&'a [f32]>,
    pub out: Columns<'a>,
}

/// What is asked for before it is needed: in every step some lines, the steps being so many bytes apart.
#[derive(Clone, Copy)]
struct Ahead {
    from: *const u8,
    bytes: usize,
    lines: usize,
}

impl<E: Element> Product<'_, E> {
    /// Computes it with the vectors of this processor.
    ///
    /// # Safety
    ///
    /// All rows of `x`, panels and columns of `out` lie in memory that they may use.
    pub unsafe fn run(self) {
        #[cfg(target_arch = "x86_64")]
        match VectorWidth::in_use() {
            // SAFETY: the processor has this width, and what the caller promises.
            VectorWidth::Bits512 => return unsafe { x86::bits_512(self) },
            // SAFETY: as above.
            VectorWidth::Bits256 => return unsafe { x86::bits_256(self) },
            VectorWidth::Bits128 => {}
        }
        // SAFETY: as above.
        unsafe { self.compute::<[f32; 4], 6>() }
    }

    /// At most `ROWS` (up to 12) rows at a time, as many as there are registers for.
    ///
    /// # Safety
    ///
    /// All rows of `x`, panels and columns of `out` lie in memory that they may use, and the processor has the vectors.
    #[inline(always)]
    unsafe fn compute<V: Lanes, const ROWS: usize>(&self) {
        let mut first = 0;
        // The last panel may be wider than what is left of the matrix.
        let mut narrow = Vec::new();
        while first < self.out.columns {
            let columns = (self.out.columns - first).min(PANEL);
            // SAFETY: what the caller promises; rows that lie apart are copied to where they belong.
            unsafe {
                let panel = self.panels.add(first * self.inputs);
                let scales = self.scales.map(|scales| scales.as_ptr().add(first));
                let out = self.out.data.add(first);
                if columns == PANEL {
                    self.panel::<V, ROWS>(panel, scales, out, self.out.stride);
                } else {
                    narrow.resize(self.out.rows * PANEL, 0.0);
                    self.panel::<V, ROWS>(panel, scales, narrow.as_mut_ptr(), PANEL);
                    for (row, values) in narrow.chunks(PANEL).enumerate() {
                        let to = out.add(row * self.out.stride);
                        std::ptr::copy_nonoverlapping(values.as_ptr(), to, columns);
                    }
                }
            }
            first += PANEL;
        }
    }

    /// # Safety
    ///
    /// As for [`compute`](Self::compute); there is a whole panel on both sides.
    #[inline(always)]
    unsafe fn panel<V: Lanes, const ROWS: usize>(
        &self,
        panel: *const E,
        scales: Option<*const f32>,
        out: *mut f32,
        stride: usize,
    ) {
        // As equal as can be: a last tile of one row would leave most registers empty.
        let tiles = self.x.count.div_ceil(ROWS);
        let (size, larger) = (self.x.count / tiles, self.x.count % tiles);
        let mut start = 0;
        while start < self.inputs {
            let end = (start + PART).min(self.inputs);
            // Where the next part or panel begins; past the weight's end it is asked for in vain.
            let next = panel.wrapping_add(end * PANEL).cast::<u8>();
            let mut row = 0;
            for tile in 0..tiles {
                let rows = size + usize::from(tile < larger);
                let ahead = share_ahead::<E>(next, end - start, tile, tiles);
                let mut column = 0;
                while column < PANEL {
                    // SAFETY: what the caller promises.
                    unsafe {
                        let tile = Tile {
                            x: self.x.data.as_ptr().add(row * self.x.stride + start),
                            x_stride: self.x.stride,
                            weight: panel.add(start * PANEL + column),
                            inputs: end - start,
                            out: out.add(row * stride + column),
                            out_stride: stride,
                            goes_on: start > 0,
                            scales: scales
                                .filter(|_| end == self.inputs)
                                .map(|scales| scales.add(column)),
                            ahead: match column {
                                0 => ahead,
                                _ => Ahead { lines: 0, ..ahead },
                            },
                        };
                        match rows {
                            1 => tile.compute::<V, 1>(),
                            2 => tile.compute::<V, 2>(),
                            3 => tile.compute::<V, 3>(),
                            4 => tile.compute::<V, 4>(),
                            5 => tile.compute::<V, 5>(),
                            6 => tile.compute::<V, 6>(),
                            7 => tile.compute::<V, 7>(),
                            8 => tile.compute::<V, 8>(),
                            9 => tile.compute::<V, 9>(),
                            10 => tile.compute::<V, 10>(),
                            11 => tile.compute::<V, 11>(),
                            _ => tile.compute::<V, 12>(),
                        }
                    }
                    column += 2 * V::COUNT;
                }
                row += rows;
            }
            start = end;
        }
    }
}

/// A tile's share of the part of a panel that comes next, which has at most as many inputs as this one.
#[inline(always)]
fn share_ahead<E>(next: *const u8, inputs: usize, tile: usize, tiles: usize) -> Ahead {
    let bytes = PANEL * size_of::<E>();
    // What a step of all sharing tiles together reads, a line or more, or half of one.
    let sharers = tiles.min(bytes.div_ceil(LINE));
    let own = bytes / sharers;
    Ahead {
        from: next.wrapping_add(tile * own * inputs),
        bytes: own,
        lines: if tile < sharers {
            own.div_ceil(LINE)
        } else {
            0
        },
    }
}

struct Tile<E> {
    x: *const f32,
    x_stride: usize,
    weight: *const E,
    inputs: usize,
    out: *mut f32,
    out_stride: usize,
    /// The sums of the inputs before stand in `out`.
    goes_on: bool,
    /// What the sums are multiplied with when these are the last inputs.
    scales: Option<*const f32>,
    ahead: Ahead,
}

impl<E: Element> Tile<E> {
    /// `R` rows and two vectors of outputs.
    ///
    /// # Safety
    ///
    /// As for [`Product::compute`].
    #[inline(always)]
    unsafe fn compute<V: Lanes, const R: usize>(self) {
        // SAFETY: what the caller promises.
        unsafe {
            let mut sums = [[V::zero(); 2]; R];
            let place = |row: usize, half: usize| {
                let column = half * V::COUNT;
                self.out.add(row * self.out_stride + column)
            };
            if self.goes_on {
                for (row, sums) in sums.iter_mut().enumerate() {
                    *sums = [V::load(place(row, 0)), V::load(place(row, 1))];
                }
            }
            for input in 0..self.inputs {
                let weight = self.weight.add(input * PANEL);
                let weight: [V; 2] = [E::load(weight), E::load(weight.add(V::COUNT))];
                for line in 0..self.ahead.lines {
                    let place = input * self.ahead.bytes + line * LINE;
                    V::prefetch(self.ahead.from.wrapping_add(place));
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let x = V::splat(*self.x.add(row * self.x_stride + input));
                    for (sum, weight) in sums.iter_mut().zip(weight) {
                        *sum = sum.add_product(x, weight);
                    }
                }
            }
            for (row, sums) in sums.into_iter().enumerate() {
                for (half, sum) in sums.into_iter().enumerate() {
                    let sum = match self.scales {
                        Some(scales) => {
                            let scales = V::load(scales.add(half * V::COUNT));
                            V::zero().add_product(sum, scales)
                        }
                        None => sum,
                    };
                    sum.store(place(row, half));
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Element, Product};

    /// # Safety
    ///
    /// As for [`Product::compute`].
    #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
    pub unsafe fn bits_512<E: Element>(product: Product<'_, E>) {
        // SAFETY: what the caller promises.
        unsafe { product.compute::<__m512, 12>() }
    }

    /// # Safety
    ///
    /// As for [`Product::compute`].
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn bits_256<E: Element>(product: Product<'_, E>) {
        // SAFETY: what the caller promises.
        unsafe { product.compute::<__m256, 6>() }
    }
}
