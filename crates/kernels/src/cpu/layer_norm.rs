//! Layer normalisation of rows (arXiv 1607.06450).

use rayon::prelude::*;

use super::{bias::or_zeros, lanes::sums, simd::vectorised, sums::sum_partial, tasks::rows_per_task};

/// `y = n weight + bias` with `n = (x - mean) / sqrt(variance + epsilon)`; keeps what [`backward`] reads.
///
/// Shapes: `x` and `y` `[rows, width]`, `weight` and `bias` `[width]`, `mean` and `inverse_deviation` `[rows]`.
pub fn forward(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    epsilon: f32,
    y: &mut [f32],
    mean: &mut [f32],
    inverse_deviation: &mut [f32],
) {
    let width = weight.len().max(1);
    let rows = rows_per_task(width);
    let bias = &or_zeros(bias, width);
    x.par_chunks(rows * width)
        .zip(y.par_chunks_mut(rows * width))
        .zip(
            mean.par_chunks_mut(rows)
                .zip(inverse_deviation.par_chunks_mut(rows)),
        )
        .for_each(|((x, y), (mean, inverse_deviation))| {
            vectorised(
                #[inline(always)]
                || {
                    let rows = x.chunks_exact(width).zip(y.chunks_exact_mut(width));
                    for ((x, y), (mean, inverse)) in rows.zip(mean.iter_mut().zip(inverse_deviation)) {
                        (*mean, *inverse) = statistics(x, epsilon);
                        for (((y, x), weight), bias) in y.iter_mut().zip(x).zip(weight).zip(bias.iter()) {
                            *y = ((x - *mean) * *inverse).mul_add(*weight, *bias);
                        }
                    }
                },
            );
        });
}

/// The mean of a row and `1 / sqrt(variance + epsilon)`. The variance is of the centred row, which is in the cache by
/// then: `E x^2 - (E x)^2` would cancel.
#[inline(always)]
fn statistics(x: &[f32], epsilon: f32) -> (f32, f32) {
    let width = x.len() as f32;
    let [sum] = sums(
        [x],
        #[inline(always)]
        |[x]| [x],
    );
    let mean = sum / width;
    let [squares] = sums(
        [x],
        #[inline(always)]
        |[x]| [(x - mean) * (x - mean)],
    );
    (mean, 1.0 / (squares / width + epsilon).sqrt())
}

/// What [`forward`] read and kept.
#[derive(Clone, Copy, Debug)]
pub struct Saved<'a> {
    /// `[rows, width]`.
    pub x: &'a [f32],
    /// `[width]`.
    pub weight: &'a [f32],
    /// `[rows]`.
    pub mean: &'a [f32],
    /// `[rows]`.
    pub inverse_deviation: &'a [f32],
}

/// With `g = dy weight` and means over the row, `dx = (g - mean(g) - n mean(g n)) / deviation`; over all rows,
/// `d_weight = sum(dy n)` and `d_bias = sum(dy)`.
///
/// Shapes: `dy` and `dx` `[rows, width]`, `d_weight` and `d_bias` `[width]`.
pub fn backward(dy: &[f32], saved: Saved, dx: &mut [f32], d_weight: &mut [f32], d_bias: Option<&mut [f32]>) {
    let width = saved.weight.len().max(1);
    let rows = rows_per_task(width);
    let tasks = dy.len().div_ceil(rows * width);
    let mut partial_weight = vec![0.0; tasks * width];
    let mut partial_bias = vec![0.0; tasks * width];
    let inputs = dy
        .par_chunks(rows * width)
        .zip(saved.x.par_chunks(rows * width))
        .zip(
            saved
                .mean
                .par_chunks(rows)
                .zip(saved.inverse_deviation.par_chunks(rows)),
        );
    let outputs = dx.par_chunks_mut(rows * width).zip(
        partial_weight
            .par_chunks_mut(width)
            .zip(partial_bias.par_chunks_mut(width)),
    );
    inputs.zip(outputs).for_each(
        |(((dy, x), (mean, inverse_deviation)), (dx, (d_weight, d_bias)))| {
            let saved = Saved {
                x,
                mean,
                inverse_deviation,
                ..saved
            };
            vectorised(
                #[inline(always)]
                || backward_rows(dy, saved, dx, d_weight, d_bias),
            );
        },
    );
    sum_partial(&partial_weight, d_weight);
    if let Some(d_bias) = d_bias {
        sum_partial(&partial_bias, d_bias);
    }
}

/// The rows of one task; adds to `d_weight` and `d_bias`.
#[inline(always)]
fn backward_rows(dy: &[f32], saved: Saved, dx: &mut [f32], d_weight: &mut [f32], d_bias: &mut [f32]) {
    let weight = saved.weight;
    let width = weight.len();
    let rows = dy.chunks_exact(width).zip(saved.x.chunks_exact(width));
    let statistics = saved.mean.iter().zip(saved.inverse_deviation);
    for (((dy, x), (&mean, &inverse)), dx) in rows.zip(statistics).zip(dx.chunks_exact_mut(width)) {
        let normal = |x: f32| (x - mean) * inverse;
        let sums_of_columns = d_weight.iter_mut().zip(d_bias.iter_mut());
        for ((d_weight, d_bias), (&dy, &x)) in sums_of_columns.zip(dy.iter().zip(x)) {
            *d_weight += dy * normal(x);
            *d_bias += dy;
        }
        let [sum, sum_normal] = sums(
            [dy, x, weight],
            #[inline(always)]
            |[dy, x, weight]| {
                let g = dy * weight;
                [g, g * normal(x)]
            },
        );
        let (mean_g, mean_g_normal) = (sum / width as f32, sum_normal / width as f32);
        for (dx, ((&dy, &x), &weight)) in dx.iter_mut().zip(dy.iter().zip(x).zip(weight)) {
            *dx = inverse * (dy * weight - mean_g - normal(x) * mean_g_normal);
        }
    }
}
