use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{CONFIDENCE, Interval, Sample};

/// What a t-test says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TTest {
    /// `difference / se`.
    pub statistic: f64,
    /// Of the distribution that it has if there is no difference; Welch's are no whole number.
    pub degrees_of_freedom: f64,
    /// How often a statistic as far from 0 comes of no difference (two-sided).
    pub p_value: f64,
    /// The 95% interval of the difference.
    pub interval: Interval,
}

/// The 95% interval of a mean, `mean ± t se` with `t` the 97.5% quantile of Student's distribution of n - 1 degrees of freedom.
///
/// None for one number, and for equal ones: what does not vary says nothing of how far it may be off.
pub fn t_interval(values: &[f64]) -> Option<Interval> {
    t_test(values).map(|test| test.interval)
}

/// Whether a mean is 0: Student's (1908) test. Of differences within pairs, it is the paired t-test.
///
/// None for fewer than two numbers, and for equal ones.
///
/// ```
/// use sweep::statistics::t_test;
///
/// // scipy.stats.ttest_1samp([1, 2, 3], 0)
/// let test = t_test(&[1.0, 2.0, 3.0]).expect("three numbers that vary");
/// assert!((test.p_value - 0.07417990022744853).abs() < 1e-12);
/// ```
pub fn t_test(values: &[f64]) -> Option<TTest> {
    let sample = Sample::of(values)?;
    test(sample.mean, sample.se()?, (sample.n - 1) as f64)
}

/// Whether two means are the same, of samples that are not paired and vary each in its own way: Welch's (1947) test of
/// `mean(b) - mean(a)`.
///
/// None where one of them has fewer than two numbers, or neither varies.
pub fn welch(a: &[f64], b: &[f64]) -> Option<TTest> {
    let (a, b) = (Sample::of(a)?, Sample::of(b)?);
    let (of_a, of_b) = (a.se()?.powi(2), b.se()?.powi(2));
    let variance = of_a + of_b;
    // Welch and Satterthwaite.
    let degrees = variance.powi(2) / (of_a.powi(2) / (a.n - 1) as f64 + of_b.powi(2) / (b.n - 1) as f64);
    test(b.mean - a.mean, variance.sqrt(), degrees)
}

fn test(difference: f64, se: f64, degrees_of_freedom: f64) -> Option<TTest> {
    // Not a number where neither of two samples varies.
    if se.is_nan() || se <= 0.0 {
        return None;
    }
    let student = StudentsT::new(0.0, 1.0, degrees_of_freedom).ok()?;
    let statistic = difference / se;
    let reach = student.inverse_cdf(f64::midpoint(1.0, CONFIDENCE)) * se;
    Some(TTest {
        statistic,
        degrees_of_freedom,
        p_value: 2.0 * student.cdf(-statistic.abs()),
        interval: Interval {
            low: difference - reach,
            high: difference + reach,
        },
    })
}
