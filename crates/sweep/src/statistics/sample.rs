/// The mean of some numbers, and how far they lie from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// How many there are.
    pub n: usize,
    /// `sum x / n`.
    pub mean: f64,
    /// The standard deviation, `sqrt(sum (x - mean)^2 / (n - 1))`; none of one number, and exactly 0 where all are the same.
    pub sd: Option<f64>,
}

/// From where to where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Sample {
    /// Of at least one number.
    ///
    /// ```
    /// use sweep::statistics::Sample;
    ///
    /// let sample = Sample::of(&[1.0, 2.0, 3.0]).expect("three numbers");
    /// assert_eq!((sample.mean, sample.sd), (2.0, Some(1.0)));
    /// ```
    pub fn of(values: &[f64]) -> Option<Self> {
        let first = *values.first()?;
        let n = values.len();
        // The mean of equal numbers is off by a rounding, and their deviation would not be 0.
        if values.iter().all(|value| *value == first) {
            return Some(Self {
                n,
                mean: first,
                sd: (n > 1).then_some(0.0),
            });
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self {
            n,
            mean,
            sd: Some((squares / (n - 1) as f64).sqrt()),
        })
    }

    /// The standard error of the mean, `sd / sqrt(n)`.
    pub fn se(&self) -> Option<f64> {
        self.sd.map(|sd| sd / (self.n as f64).sqrt())
    }
}

impl Interval {
    /// Whether a number lies in it.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}
