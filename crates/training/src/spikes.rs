//! Spikes of the loss and of the gradient's norm, by a running robust z-score.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// What makes the median absolute deviation of normal numbers their standard deviation: 1 / the normal distribution's
/// quantile at 3/4.
const CONSISTENCY: f64 = 1.4826;

/// How far a value lies above those before it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The value.
    pub value: f64,
    /// The median of the window.
    pub median: f64,
    /// `(value - median) / (1.4826 MAD)`.
    pub z: f64,
}

/// The last values of a quantity, and how far the next one lies above them.
///
/// With `m` the median of the window and `MAD` the median of `|x - m|` over it, a value's robust z-score is
/// `z = (value - m) / (1.4826 MAD)` (Iglewicz & Hoaglin 1993): 1.4826 makes it the usual z-score where the values are
/// normal. Up to half of a window may be outliers without moving it far, so every value is taken in, a spike as well; a
/// quantity that stays at a new level is the norm after half a window. (llm.c, whose window of 64 this is, has mean and
/// deviation, and so must keep outliers out.) A `MAD` below the rounding of f32 numbers of the median's size is taken
/// for that rounding.
///
/// ```
/// use training::spikes::Window;
///
/// let mut window = Window::default();
/// for value in [1.0, 2.0, 3.0, 4.0, 5.0] {
///     assert_eq!(window.score(value, 5), None); // not full yet
/// }
/// let score = window.score(10.0, 5).expect("five values came before");
/// assert_eq!((score.median, score.z), (3.0, 7.0 / 1.4826)); // the deviations are 0, 1, 1, 2 and 2
/// assert_eq!(window.score(6.0, 5).expect("2, 3, 4, 5 and 10 came before").median, 4.0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Window {
    values: VecDeque<f64>,
}

impl Window {
    /// Takes up a finite value, and gives its score against the `length` values before it; none while there are fewer.
    pub fn score(&mut self, value: f64, length: usize) -> Option<Score> {
        let full = self.values.len() >= length && length > 0;
        let score = full.then(|| self.against(value));
        self.values.push_back(value);
        while self.values.len() > length {
            self.values.pop_front();
        }
        score
    }

    fn against(&self, value: f64) -> Score {
        let mut values: Vec<f64> = self.values.iter().copied().collect();
        let median = median(&mut values);
        for x in &mut values {
            *x = (*x - median).abs();
        }
        let deviation = CONSISTENCY * self::median(&mut values);
        let rounding = f64::from(f32::EPSILON) * median.abs();
        let scale = deviation.max(rounding).max(f64::from(f32::MIN_POSITIVE));
        Score {
            value,
            median,
            z: (value - median) / scale,
        }
    }
}

/// The median, of an even number of values the mean of the middle two. Changes their order.
fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if even {
        let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        lower.midpoint(upper)
    } else {
        upper
    }
}

/// The spikes of a run: what is saved with a checkpoint, so that a run that goes on finds the same ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spikes {
    /// The last losses.
    loss: Window,
    /// The last norms of the gradient.
    grad_norm: Window,
    /// Spikes of the loss so far.
    pub loss_spikes: u64,
    /// Spikes of the gradient's norm so far.
    pub grad_norm_spikes: u64,
    /// Updates skipped so far.
    pub skipped_updates: u64,
}

/// What a step's loss and gradient norm were, where they are spikes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Found {
    /// The loss.
    pub loss: Option<Score>,
    /// The gradient's norm.
    pub grad_norm: Option<Score>,
}

impl Found {
    /// Whether either is a spike.
    pub fn any(&self) -> bool {
        self.loss.is_some() || self.grad_norm.is_some()
    }
}

