//! Linear layers of a model that only computes forward: the weight is rearranged once, so that every product reads it in one
//! stream, from its first byte to its last.
//!
//! A panel holds [`PANEL`] outputs, input by input. A tile of rows keeps its sums over a panel in registers: a step loads the
//! panel's values of one input and multiplies them with that input of every row. A panel goes through in parts that stay in
//! the first cache while all tiles use them, and the tiles share out the prefetch of the next part among each other, so that
//! memory and arithmetic do not take turns.
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

mod columns;
mod kernel;
#[cfg(test)]
mod tests;

use half::bf16;

use crate::row_products::Rows;

pub use columns::Columns;
use kernel::{Element, Product};

/// Outputs of a panel.
pub const PANEL: usize = 32;

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
    /// When the weight is not whole rows of `inputs` values, or a row has none.
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
            PackedType::Bf16 => {
                packed.fill::<u16>(weight, |_, value| bf16::from_f32(value).to_bits())
            }
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
                        bf16::from_bits(half).to_f32()
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
        let product = Product {
            x,
            // SAFETY: `first` is inside the weight.
            panels: unsafe { self.lines.as_ptr().cast::<E>().add(first * self.inputs) },
            inputs: self.inputs,
            scales: (!self.scales.is_empty()).then(|| &self.scales[first..]),
            out,
        };
        // SAFETY: all places lie inside their slices (asserted by the caller).
        unsafe { product.run() }
    }
}
