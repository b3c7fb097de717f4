//! Rows times a weight whose rows are the outputs: the product of a linear layer, whose bits do not depend on the number of rows.
//!
//! `gemm` is made for large matrices: with few rows it rearranges a weight that is read once, or leaves most of its registers
//! empty. Here every output is one dot product along the memory of the weight, many of them at a time, and the next lines of
//! the weight are fetched while those before them are used.

use crate::lanes::{Lanes, SUMS};
#[cfg(target_arch = "x86_64")]
use crate::width::VectorWidth;

/// Rows of values that need not touch each other.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The first value is the first of the first row.
    pub data: &'a [f32],
    /// How many.
    pub count: usize,
    /// Values from one row to the next.
    pub stride: usize,
}

impl<'a> Rows<'a> {
    /// Rows of `width` values that follow each other.
    pub fn new(data: &'a [f32], width: usize) -> Self {
        Self {
            data,
            count: data.len() / width.max(1),
            stride: width,
        }
    }

    /// Whether rows of `width` values lie inside the slice.
    pub(crate) fn holds(&self, width: usize) -> bool {
        is_inside(self.count, self.stride, width, self.data.len())
    }
}

/// Whether the last of `count` rows ends inside so many elements.
fn is_inside(count: usize, stride: usize, width: usize, len: usize) -> bool {
    let extent = match count.checked_sub(1) {
        None => Some(0),
        Some(last) => last
            .checked_mul(stride)
            .and_then(|start| start.checked_add(width)),
    };
    extent.is_some_and(|extent| extent <= len)
}

/// `out[r, o] = sum over i < width of x[r, i] * weight[o, i]` on this thread, with the rows of `out` `out_stride` apart.
///
/// Every sum is added up in an order that depends on `width` and the vector width alone: a row of `x` has the same result,
/// to the bit, whatever rows it is computed with.
///
/// # Panics
///
/// When rows are larger than their slice, or the rows of `out` overlap.
pub fn row_product(
    out: &mut [f32],
    out_stride: usize,
    x: Rows<'_>,
    weight: Rows<'_>,
    width: usize,
) {
    assert!(x.holds(width), "the rows are larger than their slice");
    assert!(weight.holds(width), "the weight is larger than its slice");
    assert!(
        (out_stride >= weight.count || x.count < 2)
            && is_inside(x.count, out_stride, weight.count, out.len()),
        "the destination is smaller than the product"
    );
    if x.count == 0 || weight.count == 0 {
        return;
    }
    let product = Product {
        out: out.as_mut_ptr(),
        out_stride,
        x,
        weight,
        width,
    };
    #[cfg(target_arch = "x86_64")]
    match VectorWidth::in_use() {
        // SAFETY: the processor has this width, and all rows lie inside their slices (asserted above).
        VectorWidth::Bits512 => return unsafe { x86::bits_512(product) },
        // SAFETY: as above.
        VectorWidth::Bits256 => return unsafe { x86::bits_256(product) },
        VectorWidth::Bits128 => {}
    }
    // SAFETY: all rows lie inside their slices (asserted above).
    unsafe { product.compute::<[f32; 4], 2>() }
}

/// Outputs that are computed together.
const OUTPUTS: usize = SUMS;
/// Outputs that a tile of rows goes through before the next one does, where there are so many rows that these, and not the
/// weight, are worth being read once.
const BLOCK: usize = 64;
/// Up to this many rows the weight is what is read once.
const FEW_ROWS: usize = 96;
/// Values in a line of the cache.
const LINE: usize = 16;

struct Product<'a> {
    out: *mut f32,
    out_stride: usize,
    x: Rows<'a>,
    weight: Rows<'a>,
    width: usize,
}

