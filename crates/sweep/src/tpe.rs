use std::f64::consts::TAU;

use rand_chacha::{ChaCha8Rng, rand_core::Rng};

use crate::{
    sequence::{generator, unit},
    space::{Space, Values},
};

/// The share of the points that count as good, rounded up, and the most that do (Optuna's).
const GOOD_SHARE: f64 = 0.1;
const MOST_GOOD: usize = 25;
/// How many candidates are drawn for a coordinate (Bergstra's).
const CANDIDATES: usize = 24;

/// The tree-structured Parzen estimator (Bergstra, Bardenet, Bengio and Kégl, Algorithms for Hyper-Parameter Optimization,
/// 2011): axis by axis, l(x) is a density of the points with the lowest losses and g(x) one of all others; of some
/// candidates drawn from l, the one with the largest l(x) / g(x) is proposed, where the expected improvement is largest.
///
/// Points are given by a coordinate between 0 and 1 for each axis, as [`Space::point`] takes them.
pub(crate) struct Estimator {
    axes: Vec<Kind>,
    observed: Vec<(Vec<f64>, f64)>,
}

/// What an axis' coordinates are.
#[derive(Clone, Copy)]
enum Kind {
    Number,
    /// One of so many values, in no order.
    Category(usize),
}

/// A density of the coordinates of an axis.
enum Density {
    /// A mean of normal densities, each around an observation with a deviation of its own, what leaves the interval from
    /// 0 to 1 mirrored back into it.
    Number(Vec<(f64, f64)>),
    /// A probability for each value.
    Category(Vec<f64>),
}

impl Estimator {
    pub fn new(space: &Space) -> Self {
        let kind = |values: &Values| match values {
            Values::Listed(values) => Kind::Category(values.len()),
            Values::Range(_) => Kind::Number,
        };
        Self {
            axes: space.axes.iter().map(|axis| kind(&axis.values)).collect(),
            observed: Vec::new(),
        }
    }

    /// Learns the loss of a point; infinity is the worst.
    pub fn tell(&mut self, point: &[f64], loss: f64) {
        let rank = self.observed.partition_point(|(_, other)| *other <= loss);
        self.observed.insert(rank, (point.to_vec(), loss));
    }

    /// Proposes a point, from a stream of random numbers of its own.
    pub fn ask(&self, seed: u64, stream: u64) -> Vec<f64> {
        let good = (self.observed.len() as f64 * GOOD_SHARE).ceil() as usize;
        let (good, bad) = self.observed.split_at(good.min(MOST_GOOD));
        let mut generator = generator(seed, stream);
        self.axes
            .iter()
            .enumerate()
            .map(|(axis, kind)| {
                let density = |points: &[(Vec<f64>, f64)]| {
                    Density::new(*kind, points.iter().map(|(point, _)| point[axis]).collect())
                };
                let (good, bad) = (density(good), density(bad));
                let candidates = (0..CANDIDATES).map(|_| good.sample(&mut generator));
                let ratio = |x: f64| (good.at(x) / bad.at(x), x);
                let best = candidates.map(ratio).max_by(|a, b| a.0.total_cmp(&b.0));
                best.map_or(0.5, |(_, x)| x)
            })
            .collect()
    }
}

impl Density {
    fn new(kind: Kind, mut observed: Vec<f64>) -> Self {
        match kind {
            Kind::Category(count) => {
                // Each value counts once before it is observed.
                let total = (observed.len() + count) as f64;
                let mut probabilities = vec![1.0 / total; count];
                for x in observed {
                    probabilities[category(x, count)] += 1.0 / total;
                }
                Self::Category(probabilities)
            }
            Kind::Number => {
                observed.sort_by(f64::total_cmp);
                // The deviation is the distance to the farther neighbour, but not so small that one point is all.
                let least = 1.0 / (1.0 + observed.len() as f64).min(100.0);
                let neighbour =
                    |i: Option<usize>, end: f64| i.and_then(|i| observed.get(i)).copied().unwrap_or(end);
                let normal = |(i, &x): (usize, &f64)| {
                    let (below, above) = (neighbour(i.checked_sub(1), 0.0), neighbour(Some(i + 1), 1.0));
                    (x, (x - below).max(above - x).clamp(least, 1.0))
                };
                // What is known before anything is observed: nearly nothing, around the middle.
                let prior = (0.5, 1.0);
                Self::Number(observed.iter().enumerate().map(normal).chain([prior]).collect())
            }
        }
    }

