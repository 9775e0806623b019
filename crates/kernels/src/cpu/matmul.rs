//! Matrix products.

use crate::Precision;

/// A matrix in a slice; transposing it costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    elements: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// The matrix of these `[rows, columns]`, row by row.
    ///
    /// # Panics
    /// Where `elements` are not as many.
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

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns.
    pub fn columns(&self) -> usize {
        self.columns
    }
}

/// What a product is added to.
#[derive(Clone, Copy, Debug)]
pub enum Onto<'a> {
    /// Nothing.
    Zero,
    /// This row, in every row: a bias.
    Row(&'a [f32]),
    /// What the output holds.
    Output,
}

/// `out = onto + a b`.
///
/// Shapes: `a` `[m, k]`, `b` `[k, n]`, `out` `[m, n]` row by row.
///
/// # Panics
/// Where the shapes do not fit.
pub fn matmul(a: Matrix, b: Matrix, onto: Onto, out: &mut [f32], _precision: Precision) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert_eq!(k, b.rows, "columns of a and rows of b");
    assert_eq!(out.len(), m * n, "elements of the output");
    if let Onto::Row(row) = onto {
        for out in out.chunks_exact_mut(n.max(1)) {
            out.copy_from_slice(row);
        }
    }
    let threads = rayon::current_num_threads();
    // SAFETY: the pointers and strides are those of slices that hold the m by k, k by n and m by n elements, as
    // `Matrix::new` and the assertions above check; the output is borrowed mutably, so it overlaps neither operand.
    #[expect(unsafe_code, reason = "the interface of gemm")]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            !matches!(onto, Onto::Zero),
            a.elements.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.elements.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::Rayon(threads),
        );
    }
}
