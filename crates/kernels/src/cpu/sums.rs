//! Sums over rows and over everything, and multiples: what biases, norms and clipping need.

use rayon::prelude::*;

use super::{simd::vectorised, tasks::rows_per_task};

/// The sum of every column: the gradient of a bias.
///
/// Shapes: `x` `[rows, width]`, `sums` `[width]`.
pub fn sum_rows(x: &[f32], sums: &mut [f32]) {
    let width = sums.len().max(1);
    let task = rows_per_task(width) * width;
    if x.len() <= task {
        return sum_partial(x, sums);
    }
    let mut partial = vec![0.0; x.len().div_ceil(task) * width];
    partial
        .par_chunks_mut(width)
        .zip(x.par_chunks(task))
        .for_each(|(partial, x)| {
            vectorised(
                #[inline(always)]
                || add_rows(x, partial),
            )
        });
    sum_partial(&partial, sums);
}

/// [`sum_rows`] on this thread: what the tasks of a reduction add up to.
pub(super) fn sum_partial(partial: &[f32], sums: &mut [f32]) {
    sums.fill(0.0);
    vectorised(
        #[inline(always)]
        || add_rows(partial, sums),
    );
}

/// Adds every row to `sums`, four at a time so that the sums are read and written less often.
#[inline(always)]
fn add_rows(x: &[f32], sums: &mut [f32]) {
    let width = sums.len().max(1);
    let mut fours = x.chunks_exact(4 * width);
    for rows in &mut fours {
        let (a, rest) = rows.split_at(width);
        let (b, rest) = rest.split_at(width);
        let (c, d) = rest.split_at(width);
        for ((((sum, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *sum += (a + b) + (c + d);
        }
    }
    for row in fours.remainder().chunks_exact(width) {
        for (sum, x) in sums.iter_mut().zip(row) {
            *sum += x;
        }
    }
}

/// Every element times `factor`.
pub fn scale(x: &mut [f32], factor: f32) {
    x.par_chunks_mut(rows_per_task(1)).for_each(|x| {
        vectorised(
            #[inline(always)]
            || x.iter_mut().for_each(|x| *x *= factor),
        );
    });
}

/// The sum of the squares of all elements, squared and summed in f64, so that no finite gradient overflows.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    let partial: Vec<f64> = x
        .par_chunks(rows_per_task(1))
        .map(|x| {
            vectorised(
                #[inline(always)]
                || squares(x),
            )
        })
        .collect();
    partial.iter().sum()
}

#[inline(always)]
fn squares(x: &[f32]) -> f64 {
    const LANES: usize = 16;
    let mut lanes = [0.0f64; LANES];
    let (chunks, tail) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(x) * f64::from(x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(tail) {
        *lane += f64::from(x) * f64::from(x);
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::sum_of_squares;

    /// Integers, whose squares and sums f64 holds exactly; at lengths about those of a vector and of a task.
    #[test]
    fn squares_of_integers_are_summed_exactly() {
        for length in [0, 1, 15, 16, 17, 16_383, 16_384, 16_385, 50_000] {
            let x: Vec<f32> = (0..length).map(|i| (i % 1009) as f32 - 500.0).collect();
            let exact: f64 = x.iter().map(|&x| f64::from(x).powi(2)).sum();
            assert_eq!(sum_of_squares(&x), exact, "{length} numbers");
        }
        assert_eq!(sum_of_squares(&[1e30, -1e30]), 2.0 * f64::from(1e30f32).powi(2));
    }
}
