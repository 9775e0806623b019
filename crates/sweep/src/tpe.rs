use tpe::{TpeOptimizer, categorical_range, histogram_estimator, parzen_estimator, range};

use crate::{
    sequence::generator,
    space::{Space, Values},
};

/// The tree-structured Parzen estimator over a space: a point is proposed where, axis by axis, points of low loss are dense
/// and others are not (Bergstra, Bardenet, Bengio and Kégl, Algorithms for Hyper-Parameter Optimization, 2011).
///
/// Points are given by a coordinate between 0 and 1 for each axis, as [`Space::point`] takes them.
pub(crate) struct Estimator {
    axes: Vec<(TpeOptimizer, Coordinate)>,
}

/// How an axis' coordinate is one of its estimator.
enum Coordinate {
    Continuous,
    /// The number of values, which are in no order.
    Category(usize),
}

impl Estimator {
    /// The estimator of points with their losses. Infinity is the worst.
    pub fn new<'a>(space: &Space, observed: impl IntoIterator<Item = (&'a [f64], f64)>) -> Self {
        let axes = space.axes.iter().filter_map(|axis| {
            Some(match &axis.values {
                Values::Listed(values) => {
                    let range = categorical_range(values.len()).ok()?;
                    (
                        TpeOptimizer::new(histogram_estimator(), range),
                        Coordinate::Category(values.len()),
                    )
                }
                Values::Range(_) => {
                    let range = range(0.0, 1.0).ok()?;
                    (
                        TpeOptimizer::new(parzen_estimator(), range),
                        Coordinate::Continuous,
                    )
                }
            })
        });
        let mut estimator = Self { axes: axes.collect() };
        for (point, loss) in observed {
            estimator.tell(point, loss);
        }
        estimator
    }

    /// Learns the loss of a point.
    pub fn tell(&mut self, point: &[f64], loss: f64) {
        for ((optimizer, coordinate), x) in self.axes.iter_mut().zip(point) {
            let x = match coordinate {
                Coordinate::Continuous => *x,
                Coordinate::Category(count) => (x * *count as f64).floor(),
            };
            // A coordinate is in its range, and a loss is no NaN.
            let _ = optimizer.tell(x, loss);
        }
    }

    /// Proposes a point, from a stream of random numbers of its own.
    pub fn ask(&mut self, seed: u64, stream: u64) -> Vec<f64> {
        let mut generator = generator(seed, stream);
        self.axes
            .iter_mut()
            .map(|(optimizer, coordinate)| {
                let Ok(x) = optimizer.ask(&mut generator);
                match coordinate {
                    Coordinate::Continuous => x,
                    Coordinate::Category(count) => (x + 0.5) / *count as f64,
                }
            })
            .collect()
    }
}
