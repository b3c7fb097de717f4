//! Linear layers of a model that only computes forward: the weight is rearranged once, so that every product reads it in one
//! stream, from its first byte to its last.
//!
//! A panel holds [`PANEL`] outputs, input by input. A tile of rows keeps its sums over a panel in registers: a step loads the
//! panel's values of one input and multiplies them with that input of every row. A panel goes through in parts that stay in
//! the first cache while all tiles use them, and the tiles share out the prefetch of the next part among each other: with 20
//! rows memory and arithmetic then take turns nowhere.
//!
//! ```
//! use cpu_kernels::packed_products::{Columns, PackedWeight, PackedType};
//! use cpu_kernels::row_products::Rows;
//!
//! // Two outputs of three inputs.
//! let weight = PackedWeight::new(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, PackedType::F32);
//! let mut out = [0.0; 2];
//! weight.product(Rows::new(&[1.0, 0.0, -1.0], 3), 0, Columns::new(&mut out, 2));
//! assert_eq!(out, [-2.0, -2.0]);
//! ```

use std::marker::PhantomData;

use crate::lanes::Lanes;
use crate::row_products::Rows;
use crate::width::VectorWidth;

/// Outputs of a panel.
pub const PANEL: usize = 32;

/// Inputs of a panel that go through all tiles of rows before the next ones do: 24 KiB in single precision.
const PART: usize = 192;

/// Bytes of a line of the cache.
const LINE: usize = 64;

/// How the values of a weight are kept. Products are in single precision with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackedType {
    /// As they are: 4 bytes.
    F32,
    /// Rounded to the nearest bfloat16, of two equally near ones the even: 2 bytes. Weights that come from a file of this
    /// type lose nothing.
    Bf16,
    /// Rounded to whole numbers from -127 to 127 of a step per output, the output's largest magnitude being 127: 1 byte.
    Int8,
}

/// A line of the cache, whatever it holds.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

/// The weight `[outputs, inputs]` of a linear layer.
pub struct PackedWeight {
    lines: Vec<Line>,
    /// Of each output, whole panels; empty where values are kept as they are.
    scales: Vec<f32>,
    kept_as: PackedType,
    outputs: usize,
    inputs: usize,
}

impl std::fmt::Debug for PackedWeight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PackedWeight")
            .field("outputs", &self.outputs)
            .field("inputs", &self.inputs)
            .field("kept_as", &self.kept_as)
            .finish_non_exhaustive()
    }
}

/// A value of a weight.
trait Element: Copy {
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

/// The nearest bfloat16, its bits being the upper half of an `f32`'s.
fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        // Rounding could carry a NaN over to infinity.
        return (bits >> 16) as u16 | 0x40;
    }
    let half = 0x7fff + ((bits >> 16) & 1);
    (bits.wrapping_add(half) >> 16) as u16
}

/// The factor of an output's whole numbers; NaN where one of its values is NaN or infinite.
fn scale(values: &[f32]) -> f32 {
    if values.iter().any(|value| !value.is_finite()) {
        return f32::NAN;
    }
    let magnitudes = values.iter().map(|value| value.abs());
    magnitudes.fold(0.0, f32::max) / 127.0
}

impl PackedWeight {
    /// Rearranges `weight [outputs, inputs]`.
    ///
    /// # Panics
    ///
    /// When the weight is not whole rows of `inputs` values, or has none.
    pub fn new(weight: &[f32], inputs: usize, kept_as: PackedType) -> Self {
        assert!(
            inputs > 0 && weight.len().is_multiple_of(inputs),
            "{} values are not rows of {inputs}",
            weight.len()
        );
        let outputs = weight.len() / inputs;
        let size = match kept_as {
            PackedType::F32 => size_of::<f32>(),
            PackedType::Bf16 => size_of::<u16>(),
            PackedType::Int8 => size_of::<i8>(),
        };
        let bytes = outputs.div_ceil(PANEL) * PANEL * inputs * size;
        let mut packed = Self {
            lines: vec![Line([0; LINE]); bytes.div_ceil(LINE)],
            scales: Vec::new(),
            kept_as,
            outputs,
            inputs,
        };
        match kept_as {
            PackedType::F32 => packed.fill::<f32>(weight, |_, value| value),
            PackedType::Bf16 => packed.fill::<u16>(weight, |_, value| to_bf16(value)),
            PackedType::Int8 => {
                let mut scales: Vec<f32> = weight.chunks(inputs).map(scale).collect();
                packed.fill::<i8>(weight, |output, value| {
                    // A cast of NaN is 0; the output is NaN by its scale.
                    (value / scales[output]).round() as i8
                });
                scales.resize(outputs.div_ceil(PANEL) * PANEL, 0.0);
                packed.scales = scales;
            }
        }
        packed
    }

