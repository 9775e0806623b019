//! Products of small matrices, which stay in a core's cache: one thread, nothing packed.
#![expect(
    unsafe_code,
    reason = "the innermost loop reads at strides that are checked before it"
)]

use pulp::Simd;

use super::matrix::{Matrix, MatrixMut};

/// `c = a b`, or `c += a b` where `ADD`.
///
/// Shapes: `a` `[m, k]` at any strides, `b` `[k, n]` with contiguous rows, `c` `[m, n]`.
///
/// # Panics
/// Where the shapes do not fit.
#[inline(always)]
pub(crate) fn product<S: Simd, const ADD: bool>(simd: S, a: Matrix, b: Matrix, c: &mut MatrixMut) {
    assert_eq!(a.columns(), b.rows(), "columns of a and rows of b");
    assert_eq!(
        [c.rows(), c.columns()],
        [a.rows(), b.columns()],
        "the product's shape"
    );
    assert_eq!(b.column_stride(), 1, "b's rows are contiguous");
    // The accumulators, a row of b and a number of a have to fit into the registers.
    match (S::REGISTER_COUNT >= 32, c.columns() > S::F32_LANES) {
        (true, true) => strips::<S, ADD, 8>(simd, a, b, c),
        (true, false) => strips::<S, ADD, 16>(simd, a, b, c),
        (false, true) => strips::<S, ADD, 4>(simd, a, b, c),
        (false, false) => strips::<S, ADD, 8>(simd, a, b, c),
    }
}

/// The product, in strips of two registers' columns and tiles of `R` rows.
#[inline(always)]
fn strips<S: Simd, const ADD: bool, const R: usize>(simd: S, a: Matrix, b: Matrix, c: &mut MatrixMut) {
    let lanes = S::F32_LANES;
    let mut column = 0;
    while column < c.columns() {
        let width = (c.columns() - column).min(2 * lanes);
        let mut row = 0;
        while row < c.rows() {
            let height = (c.rows() - row).min(R);
            let a = a.block(row..row + height, 0..a.columns());
            let b = b.block(0..b.rows(), column..column + width);
            let mut c = c.block(row..row + height, column..column + width);
            if height == R {
                registers::<S, ADD, R>(simd, a, b, &mut c);
            } else {
                for row in 0..height {
                    let a = a.block(row..row + 1, 0..a.columns());
                    registers::<S, ADD, 1>(simd, a, b, &mut c.block(row..row + 1, 0..width));
                }
            }
            row += height;
        }
        column += width;
    }
}

/// The product of one tile, in one or two registers' columns.
#[inline(always)]
fn registers<S: Simd, const ADD: bool, const R: usize>(simd: S, a: Matrix, b: Matrix, c: &mut MatrixMut) {
    let lanes = S::F32_LANES;
    match c.columns() {
        width if width == 2 * lanes => tile::<S, ADD, R, 2, true>(simd, a, b, c),
        width if width == lanes => tile::<S, ADD, R, 1, true>(simd, a, b, c),
        width if width > lanes => tile::<S, ADD, R, 2, false>(simd, a, b, c),
        _ => tile::<S, ADD, R, 1, false>(simd, a, b, c),
    }
}

/// A product of `R` rows and of the columns of `V` registers, the last of them partly used unless `FULL`.
#[inline(always)]
fn tile<S: Simd, const ADD: bool, const R: usize, const V: usize, const FULL: bool>(
    simd: S,
    a: Matrix,
    b: Matrix,
    c: &mut MatrixMut,
) {
    let lanes = S::F32_LANES;
    let width = c.columns();
    assert!(a.rows() == R && c.rows() == R && b.columns() == width && b.rows() == a.columns());
    assert!(width > (V - 1) * lanes && width <= V * lanes && (!FULL || width == V * lanes));
    let last = simd.mask_between_m32s(0, (width - (V - 1) * lanes) as u32);
    let whole = |register: usize| FULL || register + 1 < V;

    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    let (a_first, a_row, a_column) = (a.as_ptr(), a.row_stride(), a.column_stride());
    let (mut b_row, b_stride) = (b.as_ptr(), b.row_stride());
    for k in 0..a.columns() {
        let mut b = [simd.splat_f32s(0.0); V];
        for (register, b) in b.iter_mut().enumerate() {
            // SAFETY: k is a row of b, whose columns are the registers' lanes, those of the last as far as the mask has
            // them.
            *b = unsafe {
                let at = b_row.add(register * lanes);
                if whole(register) {
                    at.cast::<S::f32s>().read_unaligned()
                } else {
                    simd.mask_load_ptr_f32s(last, at)
                }
            };
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: `row` is one of a's R rows, k one of its columns.
            let a = simd.splat_f32s(unsafe { *a_first.add(row * a_row + k * a_column) });
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = simd.mul_add_e_f32s(a, b, *sum);
            }
        }
        // Not `add`: behind the last row it points nowhere.
        b_row = b_row.wrapping_add(b_stride);
    }
    let (c_first, c_stride) = (c.as_mut_ptr(), c.row_stride());
    for (row, sums) in sums.into_iter().enumerate() {
        for (register, sum) in sums.into_iter().enumerate() {
            // SAFETY: `row` is one of c's R rows, whose columns are the registers' lanes, those of the last as far as the
            // mask has them.
            unsafe {
                let at = c_first.add(row * c_stride + register * lanes);
                if whole(register) {
                    let at = at.cast::<S::f32s>();
                    let sum = if ADD {
                        simd.add_f32s(sum, at.read_unaligned())
                    } else {
                        sum
                    };
                    at.write_unaligned(sum);
                } else {
                    let sum = if ADD {
                        simd.add_f32s(sum, simd.mask_load_ptr_f32s(last, at))
                    } else {
                        sum
                    };
                    simd.mask_store_ptr_f32s(last, at, sum);
                }
            }
        }
    }
}
