//! A bounds-checked door to the `gemm` crate's matrix product, at the vector width in use.

use gemm::Parallelism;

#[cfg(target_arch = "x86_64")]
use crate::width::VectorWidth;

/// A strided view of a matrix.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    /// The first element is that of row 0 and column 0.
    pub data: &'a [f32],
    /// How many.
    pub rows: usize,
    /// How many.
    pub cols: usize,
    /// Elements from one row to the next.
    pub row_stride: usize,
    /// Elements from one column to the next.
    pub col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `cols` values, `row_stride` apart.
    pub fn rows(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        Self {
            data,
            rows,
            cols,
            row_stride,
            col_stride: 1,
        }
    }

    /// Rows as columns, without moving anything.
    pub fn transposed(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// Whether all elements lie inside the slice; for a matrix that has some.
    fn is_inside(&self) -> bool {
        // Strides are the caller's: what overflows is outside.
        let to_last_row = (self.rows - 1).checked_mul(self.row_stride);
        let to_last_col = (self.cols - 1).checked_mul(self.col_stride);
        to_last_row
            .zip(to_last_col)
            .and_then(|(rows, cols)| rows.checked_add(cols))
            .is_some_and(|last| last < self.data.len())
    }
}

/// Whether a product overwrites the destination or is added to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// The old values are lost.
    Overwrite,
    /// The product is added to the old values.
    Add,
}

/// `dst (+)= factor * lhs * rhs` on this thread, with `dst` rows `dst_row_stride` apart.
///
/// # Panics
///
/// When the inner dimensions differ, or a matrix is larger than its slice.
pub fn product(
    dst: &mut [f32],
    dst_row_stride: usize,
    mode: Destination,
    factor: f32,
    lhs: Matrix<'_>,
    rhs: Matrix<'_>,
) {
    let (m, n, k) = (lhs.rows, rhs.cols, lhs.cols);
    assert_eq!(k, rhs.rows, "inner dimensions differ");
    if m == 0 || n == 0 {
        return;
    }
    let end = (m - 1).checked_mul(dst_row_stride);
    let end = end.and_then(|last_row| last_row.checked_add(n));
    assert!(
        dst_row_stride >= n && end.is_some_and(|end| end <= dst.len()),
        "the destination is smaller than the product"
    );
    if k == 0 {
        if mode == Destination::Overwrite {
            let rows = dst.chunks_mut(dst_row_stride).take(m);
            rows.for_each(|row| row[..n].fill(0.0));
        }
        return;
    }
    assert!(lhs.is_inside(), "the left matrix is larger than its slice");
    assert!(rhs.is_inside(), "the right matrix is larger than its slice");
    // SAFETY: the three views lie inside their slices (asserted above), `dst` is borrowed mutably so it overlaps neither
    // input, and its rows do not overlap each other.
    unsafe {
        Product {
            dst: dst.as_mut_ptr(),
            dst_row_stride,
            mode,
            factor,
            lhs,
            rhs,
            parallelism: Parallelism::None,
        }
        .compute();
    }
}

/// Multiplications from which on threads pay. The same as in burn-flex, whose product this one stands in for.
const PARALLEL_FROM: usize = 192 * 192 * 192;

/// `lhs * rhs` row by row, on all threads.
///
/// The kernel writes the result into memory that nothing has touched before: filling it with zeros first would be a pass
/// of one thread over memory while the others wait.
///
/// # Panics
///
/// When the inner dimensions differ, or a matrix is larger than its slice.
pub fn whole_product(lhs: Matrix<'_>, rhs: Matrix<'_>) -> Vec<f32> {
    let (m, n, k) = (lhs.rows, rhs.cols, lhs.cols);
    assert_eq!(k, rhs.rows, "inner dimensions differ");
    if m == 0 || n == 0 || k == 0 {
        return vec![0.0; m * n];
    }
    assert!(lhs.is_inside(), "the left matrix is larger than its slice");
    assert!(rhs.is_inside(), "the right matrix is larger than its slice");
    let parallelism = if m.saturating_mul(n).saturating_mul(k) < PARALLEL_FROM {
        Parallelism::None
    } else {
        Parallelism::Rayon(0)
    };
    let mut result = Vec::with_capacity(m * n);
    // SAFETY: both inputs lie inside their slices (asserted above), the destination has room for `m * n` values, and in
    // this mode the kernel writes each of them and reads none.
    unsafe {
        Product {
            dst: result.as_mut_ptr(),
            dst_row_stride: n,
            mode: Destination::Overwrite,
            factor: 1.0,
            lhs,
            rhs,
            parallelism,
        }
        .compute();
        result.set_len(m * n);
    }
    result
}

