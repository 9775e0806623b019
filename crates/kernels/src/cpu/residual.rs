//! `residual + dropout(x + bias)`: the end of each branch of a block.

use rayon::prelude::*;

use super::{
    bias::{ANY_WIDTH, or_zeros},
    simd::vectorised,
    sums::sum_partial,
    tasks::rows_per_task,
};
use crate::Dropout;

/// `y = residual + (x + bias) factor`, the factor of an element being its [`Dropout::factor`].
///
/// Shapes: `x`, `residual` and `y` `[rows, width]`, `bias` `[width]`.
pub fn forward(x: &[f32], bias: Option<&[f32]>, residual: &[f32], dropout: Dropout, y: &mut [f32]) {
    let bias = &or_zeros(bias, ANY_WIDTH);
    let width = bias.len();
    let task = rows_per_task(width) * width;
    x.par_chunks(task)
        .zip(residual.par_chunks(task))
        .zip(y.par_chunks_mut(task))
        .enumerate()
        .for_each(|(index, ((x, residual), y))| {
            vectorised(
                #[inline(always)]
                || match dropout.is_none() {
                    true => add(x, bias, residual, y),
                    false => drop_and_add(x, bias, residual, (dropout, index * task), y),
                },
            );
        });
}

#[inline(always)]
fn add(x: &[f32], bias: &[f32], residual: &[f32], y: &mut [f32]) {
    let width = bias.len();
    let rows = x
        .chunks(width)
        .zip(residual.chunks(width))
        .zip(y.chunks_mut(width));
    for ((x, residual), y) in rows {
        for (((y, x), bias), residual) in y.iter_mut().zip(x).zip(bias).zip(residual) {
            *y = residual + (x + bias);
        }
    }
}

/// `first` is the index of the first element in the whole tensor.
#[inline(always)]
fn drop_and_add(
    x: &[f32],
    bias: &[f32],
    residual: &[f32],
    (dropout, first): (Dropout, usize),
    y: &mut [f32],
) {
    let width = bias.len();
    let rows = x
        .chunks(width)
        .zip(residual.chunks(width))
        .zip(y.chunks_mut(width));
    for (row, ((x, residual), y)) in rows.enumerate() {
        // The factors go where the result does: a row of them stays in the first cache level.
        dropout.factors((first + row * width) as u64, y);
        for (((y, x), bias), residual) in y.iter_mut().zip(x).zip(bias).zip(residual) {
            *y = (x + bias).mul_add(*y, *residual);
        }
    }
}

/// `dx = dy factor` and `d_bias`, the sum of its rows; the residual's gradient is `dy` itself.
///
/// Shapes: `dy` and `dx` `[rows, width]`, `d_bias` `[width]`.
pub fn backward(dy: &[f32], dropout: Dropout, dx: &mut [f32], d_bias: Option<&mut [f32]>, width: usize) {
    let task = rows_per_task(width) * width.max(1);
    let mut partial = vec![0.0; d_bias.as_ref().map_or(0, |_| dy.len().div_ceil(task) * width)];
    let tasks = dy.par_chunks(task).zip(dx.par_chunks_mut(task)).enumerate();
    let drop = |(index, (dy, dx)): (usize, (&[f32], &mut [f32]))| {
        vectorised(
            #[inline(always)]
            || drop_rows(dy, (dropout, index * task), dx, width),
        );
    };
    let Some(d_bias) = d_bias else {
        return tasks.for_each(drop);
    };
    tasks
        .zip(partial.par_chunks_mut(width.max(1)))
        .for_each(|((index, (dy, dx)), partial)| {
            drop((index, (dy, &mut *dx)));
            sum_partial(dx, partial);
        });
    sum_partial(&partial, d_bias);
}

#[inline(always)]
fn drop_rows(dy: &[f32], (dropout, first): (Dropout, usize), dx: &mut [f32], width: usize) {
    let rows = dy.chunks(width.max(1)).zip(dx.chunks_mut(width.max(1)));
    for (row, (dy, dx)) in rows.enumerate() {
        dropout.factors((first + row * width) as u64, dx);
        for (dx, dy) in dx.iter_mut().zip(dy) {
            *dx *= dy;
        }
    }
}
