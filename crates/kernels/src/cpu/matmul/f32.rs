//! Products in f32, by the crate `gemm`.
#![expect(unsafe_code, reason = "the interface of gemm")]

use super::{
    super::matrix::{Matrix, MatrixMut},
    Onto,
};

/// `out = onto + a b`.
pub(super) fn matmul(a: Matrix, b: Matrix, onto: Onto, out: &mut MatrixMut) {
    if let Onto::Row(row) = onto {
        for line in 0..a.rows() {
            out.row_mut(line).copy_from_slice(row);
        }
    }
    let threads = rayon::current_num_threads();
    // SAFETY: the pointers and strides are those of matrices of m by k, k by n and m by n elements, as the caller has
    // checked; the last of them is borrowed mutably, so that it overlaps neither operand.
    unsafe {
        gemm::gemm(
            a.rows(),
            b.columns(),
            a.columns(),
            out.as_mut_ptr(),
            1,
            out.row_stride() as isize,
            !matches!(onto, Onto::Zero),
            a.as_ptr(),
            a.column_stride() as isize,
            a.row_stride() as isize,
            b.as_ptr(),
            b.column_stride() as isize,
            b.row_stride() as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::Rayon(threads),
        );
    }
}
