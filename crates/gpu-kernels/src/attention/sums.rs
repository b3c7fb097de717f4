//! Products of 16 x 16 tiles in shared memory, by the matrix units of a processor or, where there are none, by its ordinary ones.

use cubecl::cmma::{self, Matrix, MatrixIdent, MatrixLayout};
use cubecl::prelude::*;

/// Rows and columns of a tile of sums.
pub const SIDE: usize = 16;
/// Units that have a tile of sums together.
pub const UNITS_OF_PLANE: usize = 32;
/// Sums of one unit where there are no matrix units: half a row.
const SUMS_OF_UNIT: usize = SIDE * SIDE / UNITS_OF_PLANE;

/// 16 x 16 sums in float32, spread over the units of a plane.
#[derive(CubeType)]
#[expect(dead_code, reason = "kernels construct the expanded type")]
pub enum Sums {
    /// Of matrix units.
    Cores(Matrix<f32>),
    /// Of ordinary ones: a unit has half a row.
    Units(Array<f32>),
}

/// Whether the second factor stands in memory as it is, or transposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Second {
    /// `[depth, 16]`
    Plain,
    /// `[16, depth]`
    Transposed,
}

/// Sums of zero.
#[cube]
pub fn zero(#[comptime] cores: bool) -> Sums {
    if comptime!(cores) {
        Sums::new_Cores(Matrix::<f32>::from_value(
            MatrixIdent::Accumulator,
            SIDE,
            SIDE,
            SIDE,
            MatrixLayout::Undefined,
            0.0,
        ))
    } else {
        let mut numbers = Array::<f32>::new(SUMS_OF_UNIT);
        #[unroll]
        for i in 0..SUMS_OF_UNIT {
            numbers[i] = 0.0f32;
        }
        Sums::new_Units(numbers)
    }
}

/// Adds the product of a 16 x `depth` matrix at `a_at` and one of `depth` x 16 at `b_at`; rows stand `a_stride` and `b_stride`
/// apart in memory. The depth is a multiple of 16.
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
) {
    match sums {
        Sums::Cores(matrix) => {
            // A handle to the same sums.
            let target = matrix.clone();
            let (a_len, b_len) = (a.len(), b.len());
            let is_transposed = comptime!(second == Second::Transposed);
            #[unroll]
            for step in 0..depth / SIDE {
                let a_part = Matrix::<F>::from_slice(
                    MatrixIdent::A,
                    SIDE,
                    SIDE,
                    SIDE,
                    MatrixLayout::RowMajor,
                    &a[a_at + step * SIDE..a_len],
                    a_stride as u32,
                );
                if is_transposed {
                    let b_part = Matrix::<F>::from_slice(
                        MatrixIdent::B,
                        SIDE,
                        SIDE,
                        SIDE,
                        MatrixLayout::ColMajor,
                        &b[b_at + step * SIDE..b_len],
                        b_stride as u32,
                    );
                    cmma::execute(&a_part, &b_part, &target, &target);
                } else {
                    let b_part = Matrix::<F>::from_slice(
                        MatrixIdent::B,
                        SIDE,
                        SIDE,
                        SIDE,
                        MatrixLayout::RowMajor,
                        &b[b_at + step * SIDE * b_stride..b_len],
                        b_stride as u32,
                    );
                    cmma::execute(&a_part, &b_part, &target, &target);
                }
            }
        }
        Sums::Units(numbers) => {
            let (row, first) = half_row();
            for x in 0..SUMS_OF_UNIT {
                let column = first + x;
                let mut sum = numbers[x];
                for k in 0..depth {
                    let factor = f32::cast_from(a[a_at + row * a_stride + k]);
                    let at = if comptime!(second == Second::Transposed) {
                        b_at + column * b_stride + k
                    } else {
                        b_at + k * b_stride + column
                    };
                    sum += factor * f32::cast_from(b[at]);
                }
                numbers[x] = sum;
            }
        }
    }
}

/// Writes the sums to shared memory, rows `stride` apart.
#[cube]
pub fn store(sums: &Sums, to: &mut [f32], at: usize, #[comptime] stride: usize) {
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
            let (row, first) = half_row();
            for x in 0..SUMS_OF_UNIT {
                to[at + row * stride + first + x] = numbers[x];
            }
        }
    }
}

/// The row of a tile that a unit has half of, and the first column of that half.
#[cube]
pub fn half_row() -> (usize, usize) {
    let lane = UNIT_POS_X as usize;
    (lane / 2, lane % 2 * SUMS_OF_UNIT)
}