impl Product<'_> {
    /// At most `ROWS` (up to 6) rows at a time, as many as there are registers for.
    ///
    /// # Safety
    ///
    /// All rows lie inside their slices, and the processor has the vectors.
    #[inline(always)]
    unsafe fn compute<V: Lanes, const ROWS: usize>(&self) {
        // As equal as can be: a last tile of one row would leave most registers empty.
        let tiles = self.x.count.div_ceil(ROWS);
        let (size, larger) = (self.x.count / tiles, self.x.count % tiles);
        let block = if self.x.count <= FEW_ROWS {
            OUTPUTS
        } else {
            BLOCK
        };
        let mut start = 0;
        while start < self.weight.count {
            let end = (start + block).min(self.weight.count);
            let mut row = 0;
            for tile in 0..tiles {
                let rows = size + usize::from(tile < larger);
                let mut output = start;
                while output < end {
                    // What the tiles share out of the next outputs' weight.
                    let next = Ahead::new(self, output + OUTPUTS, tile, tiles);
                    // SAFETY: what the caller promises.
                    unsafe {
                        match rows {
                            1 => self.tile::<V, 1>(row, output, next),
                            2 => self.tile::<V, 2>(row, output, next),
                            3 => self.tile::<V, 3>(row, output, next),
                            4 => self.tile::<V, 4>(row, output, next),
                            5 => self.tile::<V, 5>(row, output, next),
                            _ => self.tile::<V, 6>(row, output, next),
                        }
                    }
                    output += OUTPUTS;
                }
                row += rows;
            }
            start = end;
        }
    }

    /// # Safety
    ///
    /// As for [`compute`](Self::compute); there are `R` rows from `row` on.
    #[inline(always)]
    unsafe fn tile<V: Lanes, const R: usize>(&self, row: usize, output: usize, ahead: Ahead) {
        // SAFETY: what the caller promises; past the last output the last one is computed again and thrown away.
        unsafe {
            let x: [*const f32; R] =
                std::array::from_fn(|r| self.x.data.as_ptr().add((row + r) * self.x.stride));
            let last = self.weight.count - 1;
            let weight: [*const f32; OUTPUTS] = std::array::from_fn(|o| {
                let place = (output + o).min(last) * self.weight.stride;
                self.weight.data.as_ptr().add(place)
            });
            let mut sums = [[V::zero(); OUTPUTS]; R];
            let whole = self.width / V::COUNT * V::COUNT;
            let mut next = ahead.from;
            let mut i = 0;
            while i < whole {
                let w: [V; OUTPUTS] = std::array::from_fn(|o| V::load(weight[o].add(i)));
                if i % LINE == 0 {
                    for line in 0..ahead.lines {
                        V::prefetch(next.wrapping_add(line * LINE).cast());
                    }
                    next = next.wrapping_add(ahead.lines * LINE);
                }
                for r in 0..R {
                    let x = V::load(x[r].add(i));
                    for o in 0..OUTPUTS {
                        sums[r][o] = sums[r][o].add_product(x, w[o]);
                    }
                }
                i += V::COUNT;
            }
            if whole < self.width {
                let padded = |from: *const f32| {
                    let mut rest = [0.0f32; 16];
                    let count = self.width - whole;
                    std::ptr::copy_nonoverlapping(from.add(whole), rest.as_mut_ptr(), count);
                    V::load(rest.as_ptr())
                };
                let w: [V; OUTPUTS] = std::array::from_fn(|o| padded(weight[o]));
                for r in 0..R {
                    let x = padded(x[r]);
                    for o in 0..OUTPUTS {
                        sums[r][o] = sums[r][o].add_product(x, w[o]);
                    }
                }
            }
            let count = OUTPUTS.min(self.weight.count - output);
            for (r, sums) in sums.into_iter().enumerate() {
                let sums = V::sums(sums);
                let out = self.out.add((row + r) * self.out_stride + output);
                std::ptr::copy_nonoverlapping(sums.as_ptr(), out, count);
            }
        }
    }
}

/// Lines of the weight that are asked for before they are needed.
#[derive(Clone, Copy)]
struct Ahead {
    from: *const f32,
    /// For every line of a row.
    lines: usize,
}