/// `dst (+)= factor * lhs * rhs`, with `dst` rows `dst_row_stride` apart.
struct Product<'a> {
    dst: *mut f32,
    dst_row_stride: usize,
    mode: Destination,
    factor: f32,
    lhs: Matrix<'a>,
    rhs: Matrix<'a>,
    parallelism: Parallelism,
}

impl Product<'_> {
    /// # Safety
    ///
    /// Every element that the three matrices name must be inside its allocation; `dst` must not overlap the others, and
    /// may be uninitialized only when it is overwritten.
    unsafe fn compute(self) {
        #[cfg(target_arch = "x86_64")]
        if VectorWidth::in_use() < VectorWidth::of_processor() {
            // SAFETY: what the caller promises.
            return unsafe { narrower::compute(self) };
        }
        // SAFETY: what the caller promises.
        unsafe {
            gemm::gemm(
                self.lhs.rows,
                self.rhs.cols,
                self.lhs.cols,
                self.dst,
                1,
                self.dst_row_stride as isize,
                self.mode == Destination::Add,
                self.lhs.data.as_ptr(),
                self.lhs.col_stride as isize,
                self.lhs.row_stride as isize,
                self.rhs.data.as_ptr(),
                self.rhs.col_stride as isize,
                self.rhs.row_stride as isize,
                1.0,
                self.factor,
                false,
                false,
                false,
                self.parallelism,
            );
        }
    }
}

/// Products as `gemm` computes them on a smaller processor than this one.
///
/// It chooses among its kernels by what the processor has and cannot be told otherwise, so its driver is called with the
/// kernels of the width in use.
#[cfg(target_arch = "x86_64")]
mod narrower {
    use gemm_common::gemm::gemm_basic_generic;
    use gemm_common::microkernel::{HMicroKernelFn, MicroKernelFn};
    use gemm_common::simd::{MixedSimd, Scalar, V3};
    use gemm_f32::microkernel::{fma::f32 as bits_256, scalar::f32 as plain};

    use super::{Destination, Product};
    use crate::width::VectorWidth;

    /// # Safety
    ///
    /// As for [`Product::compute`].
    pub unsafe fn compute(product: Product<'_>) {
        let v3 = <V3 as MixedSimd<f32, f32, f32, f32>>::try_new();
        match v3.filter(|_| VectorWidth::in_use() == VectorWidth::Bits256) {
            // SAFETY: what the caller promises; the processor has what these kernels need.
            Some(v3) => unsafe {
                with_kernels::<_, 8, { bits_256::MR_DIV_N * 8 }, _, _, _, _>(
                    v3,
                    &bits_256::UKR,
                    &bits_256::H_UKR,
                    product,
                );
            },
            // SAFETY: what the caller promises; these kernels need nothing.
            None => unsafe {
                with_kernels::<_, 1, { plain::MR_DIV_N }, _, _, _, _>(
                    Scalar,
                    &plain::UKR,
                    &plain::H_UKR,
                    product,
                );
            },
        }
    }

