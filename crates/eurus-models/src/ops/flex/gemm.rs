//! A bounds-checked door to the `gemm` crate's matrix product.

/// A strided view of a matrix.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    pub data: &'a [f32],
    pub rows: usize,
    pub cols: usize,
    pub row_stride: usize,
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

    pub fn transposed(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    fn last_index(&self) -> usize {
        (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride
    }
}

/// What happens to the destination's old values.
#[derive(Clone, Copy, PartialEq)]
pub enum Destination {
    Overwrite,
    Add,
}

/// `dst (+)= factor * lhs * rhs`, with `dst` rows `dst_row_stride` apart.
pub fn product(
    dst: &mut [f32],
    dst_row_stride: usize,
    mode: Destination,
    factor: f32,
    lhs: Matrix<'_>,
    rhs: Matrix<'_>,
) {
    let (m, n, k) = (lhs.rows, rhs.cols, lhs.cols);
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    assert_eq!(k, rhs.rows, "inner dimensions differ");
    assert!(lhs.last_index() < lhs.data.len());
    assert!(rhs.last_index() < rhs.data.len());
    assert!(dst_row_stride >= n && (m - 1) * dst_row_stride + n <= dst.len());
    // SAFETY: the three views lie inside their slices (asserted above), `dst` is borrowed mutably so it overlaps neither
    // input, and its rows do not overlap each other.
    unsafe {
        call(
            dst.as_mut_ptr(),
            dst_row_stride,
            mode,
            factor,
            lhs,
            rhs,
            gemm::Parallelism::None,
        );
    }
}

/// Multiplications from which on threads pay.
const PARALLEL_FROM: usize = 192 * 192 * 192;

/// `lhs * rhs` row by row, on all threads.
///
/// The kernel writes the result into memory that nothing has touched before: filling it with zeros first would be a pass
/// of one thread over memory while the others wait.
pub fn whole_product(lhs: Matrix<'_>, rhs: Matrix<'_>) -> Vec<f32> {
    let (m, n, k) = (lhs.rows, rhs.cols, lhs.cols);
    assert_eq!(k, rhs.rows, "inner dimensions differ");
    if m == 0 || n == 0 || k == 0 {
        return vec![0.0; m * n];
    }
    assert!(lhs.last_index() < lhs.data.len());
    assert!(rhs.last_index() < rhs.data.len());
    let parallelism = if m.saturating_mul(n).saturating_mul(k) < PARALLEL_FROM {
        gemm::Parallelism::None
    } else {
        gemm::Parallelism::Rayon(0)
    };
    let mut result = Vec::with_capacity(m * n);
    // SAFETY: both inputs lie inside their slices (asserted above), the destination has room for `m * n` values, and in
    // this mode the kernel writes each of them and reads none.
    unsafe {
        call(
            result.as_mut_ptr(),
            n,
            Destination::Overwrite,
            1.0,
            lhs,
            rhs,
            parallelism,
        );
        result.set_len(m * n);
    }
    result
}

/// `dst (+)= factor * lhs * rhs`.
///
/// # Safety
///
/// Every element that the three views name must be inside its allocation; `dst` must not overlap the others, and may be
/// uninitialized only when it is overwritten.
unsafe fn call(
    dst: *mut f32,
    dst_row_stride: usize,
    mode: Destination,
    factor: f32,
    lhs: Matrix<'_>,
    rhs: Matrix<'_>,
    parallelism: gemm::Parallelism,
) {
    // SAFETY: what the caller promises.
    unsafe {
        gemm::gemm(
            lhs.rows,
            rhs.cols,
            lhs.cols,
            dst,
            1,
            dst_row_stride as isize,
            mode == Destination::Add,
            lhs.data.as_ptr(),
            lhs.col_stride as isize,
            lhs.row_stride as isize,
            rhs.data.as_ptr(),
            rhs.col_stride as isize,
            rhs.row_stride as isize,
            1.0,
            factor,
            false,
            false,
            false,
            parallelism,
        );
    }
}
