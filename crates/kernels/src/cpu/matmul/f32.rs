//! Products in f32.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{
    super::{
        matrix::{Matrix, MatrixMut},
        product::strips,
    },
    Onto,
};

/// Registers of a tile's columns.
const REGISTERS: usize = 3;
/// Numbers that are summed before a tile goes back to memory: a panel of this depth stays in the core's cache.
const DEPTH: usize = 1024;
/// Rows of a task of the parallel loop.
const ROWS: usize = 64;
/// Least multiplications of a task.
const TASK: usize = 1 << 19;

/// `out = onto + a b`.
pub(super) fn matmul(a: Matrix, b: Matrix, onto: Onto, out: &mut MatrixMut) {
    Arch::new().dispatch(Product { a, b, onto, out });
}

struct Product<'a, 'b> {
    a: Matrix<'a>,
    b: Matrix<'a>,
    onto: Onto<'a>,
    out: &'a mut MatrixMut<'b>,
}

impl WithSimd for Product<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { a, b, mut onto, out } = self;
        let (rows, columns) = (out.rows(), out.columns());
        let width = REGISTERS * S::F32_LANES;
        let mut packed = Vec::new();
        // At least once, so that a product over nothing is what it is added to.
        for first in (0..a.columns().max(1)).step_by(DEPTH) {
            let depth = first..a.columns().min(first + DEPTH);
            let a = a.block(0..rows, depth.clone());
            pack(b.block(depth.clone(), 0..columns), width, &mut packed);
            let panels = Panels {
                numbers: &packed,
                depth: depth.len(),
                width,
                columns,
            };
            let panels_of_a_task = (TASK / (ROWS * depth.len().max(1) * width)).max(1);
            let task = [ROWS, panels_of_a_task * width];
            let across = columns.div_ceil(task[1]).max(1);
            let tasks: Vec<MatrixMut> = out.block(0..rows, 0..columns).blocks(task).collect();
            tasks.into_par_iter().enumerate().for_each(|(index, out)| {
                let (row, column) = (index / across * task[0], index % across * task[1]);
                Arch::new().dispatch(Task {
                    a: a.block(row..row + out.rows(), 0..depth.len()),
                    panels,
                    column,
                    onto: onto.from_column(column),
                    out,
                });
            });
            onto = Onto::Output;
        }
    }
}

/// The right operand, cut into panels of `width` columns that are stored row by row, one panel after the other.
#[derive(Clone, Copy)]
struct Panels<'a> {
    numbers: &'a [f32],
    depth: usize,
    width: usize,
    columns: usize,
}

impl<'a> Panels<'a> {
    /// The panel that begins with this column.
    fn from_column(&self, column: usize) -> Matrix<'a> {
        let width = self.width.min(self.columns - column);
        Matrix::new(
            &self.numbers[column * self.depth..][..width * self.depth],
            [self.depth, width],
        )
    }
}

/// A part of the output that one thread computes.
struct Task<'a> {
    a: Matrix<'a>,
    panels: Panels<'a>,
    /// Its first column.
    column: usize,
    onto: Onto<'a>,
    out: MatrixMut<'a>,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            a,
            panels,
            column,
            onto,
            mut out,
        } = self;
        let (rows, columns) = (out.rows(), out.columns());
        for first in (0..columns).step_by(panels.width) {
            let panel = panels.from_column(column + first);
            let mut out = out.block(0..rows, first..first + panel.columns());
            // The accumulators, a row of the panel and a number of a have to fit into the registers.
            if S::REGISTER_COUNT >= 32 {
                strips::<S, 8, REGISTERS>(simd, a, panel, onto.from_column(first), &mut out);
            } else {
                strips::<S, 4, REGISTERS>(simd, a, panel, onto.from_column(first), &mut out);
            }
        }
    }
}

/// Cuts `b` into panels of `width` columns.
fn pack(b: Matrix, width: usize, packed: &mut Vec<f32>) {
    packed.resize(b.rows() * b.columns(), 0.0);
    if packed.is_empty() {
        return;
    }
    let panels = packed.par_chunks_mut(width * b.rows()).enumerate();
    panels.for_each(|(index, panel)| {
        let columns = index * width..b.columns().min(index * width + width);
        let width = columns.len();
        let b = b.block(0..b.rows(), columns);
        if b.column_stride() == 1 {
            for (row, to) in panel.chunks_exact_mut(width).enumerate() {
                to.copy_from_slice(b.row(row));
            }
        } else {
            // Its columns are contiguous: a few of their numbers at a time, so that the panel's rows stay in the cache.
            const FEW: usize = 16;
            let across = b.transposed();
            for (group, rows) in panel.chunks_mut(FEW * width).enumerate() {
                let first = group * FEW;
                for column in 0..width {
                    let numbers = &across.row(column)[first..];
                    for (row, &number) in rows.chunks_exact_mut(width).zip(numbers) {
                        row[column] = number;
                    }
                }
            }
        }
    });
}
