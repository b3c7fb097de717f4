//! Columns of a matrix, so that several threads can write one.

use std::marker::PhantomData;

/// Columns of a matrix that is being written, apart from its others.
pub struct Columns<'a> {
    pub(super) data: *mut f32,
    pub(super) rows: usize,
    pub(super) stride: usize,
    pub(super) columns: usize,
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