    fn at(&self, x: f64) -> f64 {
        match self {
            Self::Category(probabilities) => probabilities[category(x, probabilities.len())],
            Self::Number(normals) => {
                // Of a deviation of at most 1, what lies farther than 6 intervals away is below 1e-8.
                let mirrored = (-3..=3).flat_map(|k| [2.0 * f64::from(k) + x, 2.0 * f64::from(k) - x]);
                let density = |&(mean, deviation): &(f64, f64)| {
                    let one = |x: f64| (-0.5 * ((x - mean) / deviation).powi(2)).exp();
                    mirrored.clone().map(one).sum::<f64>() / (deviation * TAU.sqrt())
                };
                normals.iter().map(density).sum::<f64>() / normals.len() as f64
            }
        }
    }

    fn sample(&self, generator: &mut ChaCha8Rng) -> f64 {
        let mut draw = || unit(generator.next_u64());
        match self {
            Self::Category(probabilities) => {
                let (x, mut below) = (draw(), 0.0);
                let value = probabilities.iter().position(|probability| {
                    below += probability;
                    x < below
                });
                let value = value.unwrap_or(probabilities.len() - 1);
                (value as f64 + 0.5) / probabilities.len() as f64
            }
            Self::Number(normals) => {
                let (mean, deviation) = normals[category(draw(), normals.len())];
                // Box and Muller's.
                let normal = (-2.0 * (1.0 - draw()).ln()).sqrt() * (TAU * draw()).cos();
                let x = (mean + deviation * normal).rem_euclid(2.0);
                if x > 1.0 { 2.0 - x } else { x }
            }
        }
    }
}

/// Which of `count` equal parts of the interval from 0 to 1 a coordinate lies in.
fn category(x: f64, count: usize) -> usize {
    ((x * count as f64) as usize).min(count - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn observations() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(0.0..1.0f64, 0..30)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn densities_integrate_to_one(observed in observations(), count in 1..9usize) {
            let number = Density::new(Kind::Number, observed.clone());
            // The trapezoid's error is at most h^2 / 12 times the largest second derivative, which for a normal density is
            // below 1 / deviation^3, with a deviation of at least 1/30; mirrored, twice that.
            let n = 4000;
            let h = 1.0 / f64::from(n);
            let integral: f64 = (0..n).map(|i| h * (number.at(h * f64::from(i)) + number.at(h * f64::from(i + 1))) / 2.0).sum();
            prop_assert!((integral - 1.0).abs() <= h * h / 6.0 * 30.0f64.powi(3) + 1e-8, "{}", integral);
            let Density::Category(probabilities) = Density::new(Kind::Category(count), observed) else {
                panic!("a category")
            };
            prop_assert!((probabilities.iter().sum::<f64>() - 1.0).abs() <= 40.0 * f64::EPSILON);
        }

        #[test]
        fn samples_follow_their_density(observed in observations(), seed: u64) {
            let density = Density::new(Kind::Number, observed);
            let mut generator = generator(seed, 0);
            let n = 2000;
            let below = (0..n).filter(|_| density.sample(&mut generator) < 0.5).count() as f64 / f64::from(n);
            let h = 1.0 / 2000.0;
            let expected: f64 = (0..1000).map(|i| h * density.at(h * (f64::from(i) + 0.5))).sum();
            // Six deviations of a mean of n coins, and the midpoint rule's error.
            prop_assert!((below - expected).abs() < 6.0 * 0.5 / f64::from(n).sqrt() + 1e-3, "{} {}", below, expected);
        }

        #[test]
        fn what_is_proposed_is_a_point(points in prop::collection::vec((0.0..1.0f64, 0.0..1.0f64), 0..40), seed: u64) {
            let mut estimator = Estimator { axes: vec![Kind::Number, Kind::Category(3)], observed: Vec::new() };
            for (i, (x, y)) in points.iter().enumerate() {
                estimator.tell(&[*x, *y], if i % 5 == 4 { f64::INFINITY } else { *x });
            }
            let point = estimator.ask(seed, 0);
            prop_assert!(point.len() == 2 && point.iter().all(|x| (0.0..=1.0).contains(x)));
            prop_assert_eq!(point, estimator.ask(seed, 0));
        }
    }

    #[test]
    fn points_are_kept_from_the_lowest_loss_to_the_highest() {
        let mut estimator = Estimator {
            axes: vec![Kind::Number],
            observed: Vec::new(),
        };
        for loss in [3.0, f64::INFINITY, 1.0, 2.0, f64::INFINITY, 0.0] {
            estimator.tell(&[0.5], loss);
        }
        let losses: Vec<f64> = estimator.observed.iter().map(|(_, loss)| *loss).collect();
        assert_eq!(losses, [0.0, 1.0, 2.0, 3.0, f64::INFINITY, f64::INFINITY]);
    }
}
