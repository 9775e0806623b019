//! Matrices in memory that they may share with others.
#![expect(
    unsafe_code,
    reason = "disjoint columns of one matrix are not slices, so their borrows are proven here"
)]

use std::{marker::PhantomData, ops::Range, slice};

/// A matrix in a slice; transposing it and cutting a block out cost nothing.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    elements: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// The matrix of these elements, row by row.
    ///
    /// # Panics
    /// Where they are not as many as the shape, `[rows, columns]`, says.
    pub fn new(elements: &'a [f32], [rows, columns]: [usize; 2]) -> Self {
        assert_eq!(elements.len(), rows * columns, "a matrix of {rows} by {columns}");
        Self {
            elements,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// Rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Some rows and columns of it.
    ///
    /// # Panics
    /// Where it has not as many.
    pub fn block(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        assert!(
            rows.start <= rows.end && rows.end <= self.rows,
            "rows of the block"
        );
        assert!(
            columns.start <= columns.end && columns.end <= self.columns,
            "columns of the block"
        );
        let first = rows.start * self.row_stride + columns.start * self.column_stride;
        Self {
            // A block without elements may begin where the matrix ends.
            elements: self.elements.get(first..).unwrap_or_default(),
            rows: rows.len(),
            columns: columns.len(),
            ..self
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// From an element to the one below it, in elements.
    pub(crate) fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// From an element to the one on its right, in elements.
    pub(crate) fn column_stride(&self) -> usize {
        self.column_stride
    }

    /// The first element; the others are at the strides from it, all within the slice.
    pub(crate) fn as_ptr(&self) -> *const f32 {
        self.elements.as_ptr()
    }

    /// One element.
    ///
    /// # Panics
    /// Where there is none.
    pub(crate) fn at(&self, row: usize, column: usize) -> f32 {
        assert!(
            row < self.rows && column < self.columns,
            "an element of the matrix"
        );
        self.elements[row * self.row_stride + column * self.column_stride]
    }

    /// One row.
    ///
    /// # Panics
    /// Where there is none, or where its elements are not side by side.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> &'a [f32] {
        assert!(self.column_stride == 1, "a row of a transposed matrix");
        &self.elements[row * self.row_stride..][..self.columns]
    }
}

/// A matrix whose elements can be written, its rows contiguous; columns of it can be parted from one another.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    first: *mut f32,
    rows: usize,
    columns: usize,
    row_stride: usize,
    elements: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is a mutable borrow of its elements, which no other matrix has: see `blocks`.
unsafe impl Send for MatrixMut<'_> {}

impl<'a> MatrixMut<'a> {
    /// The matrix of these elements, row by row.
    ///
    /// # Panics
    /// Where they are not as many as the shape, `[rows, columns]`, says.
    pub fn new(elements: &'a mut [f32], [rows, columns]: [usize; 2]) -> Self {
        assert_eq!(elements.len(), rows * columns, "a matrix of {rows} by {columns}");
        Self {
            first: elements.as_mut_ptr(),
            rows,
            columns,
            row_stride: columns,
            elements: PhantomData,
        }
    }

    /// Blocks of `[rows, columns]`, band by band from the left, smaller at the right and lower edges.
    pub(crate) fn blocks(self, [rows, columns]: [usize; 2]) -> impl Iterator<Item = MatrixMut<'a>> {
        let bands = (0..self.rows).step_by(rows);
        bands
            .flat_map(move |row| {
                (0..self.columns)
                    .step_by(columns)
                    .map(move |column| [row, column])
            })
            .map(move |[row, column]| MatrixMut {
                // SAFETY: the element is one of the matrix's. No two blocks have one in common, and `self` is gone.
                first: unsafe { self.first.add(row * self.row_stride + column) },
                rows: rows.min(self.rows - row),
                columns: columns.min(self.columns - column),
                ..self
            })
    }

    /// Some rows and columns of it, for as long as it is not used otherwise.
    ///
    /// # Panics
    /// Where it has not as many.
    #[inline(always)]
    pub(crate) fn block(&mut self, rows: Range<usize>, columns: Range<usize>) -> MatrixMut<'_> {
        assert!(
            rows.start <= rows.end && rows.end <= self.rows,
            "rows of the block"
        );
        assert!(
            columns.start <= columns.end && columns.end <= self.columns,
            "columns of the block"
        );
        MatrixMut {
            // `wrapping_add`, since a block without elements may begin behind the last row.
            first: self
                .first
                .wrapping_add(rows.start * self.row_stride + columns.start),
            rows: rows.len(),
            columns: columns.len(),
            ..*self
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// From an element to the one below it, in elements.
    pub(crate) fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// The first element; the others of its row follow it.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut f32 {
        self.first
    }

    /// One row.
    ///
    /// # Panics
    /// Where there is none.
    #[inline(always)]
    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "a row of the matrix");
        // SAFETY: the row is one of the matrix's, whose elements are borrowed mutably for as long as the slice lives.
        unsafe { slice::from_raw_parts_mut(self.first.add(row * self.row_stride), self.columns) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Matrix, MatrixMut};

    #[test]
    fn blocks_of_a_transposed_matrix_are_at_their_strides() {
        let elements: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let matrix = Matrix::new(&elements, [3, 4]);
        assert_eq!(matrix.block(1..3, 1..3).row(1), [9.0, 10.0]);
        let transposed = matrix.transposed().block(1..3, 1..3).transposed();
        assert_eq!(transposed.row(0), [5.0, 6.0]);
        assert_eq!(matrix.block(3..3, 4..4).rows(), 0);
    }

    #[test]
    fn blocks_are_disjoint_and_cover_the_matrix() {
        let mut elements = vec![0.0; 5 * 7];
        let mut blocks: Vec<MatrixMut> = MatrixMut::new(&mut elements, [5, 7]).blocks([2, 3]).collect();
        let shapes: Vec<[usize; 2]> = blocks
            .iter()
            .map(|block| [block.rows(), block.columns()])
            .collect();
        assert_eq!(shapes[..3], [[2, 3], [2, 3], [2, 1]]);
        assert_eq!(shapes[6..], [[1, 3], [1, 3], [1, 1]]);
        for (number, block) in (1..).zip(&mut blocks) {
            for row in 0..block.rows() {
                let columns = block.columns();
                for element in block.block(row..row + 1, 0..columns).row_mut(0) {
                    *element += number as f32;
                }
            }
        }
        let rows: Vec<&[f32]> = elements.chunks(7).collect();
        assert_eq!(rows[1], [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0]);
        assert_eq!(rows[4], [7.0, 7.0, 7.0, 8.0, 8.0, 8.0, 9.0]);
    }
}
