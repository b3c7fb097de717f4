//! How a product of row-major matrices is put to cuBLASLt, which thinks in columns.
//!
//! A row-major matrix is the transpose of the column-major one in the same memory. So the product is asked for transposed,
//! `out^T = rhs^T lhs^T`: the library's first factor is `rhs`, its second is `lhs`, and neither is copied. A factor that is a
//! transposed view is column-major already and is handed over as transposed.

use std::fmt::{Display, Formatter};

use burn::tensor::DType;

/// The types of numbers that the library multiplies here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Number {
    F32,
    F16,
    BF16,
}

impl Number {
    pub fn of(dtype: DType) -> Option<Self> {
        match dtype {
            DType::F32 => Some(Self::F32),
            DType::F16 => Some(Self::F16),
            DType::BF16 => Some(Self::BF16),
            _ => None,
        }
    }

    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::BF16 => DType::BF16,
        }
    }

    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
        })
    }
}

/// A factor as a tensor has it, strides in elements.
#[derive(Debug, Clone, Copy)]
pub struct Factor {
    pub shape: [usize; 2],
    pub strides: [usize; 2],
    pub number: Number,
}

/// A matrix in memory, column by column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Matrix {
    pub rows: u64,
    pub columns: u64,
    /// Elements from the start of one column to the next.
    pub leading: u64,
    pub number: Number,
}

impl Matrix {
    /// Bytes from its first element to the end of its last.
    pub fn bytes(self) -> u64 {
        ((self.columns - 1) * self.leading + self.rows) * self.number.bytes()
    }
}

/// `out = op(a) op(b)`, or that added to `out`, in columns; sums in float32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gemm {
    /// In the memory of `rhs`.
    pub a: Matrix,
    pub a_transposed: bool,
    /// In the memory of `lhs`.
    pub b: Matrix,
    pub b_transposed: bool,
    pub out: Matrix,
    /// Whether the product is added to what `out` holds.
    pub onto: bool,
}

impl Gemm {
    /// The product of `lhs [m, k]` and `rhs [k, n]` into a contiguous row-major `[m, n]`. None when there is nothing to
    /// multiply, a factor's elements lie in a way that no leading dimension describes, or the library has no such types.
    pub fn new(lhs: Factor, rhs: Factor, out: Number, onto: bool) -> Option<Self> {
        let ([m, k], [rhs_k, n]) = (lhs.shape, rhs.shape);
        let types = lhs.number == rhs.number && (out == Number::F32 || out == lhs.number);
        if !types || k != rhs_k || m * k * n == 0 {
            return None;
        }
        let (a, a_transposed) = in_columns(rhs)?;
        let (b, b_transposed) = in_columns(lhs)?;
        let out = Matrix {
            rows: n as u64,
            columns: m as u64,
            leading: n as u64,
            number: out,
        };
        Some(Self {
            a,
            a_transposed,
            b,
            b_transposed,
            out,
            onto,
        })
    }

    /// Rows of the product, its inner length and its columns, as the tensors have them.
    pub fn sides(&self) -> [u64; 3] {
        let inner = match self.a_transposed {
            true => self.a.rows,
            false => self.a.columns,
        };
        [self.out.columns, inner, self.out.rows]
    }
}

