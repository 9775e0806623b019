//! Medians, quartiles and paired ratios.

use serde::Serialize;

/// The middle of some samples, and where their middle half lies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub median: f64,
    pub lower_quartile: f64,
    pub upper_quartile: f64,
}

impl Summary {
    /// Of at least one sample.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            median: quantile(&sorted, 0.5)?,
            lower_quartile: quantile(&sorted, 0.25)?,
            upper_quartile: quantile(&sorted, 0.75)?,
        })
    }

    /// Of what each alternation gave, one side over the other: what slows a machine down for a while slows both down.
    pub fn of_ratios(numerators: &[f64], denominators: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> = numerators.iter().zip(denominators).map(|(n, d)| n / d).collect();
        Self::of(&ratios)
    }

    /// One number, measured once.
    pub fn exactly(value: f64) -> Self {
        Self {
            median: value,
            lower_quartile: value,
            upper_quartile: value,
        }
    }

    /// Of the samples multiplied by a positive `factor`.
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            median: self.median * factor,
            lower_quartile: self.lower_quartile * factor,
            upper_quartile: self.upper_quartile * factor,
        }
    }
}

/// Between two neighbours in proportion, as NumPy and R (type 7) have it.
fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let place = q * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_those_of_numpy() {
        // numpy.quantile([3, 1, 2, 10], [0.25, 0.5, 0.75])
        let summary = Summary::of(&[3.0, 1.0, 2.0, 10.0]).unwrap();
        assert_eq!(
            (summary.lower_quartile, summary.median, summary.upper_quartile),
            (1.75, 2.5, 4.75)
        );
        assert_eq!(Summary::of(&[7.0]), Some(Summary::exactly(7.0)));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn ratios_are_paired_before_their_median_is_taken() {
        // The machine ran at half its speed in the second alternation: the medians' ratio would be 2/3.
        let ratios = Summary::of_ratios(&[20.0, 10.0, 20.0], &[10.0, 5.0, 30.0]).unwrap();
        assert_eq!(ratios.median, 2.0);
        assert_eq!(Summary::of_ratios(&[1.0], &[]), None);
    }
}