    fn fill<E: Element>(&mut self, weight: &[f32], value: impl Fn(usize, f32) -> E) {
        let count = self.outputs.div_ceil(PANEL) * PANEL * self.inputs;
        // SAFETY: the lines have room for so many elements, are aligned for all of them, and zeros are values of each.
        let elements =
            unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast::<E>(), count) };
        for (output, row) in weight.chunks(self.inputs).enumerate() {
            let (panel, column) = (output / PANEL, output % PANEL);
            let panel = &mut elements[panel * PANEL * self.inputs..][..PANEL * self.inputs];
            for (values, &from) in panel.chunks_mut(PANEL).zip(row) {
                values[column] = value(output, from);
            }
        }
    }

    /// Whether nothing of a weight is lost in bfloat16.
    pub fn is_bf16(weight: &[f32]) -> bool {
        weight.iter().all(|value| value.to_bits() & 0xffff == 0)
    }

    /// How values are kept.
    pub fn kept_as(&self) -> PackedType {
        self.kept_as
    }

    /// Rows of the weight.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Columns of the weight.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.lines.len() * LINE + self.scales.len() * size_of::<f32>()
    }

    /// Writes a row of the weight, as it is kept, to `out`.
    ///
    /// # Panics
    ///
    /// When there is no such output, or `out` is shorter than the inputs.
    pub fn row(&self, output: usize, out: &mut [f32]) {
        assert!(output < self.outputs, "{output} of {}", self.outputs);
        let start = output / PANEL * PANEL * self.inputs + output % PANEL;
        let place = |input: usize| start + input * PANEL;
        let scale = self.scales.get(output).copied().unwrap_or(1.0);
        for (input, out) in out[..self.inputs].iter_mut().enumerate() {
            let from = self.lines.as_ptr();
            // SAFETY: the place lies inside the lines, which were filled with such elements.
            *out = unsafe {
                match self.kept_as {
                    PackedType::F32 => *from.cast::<f32>().add(place(input)),
                    PackedType::Bf16 => {
                        let half = *from.cast::<u16>().add(place(input));
                        f32::from_bits(u32::from(half) << 16)
                    }
                    PackedType::Int8 => f32::from(*from.cast::<i8>().add(place(input))) * scale,
                }
            };
        }
    }

    /// `out[r, o] = sum over i of x[r, i] * weight[first + o, i]` for every column of `out`, on this thread.
    ///
    /// Every sum is added up from the first input to the last: a row has the same result, to the bit, whatever rows it is
    /// computed with.
    ///
    /// # Panics
    ///
    /// When `first` does not begin a panel, there are more columns than outputs from there on, `out` does not have a row for
    /// each of `x`, or the rows of `x` are shorter than the inputs.
    pub fn product(&self, x: Rows<'_>, first: usize, out: Columns<'_>) {
        assert!(first.is_multiple_of(PANEL), "{first} begins no panel");
        assert!(
            first <= self.outputs && out.columns <= self.outputs - first,
            "{} outputs from {first} on of {}",
            out.columns,
            self.outputs
        );
        assert_eq!(x.count, out.rows, "rows of both sides");
        assert!(x.holds(self.inputs), "the rows are larger than their slice");
        if out.rows == 0 || out.columns == 0 {
            return;
        }
        match self.kept_as {
            PackedType::F32 => self.run::<f32>(x, first, out),
            PackedType::Bf16 => self.run::<u16>(x, first, out),
            PackedType::Int8 => self.run::<i8>(x, first, out),
        }
    }

    fn run<E: Element>(&self, x: Rows<'_>, first: usize, out: Columns<'_>) {
        // SAFETY: `first` is inside the weight.
        let panels = unsafe { self.lines.as_ptr().cast::<E>().add(first * self.inputs) };
        let product = Product {
            x,
            panels,
            inputs: self.inputs,
            scales: (!self.scales.is_empty()).then(|| &self.scales[first..]),
            out,
        };
        #[cfg(target_arch = "x86_64")]
        match VectorWidth::in_use() {
            // SAFETY: the processor has this width, and all places lie inside their slices (asserted by the caller).
            VectorWidth::Bits512 => return unsafe { x86::bits_512(product) },
            // SAFETY: as above.
            VectorWidth::Bits256 => return unsafe { x86::bits_256(product) },
            VectorWidth::Bits128 => {}
        }
        // SAFETY: as above.
        unsafe { product.compute::<[f32; 4], 6>() }
    }
}