/// The memory of a factor as columns, and whether these are to be transposed to have the transpose of the factor.
fn in_columns(factor: Factor) -> Option<(Matrix, bool)> {
    let ([rows, columns], [down, across]) = (factor.shape, factor.strides);
    let matrix = |rows: usize, columns: usize, leading: usize| Matrix {
        rows: rows as u64,
        columns: columns as u64,
        leading: leading as u64,
        number: factor.number,
    };
    // The stride of a side of length 1 says nothing.
    if (columns == 1 || across == 1) && (rows == 1 || down >= columns) {
        let leading = if rows == 1 { columns } else { down };
        return Some((matrix(columns, rows, leading), false));
    }
    if (rows == 1 || down == 1) && (columns == 1 || across >= rows) {
        let leading = if columns == 1 { rows } else { across };
        return Some((matrix(rows, columns, leading), true));
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What BLAS says of a product, element by element.
    fn gemm(call: &Gemm, a: &[i64], b: &[i64], out: &mut [i64]) {
        let [m, inner, n] = call.sides().map(|side| side as usize);
        let at = |matrix: Matrix, row: usize, column: usize| {
            assert!(row < matrix.rows as usize && column < matrix.columns as usize);
            row + column * matrix.leading as usize
        };
        for column in 0..m {
            for row in 0..n {
                let mut sum = 0;
                for i in 0..inner {
                    let a = match call.a_transposed {
                        true => a[at(call.a, i, row)],
                        false => a[at(call.a, row, i)],
                    };
                    let b = match call.b_transposed {
                        true => b[at(call.b, column, i)],
                        false => b[at(call.b, i, column)],
                    };
                    sum += a * b;
                }
                let out = &mut out[at(call.out, row, column)];
                *out = sum + if call.onto { *out } else { 0 };
            }
        }
    }

    /// A matrix in a memory of its own: rows or columns that follow each other at some distance.
    #[derive(Debug, Clone)]
    struct Stored {
        factor: Factor,
        memory: Vec<i64>,
    }

    impl Stored {
        fn at(&self, row: usize, column: usize) -> i64 {
            self.memory[row * self.factor.strides[0] + column * self.factor.strides[1]]
        }
    }

    fn stored(shape: [usize; 2]) -> impl Strategy<Value = Stored> {
        (any::<bool>(), 0usize..4, 1usize..50).prop_map(move |(transposed, gap, seed)| {
            let [rows, columns] = shape;
            let strides = match transposed {
                false => [columns + gap, 1],
                true => [1, rows + gap],
            };
            let elements = (rows + gap) * (columns + gap) + 8;
            let memory = (0..elements).map(|i| ((i * 7919 + seed * 104_729) % 23) as i64 - 11);
            Stored {
                factor: Factor {
                    shape,
                    strides,
                    number: Number::BF16,
                },
                memory: memory.collect(),
            }
        })
    }

    fn factors() -> impl Strategy<Value = (Stored, Stored)> {
        let sides = (1usize..8, 1usize..8, 1usize..8);
        sides.prop_flat_map(|(m, k, n)| (stored([m, k]), stored([k, n])))
    }

    proptest! {
        #[test]
        fn the_call_in_columns_is_the_product_of_the_tensors((lhs, rhs) in factors(), onto: bool) {
            let call = Gemm::new(lhs.factor, rhs.factor, Number::F32, onto).unwrap();
            let ([m, k], [_, n]) = (lhs.factor.shape, rhs.factor.shape);
            prop_assert_eq!(call.sides(), [m as u64, k as u64, n as u64]);
            let mut out: Vec<i64> = (0..(m * n) as i64).collect();
            let before = out.clone();
            gemm(&call, &rhs.memory, &lhs.memory, &mut out);
            for row in 0..m {
                for column in 0..n {
                    let sum: i64 = (0..k).map(|i| lhs.at(row, i) * rhs.at(i, column)).sum();
                    let start = if onto { before[row * n + column] } else { 0 };
                    prop_assert_eq!(out[row * n + column], sum + start);
                }
            }
        }

        /// cuBLASLt refuses a leading dimension that is shorter than a column.
        #[test]
        fn columns_do_not_overlap((lhs, rhs) in factors()) {
            let call = Gemm::new(lhs.factor, rhs.factor, Number::BF16, false).unwrap();
            for matrix in [call.a, call.b, call.out] {
                prop_assert!(matrix.leading >= matrix.rows);
            }
            prop_assert!(call.a.bytes() <= 2 * rhs.memory.len() as u64);
            prop_assert!(call.b.bytes() <= 2 * lhs.memory.len() as u64);
        }
    }

    fn plain(shape: [usize; 2], strides: [usize; 2], number: Number) -> Factor {
        Factor {
            shape,
            strides,
            number,
        }
    }

    #[test]
    fn a_factor_with_gaps_in_both_directions_is_refused() {
        let gaps = plain([4, 4], [16, 2], Number::BF16);
        let dense = plain([4, 4], [4, 1], Number::BF16);
        assert!(Gemm::new(gaps, dense, Number::BF16, false).is_none());
        assert!(Gemm::new(dense, gaps, Number::BF16, false).is_none());
    }

    #[test]
    fn a_factor_that_is_one_row_many_times_is_refused() {
        let repeated = plain([4, 4], [0, 1], Number::BF16);
        let dense = plain([4, 4], [4, 1], Number::BF16);
        assert!(Gemm::new(repeated, dense, Number::BF16, false).is_none());
    }

    #[test]
    fn nothing_to_multiply_is_refused() {
        let (lhs, rhs) = (
            plain([4, 0], [1, 1], Number::F32),
            plain([0, 4], [4, 1], Number::F32),
        );
        assert!(Gemm::new(lhs, rhs, Number::F32, false).is_none());
    }

    #[test]
    fn types_that_the_library_does_not_mix_are_refused() {
        let of = |number| plain([4, 4], [4, 1], number);
        assert!(Gemm::new(of(Number::BF16), of(Number::F32), Number::F32, false).is_none());
        assert!(Gemm::new(of(Number::F32), of(Number::F32), Number::BF16, false).is_none());
        assert!(Gemm::new(of(Number::BF16), of(Number::BF16), Number::F16, false).is_none());
        assert!(Gemm::new(of(Number::BF16), of(Number::BF16), Number::F32, false).is_some());
    }
}
