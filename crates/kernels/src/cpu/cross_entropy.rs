//! Cross-entropy from logits, without a second `[rows, vocabulary]` tensor.

use rayon::prelude::*;

use super::{
    lanes::{maximum, sums},
    math::exp,
    simd::vectorised,
    tasks::rows_per_task,
};

/// Elements whose maximum and sum are taken while they are in the first cache level.
const BLOCK: usize = 4096;

/// The softmax of a row, as `exp(x - maximum) / sum`: their logarithm in one f32 would lose the digits of the sum
/// where the logits are large.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Softmax {
    /// Of the row.
    pub maximum: f32,
    /// Of `exp(x - maximum)`.
    pub sum: f32,
}

/// `nll = log(sum(exp(x - maximum))) + maximum - x[target]` of every row; the maximum and the sum are taken in one pass
/// over memory ("Online normalizer calculation for softmax", arXiv 1805.02867), by blocks.
///
/// Shapes: `logits` `[rows, vocabulary]`, `targets`, `nll` and `softmax` `[rows]`.
///
/// # Panics
/// Where a target is not below the vocabulary.
pub fn forward(logits: &[f32], targets: &[u32], nll: &mut [f32], softmax: &mut [Softmax]) {
    let width = width(logits, targets);
    let rows = rows_per_task(width);
    logits
        .par_chunks(rows * width)
        .zip(targets.par_chunks(rows))
        .zip(nll.par_chunks_mut(rows).zip(softmax.par_chunks_mut(rows)))
        .for_each(|((logits, targets), (nll, softmax))| {
            vectorised(
                #[inline(always)]
                || {
                    let rows = logits.chunks_exact(width).zip(targets);
                    for ((row, &target), (nll, softmax)) in rows.zip(nll.iter_mut().zip(softmax)) {
                        *softmax = softmax_of(row);
                        *nll = softmax.sum.ln() + (softmax.maximum - row[target as usize]);
                    }
                },
            );
        });
}

#[inline(always)]
fn softmax_of(row: &[f32]) -> Softmax {
    let mut all = Softmax {
        maximum: f32::NEG_INFINITY,
        sum: 0.0,
    };
    for block in row.chunks(BLOCK) {
        let largest = maximum(block);
        if largest > all.maximum {
            all.sum *= (all.maximum - largest).exp();
            all.maximum = largest;
        }
        let [sum] = sums(
            [block],
            #[inline(always)]
            |[x]| [exp(x - all.maximum)],
        );
        all.sum += sum;
    }
    all
}

/// The logits become their gradient, `(softmax - one_hot(target)) d_nll`.
///
/// Shapes: as of [`forward`], `d_nll` `[rows]`.
pub fn backward(logits: &mut [f32], targets: &[u32], softmax: &[Softmax], d_nll: &[f32]) {
    let width = width(logits, targets);
    let rows = rows_per_task(width);
    logits
        .par_chunks_mut(rows * width)
        .zip(targets.par_chunks(rows))
        .zip(softmax.par_chunks(rows).zip(d_nll.par_chunks(rows)))
        .for_each(|((logits, targets), (softmax, d_nll))| {
            vectorised(
                #[inline(always)]
                || {
                    let rows = logits.chunks_exact_mut(width).zip(targets);
                    for ((row, &target), (softmax, &d_nll)) in rows.zip(softmax.iter().zip(d_nll)) {
                        let scale = d_nll / softmax.sum;
                        for x in row.iter_mut() {
                            *x = exp(*x - softmax.maximum) * scale;
                        }
                        row[target as usize] -= d_nll;
                    }
                },
            );
        });
}

fn width(logits: &[f32], targets: &[u32]) -> usize {
    (logits.len() / targets.len().max(1)).max(1)
}