impl Spikes {
    /// Takes up a step's loss and gradient norm, both finite, and counts them where their scores against the `window`
    /// steps before are above `threshold`.
    pub fn watch(&mut self, loss: f64, grad_norm: f64, window: usize, threshold: f64) -> Found {
        let above = |score: &Score| score.z > threshold;
        let found = Found {
            loss: self.loss.score(loss, window).filter(above),
            grad_norm: self.grad_norm.score(grad_norm, window).filter(above),
        };
        self.loss_spikes += u64::from(found.loss.is_some());
        self.grad_norm_spikes += u64::from(found.grad_norm.is_some());
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// By sorting everything that came before.
    fn reference(before: &[f64], value: f64) -> f64 {
        fn median(mut x: Vec<f64>) -> f64 {
            x.sort_by(f64::total_cmp);
            (x[(x.len() - 1) / 2] + x[x.len() / 2]) / 2.0
        }
        let m = median(before.to_vec());
        let mad = median(before.iter().map(|x| (x - m).abs()).collect());
        (value - m) / (1.4826 * mad)
    }

    proptest! {
        #[test]
        fn the_score_is_that_of_sorting_the_values_before(
            values in vec(-1e3..1e3f64, 2..80), length in 1..20usize,
        ) {
            let mut window = Window::default();
            for (i, &value) in values.iter().enumerate() {
                let score = window.score(value, length);
                prop_assert_eq!(score.is_some(), i >= length);
                let Some(score) = score else { continue };
                let expected = reference(&values[i - length..i], value);
                // A window of one has no deviation.
                if length > 1 {
                    prop_assert!((score.z - expected).abs() <= 1e-12 * expected.abs(), "{} and {expected}", score.z);
                }
            }
        }

        #[test]
        fn the_score_depends_on_neither_unit_nor_origin(
            values in vec(1.0..2.0f64, 9..30), exponent in -20..20i32, origin in -8..8i32,
        ) {
            let (unit, origin) = (2f64.powi(exponent), f64::from(origin));
            let (mut plain, mut moved) = (Window::default(), Window::default());
            for &value in &values {
                let (a, b) = (plain.score(value, 8), moved.score((value + origin) * unit, 8));
                if let (Some(a), Some(b)) = (a, b) {
                    // Moving rounds each value by an ULP of at most 16; deviations are differences of such.
                    let spread = (a.value - a.median).abs() / a.z.abs().max(f64::MIN_POSITIVE);
                    prop_assert!((a.z - b.z).abs() <= 32.0 * f64::EPSILON * (1.0 + a.z.abs()) / spread.min(1.0));
                }
            }
        }

        #[test]
        fn a_window_that_was_saved_goes_on_bit_for_bit(values in vec(any::<f32>().prop_filter("finite", |x| x.is_finite()), 1..60), at in 0..60usize) {
            let (mut whole, mut saved) = (Spikes::default(), Spikes::default());
            for (i, &value) in values.iter().enumerate() {
                if i == at {
                    let text = serde_json::to_string(&saved).unwrap_or_default();
                    saved = serde_json::from_str(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
                }
                let value = f64::from(value) / 3.0;
                prop_assert_eq!(whole.watch(value, -value, 7, 3.0), saved.watch(value, -value, 7, 3.0));
            }
            prop_assert_eq!(whole, saved);
        }
    }

    #[test]
    fn only_what_rises_is_a_spike() {
        let mut spikes = Spikes::default();
        for i in 0..64 {
            assert!(!spikes.watch(2.0 + f64::from(i % 5) * 0.01, 1.0, 64, 7.0).any());
        }
        assert!(!spikes.watch(0.1, 0.5, 64, 7.0).any());
        let found = spikes.watch(3.0, 1.0, 64, 7.0);
        assert!(found.loss.is_some() && found.grad_norm.is_none());
        // The norm has been constant: what rises above the rounding of f32 is seen, what does not is not.
        assert!(!spikes.watch(2.0, 1.0 + 1e-7, 64, 7.0).any());
        assert!(spikes.watch(2.0, 1.0 + 1e-5, 64, 7.0).grad_norm.is_some());
        assert_eq!((spikes.loss_spikes, spikes.grad_norm_spikes), (1, 1));
    }

    #[test]
    fn a_new_level_is_the_norm_after_half_a_window() {
        let mut spikes = Spikes::default();
        let mut level = |base: f64, steps: u32| {
            let noise = |i: u32| 0.01 * f64::from(i * 7 % 11);
            (0..steps)
                .filter(|&i| spikes.watch(base + noise(i), 1.0, 64, 7.0).loss.is_some())
                .count()
        };
        assert_eq!(level(2.0, 100), 0);
        assert_eq!(level(5.0, 200), 32);
    }
}