    /// # Safety
    ///
    /// As for [`Product::compute`], and the kernels must be those of `simd`, with `LANES` values in a vector.
    unsafe fn with_kernels<
        S: MixedSimd<f32, f32, f32, f32>,
        const LANES: usize,
        const ROWS: usize,
        const COLS: usize,
        const VECTORS: usize,
        const H_ROWS: usize,
        const H_COLS: usize,
    >(
        simd: S,
        kernels: &[[MicroKernelFn<f32>; COLS]; VECTORS],
        horizontal: &[[HMicroKernelFn<f32>; H_COLS]; H_ROWS],
        Product {
            dst,
            dst_row_stride,
            mode,
            factor,
            lhs,
            rhs,
            parallelism,
        }: Product<'_>,
    ) {
        // The kernels write columns, so that it is the transposed product that is computed, as `gemm::gemm` does.
        // SAFETY: what the caller promises.
        unsafe {
            gemm_basic_generic::<S, f32, LANES, ROWS, COLS, VECTORS, H_ROWS, H_COLS>(
                simd,
                rhs.cols,
                lhs.rows,
                lhs.cols,
                dst,
                dst_row_stride as isize,
                1,
                mode == Destination::Add,
                rhs.data.as_ptr(),
                rhs.row_stride as isize,
                rhs.col_stride as isize,
                lhs.data.as_ptr(),
                lhs.row_stride as isize,
                lhs.col_stride as isize,
                1.0,
                factor,
                false,
                false,
                false,
                |a, b, c| a * b + c,
                kernels,
                horizontal,
                false,
                parallelism,
            );
        }
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

    /// In double precision.
    fn plain(lhs: Matrix<'_>, rhs: Matrix<'_>) -> Vec<f64> {
        let at = |x: Matrix<'_>, row: usize, col: usize| {
            f64::from(x.data[row * x.row_stride + col * x.col_stride])
        };
        let mut result = Vec::new();
        for row in 0..lhs.rows {
            for col in 0..rhs.cols {
                result.push(
                    (0..lhs.cols)
                        .map(|i| at(lhs, row, i) * at(rhs, i, col))
                        .sum(),
                );
            }
        }
        result
    }

    #[test]
    fn a_sum_of_nothing_is_zero_where_it_overwrites_and_adds_nothing_else() {
        let empty = |rows, cols| Matrix {
            data: &[],
            rows,
            cols,
            row_stride: 1,
            col_stride: 1,
        };
        let result = |mode| {
            let mut dst = vec![7.0; 6];
            product(&mut dst, 3, mode, 1.0, empty(2, 0), empty(0, 2));
            dst
        };
        // The third column lies between the rows.
        assert_eq!(
            result(Destination::Overwrite),
            [0.0, 0.0, 7.0, 0.0, 0.0, 7.0]
        );
        assert_eq!(result(Destination::Add), [7.0; 6]);
    }

    /// Sums of up to 300 products of at most 1, in single precision.
    const TOLERANCE: f64 = 1e-4;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn products_are_those_of_double_precision(
            (m, n, k) in (1..70_usize, 1..70_usize, 1..300_usize),
            (transpose_lhs, transpose_rhs) in any::<(bool, bool)>(),
        ) {
            let (a, b) = (values(m * k, 1), values(k * n, 2));
            let matrix = |data, rows, cols, transpose| if transpose {
                Matrix::rows(data, cols, rows, rows).transposed()
            } else {
                Matrix::rows(data, rows, cols, cols)
            };
            let (lhs, rhs) = (matrix(&a, m, k, transpose_lhs), matrix(&b, k, n, transpose_rhs));
            let want = plain(lhs, rhs);
            let whole = whole_product(lhs, rhs);
            let stride = n + 3;
            let mut wider = vec![1.0; m * stride];
            product(&mut wider, stride, Destination::Add, 0.5, lhs, rhs);
            for row in 0..m {
                for col in 0..n {
                    let want = want[row * n + col];
                    prop_assert!((f64::from(whole[row * n + col]) - want).abs() <= TOLERANCE);
                    prop_assert!((f64::from(wider[row * stride + col]) - 1.0 - 0.5 * want).abs() <= TOLERANCE);
                }
                prop_assert!(wider[row * stride + n..][..3].iter().all(|&x| x == 1.0), "between rows");
            }
        }
    }

    #[test]
    fn what_lies_outside_a_slice_is_refused_even_where_its_place_overflows() {
        let values = [0.0; 6];
        let good = Matrix::rows(&values, 2, 3, 3).transposed();
        for row_stride in [4, usize::MAX, usize::MAX / 2 + 2] {
            let bad = Matrix::rows(&values, 2, 3, row_stride);
            let outcome = std::panic::catch_unwind(|| whole_product(bad, good));
            assert!(outcome.is_err(), "{row_stride}");
            let bad = Matrix { rows: 3, ..bad };
            let outcome = std::panic::catch_unwind(|| whole_product(bad, good));
            assert!(outcome.is_err(), "{row_stride}");
        }
    }

    #[test]
    #[should_panic(expected = "inner dimensions differ")]
    fn matrices_that_do_not_fit_are_refused() {
        let values = [0.0; 6];
        whole_product(
            Matrix::rows(&values, 2, 3, 3),
            Matrix::rows(&values, 2, 3, 3),
        );
    }
}
