//! The learning-rate range test: one short run whose learning rate rises exponentially, and what its losses suggest.
//!
//! L. N. Smith, "Cyclical Learning Rates for Training Neural Networks" (arXiv 1506.01186); with an exponential rise, a
//! smoothed loss and an early stop, as fastai has it. [`range_test`] makes the run, [`analyse`] reads it.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::{DeviceName, Recipe, run::RunError, trainer::Trainer};

/// How much of the smoothed loss is the loss before: the average looks back over about ten steps.
const SMOOTHING: f64 = 0.9;

/// The run ends where the smoothed loss is more than this many times its lowest.
const DIVERGED: f64 = 4.0;

/// Which learning rates are tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RangeTest {
    /// The first learning rate.
    pub from: f64,
    /// The last.
    pub to: f64,
    /// Steps from the first to the last.
    pub steps: u64,
}

impl RangeTest {
    /// `from * (to / from)^(step / (steps - 1))`.
    pub fn lr(self, step: u64) -> f64 {
        let share = step as f64 / self.steps.saturating_sub(1).max(1) as f64;
        self.from * (self.to / self.from).powf(share)
    }
}

/// A step of the test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The step.
    pub step: u64,
    /// The learning rate of the update that follows the loss.
    pub lr: f64,
    /// The loss on the step's batch.
    pub loss: f64,
    /// `s_t / (1 - 0.9^t)`, with `s_t = 0.9 s_{t-1} + 0.1 loss_t` from `s_0 = 0`.
    pub smoothed_loss: f64,
}

/// The points, a loss at a time.
#[derive(Clone, Debug, Default)]
pub struct Curve {
    points: Vec<Point>,
    average: f64,
    lowest: Option<f64>,
}

impl Curve {
    /// Adds a step; whether the test goes on, which it does not where the loss has diverged. A loss that is not finite is
    /// not among the points.
    pub fn push(&mut self, lr: f64, loss: f64) -> bool {
        if !loss.is_finite() {
            return false;
        }
        let step = self.points.len() as u64;
        self.average = SMOOTHING * self.average + (1.0 - SMOOTHING) * loss;
        let smoothed_loss = self.average / (1.0 - SMOOTHING.powf((step + 1) as f64));
        self.points.push(Point {
            step,
            lr,
            loss,
            smoothed_loss,
        });
        let lowest = self
            .lowest
            .map_or(smoothed_loss, |lowest| lowest.min(smoothed_loss));
        self.lowest = Some(lowest);
        smoothed_loss <= DIVERGED * lowest
    }

    /// The points.
    pub fn points(&self) -> &[Point] {
        &self.points
    }
}

/// Trains `recipe` on `device` from its initial weights with a rising learning rate in the place of its schedule. `see` is
/// shown every point; none are given where `stop` is set on the way.
///
/// It writes nothing: the model is made for the test and goes with it.
///
/// # Errors
/// Where device or text are at fault.
pub fn range_test(
    recipe: &Recipe,
    device: DeviceName,
    test: RangeTest,
    stop: &AtomicBool,
    mut see: impl FnMut(&Point) + Send,
) -> Result<Option<Vec<Point>>, RunError> {
    let dataset = recipe.open_text()?;
    let mut trainer = Trainer::new(recipe, dataset.vocabulary(), &device.open()?)?;
    let curve = device.attend(|| {
        let mut curve = Curve::default();
        for step in 0..test.steps {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let gradient = trainer.gradient(&dataset, step)?;
            let lr = test.lr(step);
            let goes_on = curve.push(lr, gradient.step.loss) && gradient.step.is_finite();
            if let Some(point) = curve.points().last() {
                see(point);
            }
            if !goes_on {
                break;
            }
            trainer.update(gradient, lr);
        }
        Ok::<_, RunError>(Some(curve))
    })?;
    Ok(curve.map(|curve| curve.points))
}

/// Steps by which the smoothed loss lags behind the loss: the mean age of what it averages, 0.9 / (1 - 0.9).
const LAG: usize = 9;

/// What a range test says. Each learning rate is the one of nine steps before the smoothed loss that it is read from, by
/// which that lags.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Analysis {
    /// Where the loss falls fastest over the logarithm of the learning rate.
    pub steepest: f64,
    /// Where the loss is lowest: the largest learning rate with which it still fell. This is the suggestion.
    ///
    /// A schedule that decays spends most of its steps below its peak, so that the peak may be at this edge. Rules that
    /// stay further below it, a tenth of it or the steepest fall, made for schedules that were constant, lose: by the
    /// grid of `sweeps/lr-find-shakespeare.toml`, see `results/README.md`.
    pub lowest: f64,
    /// Where the test ended early: the smoothed loss rose above four times its lowest, or the loss was not finite. None
    /// where it came to its end.
    pub diverged: Option<f64>,
    /// Whether the loss was lowest at the very end, so that larger learning rates may be better.
    pub still_falling: bool,
}

