//! A bounds-checked door to the `gemm` crate's single-threaded matrix product.

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
        gemm::gemm(
            m,
            n,
            k,
            dst.as_mut_ptr(),
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
            gemm::Parallelism::None,
        );
    }
}
