//! Products of matrices that stay in a core's cache: one thread, nothing packed.
#![expect(
    unsafe_code,
    reason = "the innermost loop reads at strides that are checked before it"
)]

use pulp::Simd;

use super::{
    matmul::Onto,
    matrix::{Matrix, MatrixMut},
};

/// `c = onto + a b`.
///
/// Shapes: `a` `[m, k]` at any strides, `b` `[k, n]` with contiguous rows, `c` `[m, n]`.
///
/// # Panics
/// Where the shapes do not fit.
#[inline(always)]
pub(crate) fn product<S: Simd>(simd: S, a: Matrix, b: Matrix, onto: Onto, c: &mut MatrixMut) {
    // The accumulators, a row of b and a number of a have to fit into the registers.
    match (S::REGISTER_COUNT >= 32, c.columns() > S::F32_LANES) {
        (true, true) => strips::<S, 8, 2>(simd, a, b, onto, c),
        (true, false) => strips::<S, 16, 1>(simd, a, b, onto, c),
        (false, true) => strips::<S, 4, 2>(simd, a, b, onto, c),
        (false, false) => strips::<S, 8, 1>(simd, a, b, onto, c),
    }
}

/// The product in tiles of `R` rows by `V` registers' columns, strip of columns by strip.
#[inline(always)]
fn strips<S: Simd, const R: usize, const V: usize>(
    simd: S,
    a: Matrix,
    b: Matrix,
    onto: Onto,
    c: &mut MatrixMut,
) {
    assert_eq!(a.columns(), b.rows(), "columns of a and rows of b");
    assert_eq!(
        [c.rows(), c.columns()],
        [a.rows(), b.columns()],
        "the product's shape"
    );
    assert_eq!(b.column_stride(), 1, "b's rows are contiguous");
    let mut column = 0;
    while column < c.columns() {
        let width = (c.columns() - column).min(V * S::F32_LANES);
        let b = b.block(0..b.rows(), column..column + width);
        let onto = onto.at_column(column);
        let mut row = 0;
        while row < c.rows() {
            // The last rows one by one.
            let height = if c.rows() - row >= R { R } else { 1 };
            let a = a.block(row..row + height, 0..a.columns());
            let mut c = c.block(row..row + height, column..column + width);
            if height == R {
                registers::<S, R, V>(simd, a, b, onto, &mut c);
            } else {
                registers::<S, 1, V>(simd, a, b, onto, &mut c);
            }
            row += height;
        }
        column += width;
    }
}

/// The product of one tile, in as few of `V` registers' columns as it has.
#[inline(always)]
fn registers<S: Simd, const R: usize, const V: usize>(
    simd: S,
    a: Matrix,
    b: Matrix,
    onto: Onto,
    c: &mut MatrixMut,
) {
    let lanes = S::F32_LANES;
    let full = c.columns() == V * lanes;
    match (full, c.columns().div_ceil(lanes), a.column_stride()) {
        (true, _, 1) => tile::<S, R, V, true, true>(simd, a, b, onto, c),
        (true, _, _) => tile::<S, R, V, true, false>(simd, a, b, onto, c),
        (false, 1, _) => tile::<S, R, 1, false, false>(simd, a, b, onto, c),
        (false, 2, _) => tile::<S, R, 2, false, false>(simd, a, b, onto, c),
        _ => tile::<S, R, V, false, false>(simd, a, b, onto, c),
    }
}

/// A product of `R` rows and of the columns of `V` registers, the last of them partly used unless `FULL`; the rows of `a`
/// are contiguous where `ROWS`.
#[inline(always)]
fn tile<S: Simd, const R: usize, const V: usize, const FULL: bool, const ROWS: bool>(
    simd: S,
    a: Matrix,
    b: Matrix,
    onto: Onto,
    c: &mut MatrixMut,
) {
    let lanes = S::F32_LANES;
    let width = c.columns();
    assert!(a.rows() == R && c.rows() == R && b.columns() == width && b.rows() == a.columns());
    assert!(width > (V - 1) * lanes && width <= V * lanes && (!FULL || width == V * lanes));
    assert!(!ROWS || a.column_stride() == 1);
    let last = simd.mask_between_m32s(0, (width - (V - 1) * lanes) as u32);
    let load = |register: usize, row: *const f32| {
        // SAFETY: callers pass the first of a row of `width` numbers, which are the registers' lanes, those of the last as
        // far as the mask has them.
        unsafe {
            let at = row.add(register * lanes);
            if FULL || register + 1 < V {
                at.cast::<S::f32s>().read_unaligned()
            } else {
                simd.mask_load_ptr_f32s(last, at)
            }
        }
    };

    let (c_first, c_stride) = (c.as_mut_ptr(), c.row_stride());
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    let start = match onto {
        Onto::Zero => None,
        Onto::Row(row) => Some((row[..width].as_ptr(), 0)),
        Onto::Output => Some((c_first.cast_const(), c_stride)),
    };
    if let Some((first, stride)) = start {
        for (row, sums) in sums.iter_mut().enumerate() {
            for (register, sum) in sums.iter_mut().enumerate() {
                *sum = load(register, first.wrapping_add(row * stride));
            }
        }
    }

    let (a_first, a_row) = (a.as_ptr(), a.row_stride());
    let a_column = if ROWS { 1 } else { a.column_stride() };
    let (mut b_row, b_stride) = (b.as_ptr(), b.row_stride());
    for k in 0..a.columns() {
        let mut b = [simd.splat_f32s(0.0); V];
        for (register, b) in b.iter_mut().enumerate() {
            *b = load(register, b_row);
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

    for (row, sums) in sums.into_iter().enumerate() {
        for (register, sum) in sums.into_iter().enumerate() {
            // SAFETY: `row` is one of c's R rows, whose columns are the registers' lanes, those of the last as far as the
            // mask has them.
            unsafe {
                let at = c_first.add(row * c_stride + register * lanes);
                if FULL || register + 1 < V {
                    at.cast::<S::f32s>().write_unaligned(sum);
                } else {
                    simd.mask_store_ptr_f32s(last, at, sum);
                }
            }
        }
    }
}
