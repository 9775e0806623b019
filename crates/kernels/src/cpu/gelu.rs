//! GELU in GPT-2's form (arXiv 1606.08415), with the bias before it.
//!
//! `x/2 (1 + tanh u) = x sigmoid(2u)` with `u = sqrt(2/pi) (x + 0.044715 x^3)`: one exponential and one division.

use std::f32::consts::{FRAC_2_SQRT_PI, SQRT_2};

use rayon::prelude::*;

use super::{
    bias::{ANY_WIDTH, or_zeros},
    math::sigmoid,
    simd::vectorised,
    sums::sum_partial,
    tasks::rows_per_task,
};

const SLOPE: f32 = SQRT_2 * FRAC_2_SQRT_PI; // 2 sqrt(2/pi)
const CUBIC: f32 = 0.044715;

/// `y = gelu(x + bias)`.
///
/// Shapes: `x` and `y` `[rows, width]`, `bias` `[width]`.
pub fn forward(x: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let bias = &or_zeros(bias, ANY_WIDTH);
    let width = bias.len();
    let task = rows_per_task(width) * width;
    x.par_chunks(task).zip(y.par_chunks_mut(task)).for_each(|(x, y)| {
        vectorised(
            #[inline(always)]
            || {
                for (x, y) in x.chunks(width).zip(y.chunks_mut(width)) {
                    for ((y, x), bias) in y.iter_mut().zip(x).zip(bias.iter()) {
                        *y = gelu(x + bias);
                    }
                }
            },
        );
    });
}

/// `dx = dy gelu'(x + bias)` and `d_bias`, the sum of its rows.
///
/// Shapes: `dy`, `x` and `dx` `[rows, width]`, `bias` and `d_bias` `[width]`.
pub fn backward(dy: &[f32], x: &[f32], bias: Option<&[f32]>, dx: &mut [f32], d_bias: Option<&mut [f32]>) {
    let bias = &or_zeros(bias, ANY_WIDTH);
    let width = bias.len();
    let task = rows_per_task(width) * width;
    let mut partial = vec![0.0; dx.len().div_ceil(task) * width];
    dy.par_chunks(task)
        .zip(x.par_chunks(task))
        .zip(dx.par_chunks_mut(task))
        .zip(partial.par_chunks_mut(width))
        .for_each(|(((dy, x), dx), partial)| {
            vectorised(
                #[inline(always)]
                || {
                    let rows = dy.chunks(width).zip(x.chunks(width)).zip(dx.chunks_mut(width));
                    for ((dy, x), dx) in rows {
                        for (((dx, dy), x), bias) in dx.iter_mut().zip(dy).zip(x).zip(bias.iter()) {
                            *dx = dy * derivative(x + bias);
                        }
                    }
                },
            );
            if d_bias.is_some() {
                sum_partial(dx, partial);
            }
        });
    if let Some(d_bias) = d_bias {
        sum_partial(&partial, d_bias);
    }
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    x * sigmoid(twice_u(x)).0
}

/// With `s = sigmoid(2u)`: `s + x s (1 - s) 2u'`.
#[inline(always)]
fn derivative(x: f32) -> f32 {
    let (s, complement) = sigmoid(twice_u(x));
    let slope = SLOPE * (x * x).mul_add(3.0 * CUBIC, 1.0);
    (x * slope * complement).mul_add(s, s)
}

#[inline(always)]
fn twice_u(x: f32) -> f32 {
    SLOPE * x * (x * x).mul_add(CUBIC, 1.0)
}
