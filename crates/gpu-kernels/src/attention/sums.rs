//! Products of square tiles in shared memory, by the matrix units of a processor or, where there are none, by its ordinary ones.

use cubecl::cmma::{self, Matrix, MatrixIdent, MatrixLayout};
use cubecl::prelude::*;

/// Rows and columns of a square that matrix units multiply.
pub const SIDE_OF_CORES: usize = 16;
/// Units of a plane that works with matrix units.
pub const UNITS_OF_PLANE: usize = 32;

/// A square of sums, and who has it.
#[derive(CubeType, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Square {
    /// Rows and columns.
    pub side: usize,
    /// Units that have it together.
    pub lanes: usize,
    /// Whether they are matrix units.
    pub cores: bool,
}

impl Square {
    /// Sums of half a row.
    pub fn half(&self) -> usize {
        self.side / 2
    }

    /// Half rows of one unit.
    pub fn halves(&self) -> usize {
        2 * self.side / self.lanes
    }
}

/// A square of sums in float32, spread over the units of a plane.
#[derive(CubeType)]
#[expect(dead_code, reason = "kernels construct the expanded type")]
pub enum Sums {
    /// Of matrix units.
    Cores(Matrix<f32>),
    /// Of ordinary ones: a unit has half rows.
    Units(Array<f32>),
}

/// Whether the second factor stands in memory as it is, or transposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Second {
    /// `[depth, side]`
    Plain,
    /// `[side, depth]`
    Transposed,
}

/// Sums of zero.
#[cube]
pub fn zero(#[comptime] square: Square) -> Sums {
    if comptime!(square.cores) {
        Sums::new_Cores(Matrix::<f32>::from_value(
            MatrixIdent::Accumulator,
            SIDE_OF_CORES,
            SIDE_OF_CORES,
            SIDE_OF_CORES,
            MatrixLayout::Undefined,
            0.0,
        ))
    } else {
        let half = comptime!(square.half());
        let halves = comptime!(square.halves());
        let mut numbers = Array::<f32>::new(halves * half);
        for n in 0..halves {
            #[unroll]
            for x in 0..half {
                numbers[n * half + x] = 0.0f32;
            }
        }
        Sums::new_Units(numbers)
    }
}

/// Adds the product of a `side` x `depth` matrix at `a_at` and one of `depth` x `side` at `b_at`; rows stand `a_stride` and
/// `b_stride` apart in memory. The depth is a multiple of the side.
#[cube]
pub fn add_product<F: Float>(
    sums: &mut Sums,
    a: &[F],
    a_at: usize,
    b: &[F],
    b_at: usize,
    #[comptime] a_stride: usize,
    #[comptime] b_stride: usize,
    #[comptime] second: Second,
    #[comptime] depth: usize,
    #[comptime] square: Square,
) {
    match sums {
        Sums::Cores(matrix) => {
            // A handle to the same sums.
            let target = matrix.clone();
            let (a_len, b_len) = (a.len(), b.len());
            let is_transposed = comptime!(second == Second::Transposed);
            #[unroll]
            for step in 0..depth / SIDE_OF_CORES {
                let a_part = Matrix::<F>::from_slice(
                    MatrixIdent::A,
                    SIDE_OF_CORES,
                    SIDE_OF_CORES,
                    SIDE_OF_CORES,
                    MatrixLayout::RowMajor,
                    &a[a_at + step * SIDE_OF_CORES..a_len],
                    a_stride as u32,
                );
                if is_transposed {
                    let b_part = Matrix::<F>::from_slice(
                        MatrixIdent::B,
                        SIDE_OF_CORES,
                        SIDE_OF_CORES,
                        SIDE_OF_CORES,
                        MatrixLayout::ColMajor,
                        &b[b_at + step * SIDE_OF_CORES..b_len],
                        b_stride as u32,
                    );
                    cmma::execute(&a_part, &b_part, &target, &target);
                } else {
                    let b_part = Matrix::<F>::from_slice(
                        MatrixIdent::B,
                        SIDE_OF_CORES,
                        SIDE_OF_CORES,
                        SIDE_OF_CORES,
                        MatrixLayout::RowMajor,
                        &b[b_at + step * SIDE_OF_CORES * b_stride..b_len],
                        b_stride as u32,
                    );
                    cmma::execute(&a_part, &b_part, &target, &target);
                }
            }
        }
        Sums::Units(numbers) => {
            let half = comptime!(square.half());
            let halves = comptime!(square.halves());
            for n in 0..halves {
                let (row, first) = half_row(n, square);
                for k in 0..depth {
                    let factor = f32::cast_from(a[a_at + row * a_stride + k]);
                    #[unroll]
                    for x in 0..half {
                        let column = first + x;
                        let at = if comptime!(second == Second::Transposed) {
                            b_at + column * b_stride + k
                        } else {
                            b_at + k * b_stride + column
                        };
                        numbers[n * half + x] += factor * f32::cast_from(b[at]);
                    }
                }
            }
        }
    }
}

/// Writes the sums to shared memory, rows `stride` apart.
#[cube]
pub fn store(
    sums: &Sums,
    to: &mut [f32],
    at: usize,
    #[comptime] stride: usize,
    #[comptime] square: Square,
) {
    match sums {
        Sums::Cores(matrix) => {
            let len = to.len();
            cmma::store(
                &mut to[at..len],
                matrix,
                stride as u32,
                MatrixLayout::RowMajor,
            );
        }
        Sums::Units(numbers) => {
            let half = comptime!(square.half());
            let halves = comptime!(square.halves());
            for n in 0..halves {
                let (row, first) = half_row(n, square);
                #[unroll]
                for x in 0..half {
                    to[at + row * stride + first + x] = numbers[n * half + x];
                }
            }
        }
    }
}

/// The row of a square that the half row `n` of a unit lies in, and its first column.
#[cube]
pub fn half_row(n: usize, #[comptime] square: Square) -> (usize, usize) {
    let place = UNIT_POS_X as usize + n * comptime!(square.lanes);
    (place / 2, place % 2 * comptime!(square.half()))
}