/// Columns of a matrix that is being written, apart from its others.
pub struct Columns<'a> {
    data: *mut f32,
    rows: usize,
    stride: usize,
    columns: usize,
    matrix: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is a mutable reference to its columns, and nothing else refers to them.
unsafe impl Send for Columns<'_> {}

impl<'a> Columns<'a> {
    /// All columns of a matrix of `width`.
    ///
    /// # Panics
    ///
    /// When the slice is not whole rows.
    pub fn new(matrix: &'a mut [f32], width: usize) -> Self {
        assert!(
            width > 0 && matrix.len().is_multiple_of(width),
            "{} values are not rows of {width}",
            matrix.len()
        );
        Self {
            data: matrix.as_mut_ptr(),
            rows: matrix.len() / width,
            stride: width,
            columns: width,
            matrix: PhantomData,
        }
    }

    /// The columns of a row.
    ///
    /// # Panics
    ///
    /// When there is no such row.
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "{row} of {}", self.rows);
        // SAFETY: columns of the matrix that nothing else refers to.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(row * self.stride), self.columns) }
    }

    /// Parts of so many columns, the last being what is left, each with its first column.
    ///
    /// # Panics
    ///
    /// When a part has no columns.
    pub fn chunks(self, columns: usize) -> impl Iterator<Item = (usize, Self)> {
        (0..self.columns).step_by(columns).map(move |first| {
            let part = Self {
                // SAFETY: a column of the matrix; no two parts have a column in common.
                data: unsafe { self.data.add(first) },
                columns: columns.min(self.columns - first),
                ..self
            };
            (first, part)
        })
    }
}

struct Product<'a, E> {
    x: Rows<'a>,
    panels: *const E,
    inputs: usize,
    scales: Option<&'a [f32]>,
    out: Columns<'a>,
}

/// What is asked for before it is needed: in every step some lines, the steps being so many bytes apart.
#[derive(Clone, Copy)]
struct Ahead {
    from: *const u8,
    bytes: usize,
    lines: usize,
}