impl Ahead {
    /// The share of a tile of rows in the weight of the outputs from `output` on.
    #[inline(always)]
    fn new(product: &Product<'_>, output: usize, tile: usize, tiles: usize) -> Self {
        let weight = &product.weight;
        let is_whole = weight.stride == product.width && output < weight.count;
        let lines = match tiles {
            _ if !is_whole || tile >= OUTPUTS => 0,
            1 => 4,
            2 | 3 => 2,
            _ => 1,
        };
        let place = output * weight.stride + tile * lines * product.width;
        Self {
            from: weight.data.as_ptr().wrapping_add(place),
            lines,
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Product;

    /// # Safety
    ///
    /// As for [`Product::compute`].
    #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
    pub unsafe fn bits_512(product: Product<'_>) {
        // SAFETY: what the caller promises.
        unsafe { product.compute::<__m512, 6>() }
    }

    /// # Safety
    ///
    /// As for [`Product::compute`].
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn bits_256(product: Product<'_>) {
        // SAFETY: what the caller promises.
        unsafe { product.compute::<__m256, 3>() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(len: usize, seed: usize) -> Vec<f32> {
        (0..len)
            .map(|i| ((i * 7919 + seed * 104_729) % 199) as f32 / 99.0 - 1.0)
            .collect()
    }

    fn product(x: &[f32], weight: &[f32], width: usize) -> Vec<f32> {
        let (x, weight) = (Rows::new(x, width), Rows::new(weight, width));
        let mut out = vec![f32::NAN; x.count * weight.count];
        row_product(&mut out, weight.count, x, weight, width);
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn products_are_those_of_double_precision(
            (rows, outputs, width) in (1..110_usize, 1..140_usize, 1..100_usize),
            gap in 0..5_usize,
        ) {
            let stride = width + gap;
            let (a, b) = (values(rows * stride, 1), values(outputs * stride, 2));
            let of = |data, count| Rows { data, count, stride };
            let out_stride = outputs + gap;
            let mut out = vec![7.0; rows * out_stride];
            row_product(&mut out, out_stride, of(&a, rows), of(&b, outputs), width);
            for row in 0..rows {
                for output in 0..outputs {
                    let want: f64 = (0..width)
                        .map(|i| f64::from(a[row * stride + i]) * f64::from(b[output * stride + i]))
                        .sum();
                    prop_assert!((f64::from(out[row * out_stride + output]) - want).abs() <= 1e-4);
                }
                prop_assert!(out[row * out_stride + outputs..][..gap].iter().all(|&x| x == 7.0), "between rows");
            }
        }

        #[test]
        fn a_row_has_the_same_bits_whatever_rows_it_is_computed_with(
            (rows, outputs, width) in (1..110_usize, 1..140_usize, 1..100_usize),
        ) {
            let (x, weight) = (values(rows * width, 3), values(outputs * width, 4));
            let together = product(&x, &weight, width);
            for (x, together) in x.chunks(width).zip(together.chunks(outputs)) {
                prop_assert_eq!(&product(x, &weight, width), together);
            }
        }
    }

    #[test]
    fn nan_is_not_lost() {
        let mut x = values(40, 5);
        x[37] = f32::NAN;
        let out = product(&x, &values(60, 6), 20);
        assert!(out[..3].iter().all(|value| value.is_finite()));
        assert!(out[3..].iter().all(|value| value.is_nan()));
    }

    #[test]
    fn what_lies_outside_a_slice_is_refused_even_where_its_place_overflows() {
        let values = [0.0; 6];
        let good = Rows::new(&values, 3);
        for stride in [4, usize::MAX, usize::MAX / 2 + 2] {
            let bad = Rows { stride, ..good };
            for (x, weight) in [(bad, good), (good, bad)] {
                let outcome = std::panic::catch_unwind(|| {
                    row_product(&mut [0.0; 4], 2, x, weight, 3);
                });
                assert!(outcome.is_err(), "{stride}");
            }
        }
        let outcome = std::panic::catch_unwind(|| row_product(&mut [0.0; 4], 1, good, good, 3));
        assert!(outcome.is_err(), "rows of the destination overlap");
    }
}
