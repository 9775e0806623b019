use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use super::{CONFIDENCE, Interval, Sample};

/// The fewest numbers that it holds for: see the table of coverages.
const FEWEST: usize = 5;
/// One less than a multiple of 40, so that the 2.5% and the 97.5% quantiles are among the resampled numbers.
const RESAMPLES: usize = 3999;

/// The 95% interval of a mean by the studentised bootstrap (Efron 1979; Hall 1988): `[mean - q_(97.5%) se, mean - q_(2.5%) se]`, with
/// the quantiles of `(mean* - mean) / se*` over 3999 resamples.
///
/// None for fewer than five numbers, and for equal ones. The same numbers and seed give the same interval.
///
/// ```
/// use sweep::statistics::bootstrap_interval;
///
/// let interval = bootstrap_interval(&[3.0, 3.1, 3.2, 3.3, 4.0], 0).expect("five numbers");
/// assert!(interval.contains(3.32) && interval.high - 3.32 > 3.32 - interval.low, "skewed as the numbers are");
/// ```
pub fn bootstrap_interval(values: &[f64], seed: u64) -> Option<Interval> {
    if values.len() < FEWEST {
        return None;
    }
    let sample = Sample::of(values)?;
    let se = sample.se().filter(|se| *se > 0.0)?;
    let n = values.len();
    let centred: Vec<f64> = values.iter().map(|value| value - sample.mean).collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut statistics: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let (mut sum, mut squares) = (0.0, 0.0);
            for _ in 0..n {
                let value = centred[below(&mut random, n)];
                sum += value;
                squares += value * value;
            }
            let mean = sum / n as f64;
            let variance = ((squares - sum * mean) / (n - 1) as f64).max(0.0);
            // One number drawn n times has no deviation but for rounding, and its statistic lies beyond every other.
            if variance <= f64::EPSILON * squares {
                return mean * f64::INFINITY;
            }
            mean / (variance / n as f64).sqrt()
        })
        .collect();
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let below = ((RESAMPLES + 1) as f64 * tail).round() as usize - 1;
    let (_, low, above) = statistics.select_nth_unstable_by(below, f64::total_cmp);
    let low = *low;
    let (_, high, _) = above.select_nth_unstable_by(RESAMPLES - 2 - 2 * below, f64::total_cmp);
    let interval = Interval {
        low: sample.mean - *high * se,
        high: sample.mean - low * se,
    };
    (interval.low.is_finite() && interval.high.is_finite()).then_some(interval)
}

/// A number below `n`, each as likely but for n / 2^32.
fn below(random: &mut ChaCha8Rng, n: usize) -> usize {
    ((u64::from(random.next_u32()) * n as u64) >> 32) as usize
}