/// Reads the points of a range test; none where the loss falls nowhere, or was not finite before it could.
pub fn analyse(points: &[Point], test: RangeTest) -> Option<Analysis> {
    // The first averages are of too few losses to be judged by.
    let judged = points.get(LAG..)?;
    let smoothed = |i: usize| judged[i].smoothed_loss;
    let lowest = (0..judged.len()).min_by(|&a, &b| smoothed(a).total_cmp(&smoothed(b)))?;
    // Learning rates are a fixed ratio apart, so that a fall over some steps is one over the logarithm. Over as many as the
    // average looks back, noise is small.
    let fall = |i: usize| smoothed(i - LAG) - smoothed(i);
    let steepest = (LAG..=lowest).max_by(|&a, &b| fall(a).total_cmp(&fall(b)))?;
    let ended = (points.len() as u64) < test.steps;
    Some(Analysis {
        // The middle of the fall.
        steepest: points[steepest - LAG / 2].lr,
        lowest: points[lowest].lr,
        diverged: points.last().filter(|_| ended).map(|point| point.lr),
        still_falling: !ended && lowest + 1 == judged.len(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::{
        ChaCha8Rng,
        rand_core::{Rng, SeedableRng},
    };

    use super::*;

    const TEST: RangeTest = RangeTest {
        from: 1e-6,
        to: 1.0,
        steps: 300,
    };

    /// A plateau at 4, a fall around the learning rate e^`fall`, a rise from e^`rise` on; noise of up to `noise`.
    fn curve(fall: f64, rise: f64, noise: f64, seed: u64) -> Vec<Point> {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let mut curve = Curve::default();
        for step in 0..TEST.steps {
            let lr = TEST.lr(step);
            let uniform = (generator.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
            if !curve.push(lr, shape(lr, fall, rise) + noise * uniform) {
                break;
            }
        }
        curve.points
    }

    fn shape(lr: f64, fall: f64, rise: f64) -> f64 {
        4.0 - 2.0 / (1.0 + (-(lr.ln() - fall)).exp()) + (2.0 * (lr.ln() - rise)).exp()
    }

    proptest! {
        #[test]
        fn the_suggestion_is_where_the_loss_itself_is_lowest(
            fall in -9.0..-6.0f64, width in 2.0..4.0f64, noise in 0.0..0.1f64, seed: u64,
        ) {
            let rise = fall + width;
            let found = analyse(&curve(fall, rise, noise, seed), TEST).expect("it falls");
            let true_lowest = (0..30_000)
                .map(|i| 1e-6 * 1e6f64.powf(f64::from(i) / 30_000.0))
                .min_by(|&a, &b| shape(a, fall, rise).total_cmp(&shape(b, fall, rise)))
                .expect("there are some");
            // A flat bottom and noise: what counts is how much is lost by it.
            let lost = shape(found.lowest, fall, rise) - shape(true_lowest, fall, rise);
            prop_assert!(lost <= 0.05 + noise, "{found:?} for {true_lowest:e}: {lost}");
            prop_assert!(found.steepest < found.lowest);
            prop_assert!(!found.still_falling);
        }

        #[test]
        fn another_unit_of_the_learning_rate_is_another_unit_of_the_suggestion(
            fall in -9.0..-6.0f64, noise in 0.0..0.1f64, exponent in -20..20i32, seed: u64,
        ) {
            let unit = 2f64.powi(exponent);
            let points = curve(fall, fall + 3.0, noise, seed);
            let scaled: Vec<Point> = points.iter().map(|p| Point { lr: p.lr * unit, ..*p }).collect();
            let (a, b) = (analyse(&points, TEST).expect("it falls"), analyse(&scaled, TEST).expect("it falls"));
            prop_assert_eq!(
                (a.steepest * unit, a.lowest * unit, a.diverged.map(|lr| lr * unit)),
                (b.steepest, b.lowest, b.diverged)
            );
        }

        #[test]
        fn the_smoothed_loss_is_a_weighted_mean_of_the_losses_so_far(losses in proptest::collection::vec(1.0..2.0f64, 1..50)) {
            let mut curve = Curve::default();
            for &loss in &losses {
                prop_assert!(curve.push(1.0, loss));
            }
            let weights: Vec<f64> = (0..losses.len()).rev().map(|age| 0.9f64.powi(age as i32)).collect();
            let mean = losses.iter().zip(&weights).map(|(x, w)| x * w).sum::<f64>() / weights.iter().sum::<f64>();
            let smoothed = curve.points().last().expect("there are some").smoothed_loss;
            prop_assert!((smoothed / mean - 1.0).abs() <= 200.0 * f64::EPSILON);
        }
    }

    #[test]
    fn it_ends_where_the_loss_is_four_times_its_lowest_or_no_number() {
        let points = curve(-8.0, -4.0, 0.0, 0);
        assert!(points.len() < 300);
        let lowest = points.iter().map(|p| p.smoothed_loss).fold(f64::MAX, f64::min);
        let (last, before) = (points[points.len() - 1], points[points.len() - 2]);
        assert!(last.smoothed_loss > 4.0 * lowest && before.smoothed_loss <= 4.0 * lowest);
        assert_eq!(
            analyse(&points, TEST).and_then(|found| found.diverged),
            Some(last.lr)
        );
        let mut curve = Curve::default();
        assert!(curve.push(1.0, 2.0) && !curve.push(1.0, f64::NAN));
        assert_eq!(curve.points().len(), 1);
    }

    #[test]
    fn a_loss_that_falls_nowhere_suggests_nothing_and_one_that_falls_to_the_end_says_so() {
        let of = |loss: fn(f64) -> f64| {
            let mut curve = Curve::default();
            for step in 0..TEST.steps {
                curve.push(TEST.lr(step), loss(f64::from(step as u32)));
            }
            analyse(&curve.points, TEST)
        };
        assert_eq!(of(|step| 1.0 + step / 300.0), None);
        assert!(of(|step| 4.0 - step / 300.0).is_some_and(|found| found.still_falling));
        assert_eq!(analyse(&[], TEST), None);
    }

    #[test]
    fn learning_rates_run_from_the_first_to_the_last() {
        assert_eq!(TEST.lr(0), 1e-6);
        assert!((TEST.lr(299) - 1.0).abs() < 1e-12);
        assert!((TEST.lr(150) / TEST.lr(149) / (TEST.lr(1) / TEST.lr(0)) - 1.0).abs() < 1e-12);
    }
}