impl<E: Element> Product<'_, E> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [PackedType; 3] = [PackedType::F32, PackedType::Bf16, PackedType::Int8];

    fn values(len: usize, seed: usize) -> Vec<f32> {
        (0..len)
            .map(|i| ((i * 7919 + seed * 104_729) % 199) as f32 / 99.0 - 1.0)
            .collect()
    }

    fn whole(weight: &PackedWeight, x: &[f32]) -> Vec<f32> {
        let x = Rows::new(x, weight.inputs());
        let mut out = vec![f32::NAN; x.count * weight.outputs()];
        weight.product(x, 0, Columns::new(&mut out, weight.outputs()));
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn products_are_those_of_the_kept_rows_in_double_precision(
            (rows, outputs, inputs) in (1..40_usize, 1..140_usize, 1..420_usize),
            chunk in 1..4_usize,
        ) {
            let (x, weight) = (values(rows * inputs, 1), values(outputs * inputs, 2));
            for kept_as in ALL {
                let packed = PackedWeight::new(&weight, inputs, kept_as);
                let mut out = vec![f32::NAN; rows * outputs];
                for (first, part) in Columns::new(&mut out, outputs).chunks(chunk * PANEL) {
                    packed.product(Rows::new(&x, inputs), first, part);
                }
                let mut kept = vec![0.0; inputs];
                for output in 0..outputs {
                    packed.row(output, &mut kept);
                    for (kept, &own) in kept.iter().zip(&weight[output * inputs..]) {
                        let error = match kept_as {
                            PackedType::F32 => 0.0,
                            PackedType::Bf16 => own.abs() / 256.0,
                            PackedType::Int8 => 0.5 / 127.0 + 1e-6,
                        };
                        prop_assert!((kept - own).abs() <= error, "{kept} for {own}");
                    }
                    for row in 0..rows {
                        let products = kept.iter().zip(&x[row * inputs..])
                            .map(|(&kept, &x)| f64::from(kept) * f64::from(x));
                        let (want, magnitude) = products.fold((0.0, 1.0), |(sum, magnitude), product| {
                            (sum + product, magnitude + product.abs())
                        });
                        let got = f64::from(out[row * outputs + output]);
                        prop_assert!((got - want).abs() <= 1e-6 * magnitude, "{kept_as:?}: {got} for {want}");
                    }
                }
            }
        }

        #[test]
        fn a_row_has_the_same_bits_whatever_rows_it_is_computed_with(
            (rows, outputs, inputs) in (1..40_usize, 1..80_usize, 1..420_usize),
        ) {
            let (x, weight) = (values(rows * inputs, 3), values(outputs * inputs, 4));
            for kept_as in ALL {
                let weight = PackedWeight::new(&weight, inputs, kept_as);
                let together = whole(&weight, &x);
                for (x, together) in x.chunks(inputs).zip(together.chunks(outputs)) {
                    prop_assert_eq!(&whole(&weight, x), together);
                }
            }
        }

        #[test]
        fn bfloat16_is_the_nearest_one_and_the_even_of_two(bits in any::<u32>()) {
            let value = f32::from_bits(bits);
            let rounded = to_bf16(value);
            let of = |half: u16| f64::from(f32::from_bits(u32::from(half) << 16));
            if value.is_nan() {
                prop_assert!(of(rounded).is_nan());
            } else if of(rounded).is_finite() {
                let error = |half: u16| (of(half) - f64::from(value)).abs();
                for other in [rounded.wrapping_sub(1), rounded.wrapping_add(1)] {
                    if of(other).is_finite() && error(other) <= error(rounded) {
                        prop_assert!(error(other) == error(rounded) && rounded.is_multiple_of(2));
                    }
                }
            }
        }
    }

    #[test]
    fn weights_of_a_bfloat16_file_lose_nothing_in_it() {
        let weight: Vec<f32> = values(64 * 20, 5)
            .into_iter()
            .map(|value| f32::from_bits(value.to_bits() & 0xffff_0000))
            .collect();
        assert!(PackedWeight::is_bf16(&weight));
        let x = values(3 * 20, 6);
        let [exact, half] =
            [PackedType::F32, PackedType::Bf16].map(|kept| PackedWeight::new(&weight, 20, kept));
        assert_eq!(whole(&exact, &x), whole(&half, &x), "to the bit");
        assert!(half.bytes() * 2 == exact.bytes());
        assert!(!PackedWeight::is_bf16(&[0.1]));
    }

    #[test]
    fn nan_is_not_lost() {
        for kept_as in ALL {
            let mut x = values(40, 5);
            x[37] = f32::NAN;
            let out = whole(&PackedWeight::new(&values(60, 6), 20, kept_as), &x);
            assert!(out[..3].iter().all(|value| value.is_finite()));
            assert!(out[3..].iter().all(|value| value.is_nan()));

            let mut weight = values(60, 6);
            weight[25] = f32::NAN;
            let out = whole(&PackedWeight::new(&weight, 20, kept_as), &values(20, 5));
            assert_eq!(
                out.iter().map(|x| x.is_nan()).collect::<Vec<_>>(),
                [false, true, false]
            );
        }
    }

    #[test]
    fn a_row_of_zeros_gives_zeros() {
        let weight = PackedWeight::new(&[0.0; 40], 20, PackedType::Int8);
        assert_eq!(whole(&weight, &values(20, 1)), [0.0; 2]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let weight = PackedWeight::new(&values(40 * 3, 1), 3, PackedType::F32);
        let x = [0.0; 6];
        let refused = |x: Rows<'_>, first: usize, rows: usize, columns: usize| {
            let mut out = vec![0.0; rows * columns];
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                weight.product(x, first, Columns::new(&mut out, columns));
            }))
            .is_err()
        };
        assert!(!refused(Rows::new(&x, 3), 32, 2, 8));
        assert!(refused(Rows::new(&x, 3), 8, 2, 8), "inside a panel");
        assert!(refused(Rows::new(&x, 3), 32, 2, 9), "more than there are");
        assert!(refused(Rows::new(&x, 3), 0, 3, 8), "more rows");
        let outside = Rows {
            data: &x,
            count: 2,
            stride: 4,
        };
        assert!(refused(outside, 0, 2, 8), "rows outside their slice");
    }
}
