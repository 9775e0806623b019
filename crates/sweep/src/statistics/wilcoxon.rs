/// The fewest numbers of which the test can say anything: of five, even all on one side have p = 2 / 2^5 = 0.06.
const FEWEST: usize = 6;

/// Whether differences within pairs lie around 0, by their signs and ranks alone: the p-value of Wilcoxon's (1945) signed-rank test,
/// two-sided.
///
/// It is exact: the share of all 2^n signs whose rank sum is as far from its middle. Differences of 0 are left out, equal ones share
/// the mean of their ranks, and the signs are counted over the ranks that there are. None for fewer than six differences other than
/// 0, which cannot reach 5%.
///
/// ```
/// use sweep::statistics::wilcoxon;
///
/// assert_eq!(wilcoxon(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]), Some(2.0 / 64.0));
/// assert_eq!(wilcoxon(&[0.1, 0.2, 0.3, 0.4, 0.5]), None);
/// ```
pub fn wilcoxon(differences: &[f64]) -> Option<f64> {
    let mut differences: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    if differences.len() < FEWEST || differences.iter().any(|d| d.is_nan()) {
        return None;
    }
    differences.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let ranks = doubled_ranks(&differences);
    let positive: usize = differences
        .iter()
        .zip(&ranks)
        .filter(|(difference, _)| **difference > 0.0)
        .map(|(_, rank)| rank)
        .sum();
    let distribution = rank_sums(&ranks);
    let far = positive.min(distribution.len() - 1 - positive);
    // The distribution is symmetric: as much lies above as below.
    let tail: f64 = distribution[..=far].iter().sum();
    Some((2.0 * tail).min(1.0))
}

/// Twice the rank of each, so that the mean of several is a whole number.
fn doubled_ranks(sorted: &[f64]) -> Vec<usize> {
    let mut ranks = Vec::with_capacity(sorted.len());
    for equal in sorted.chunk_by(|a, b| a.abs() == b.abs()) {
        let before = ranks.len();
        // The mean of before + 1, ..., before + k is before + (k + 1) / 2.
        ranks.extend(std::iter::repeat_n(2 * before + equal.len() + 1, equal.len()));
    }
    ranks
}

/// The probability of each sum of the ranks whose signs, each as likely as the other, are positive.
fn rank_sums(ranks: &[usize]) -> Vec<f64> {
    let mut probabilities = vec![0.0; ranks.iter().sum::<usize>() + 1];
    probabilities[0] = 1.0;
    let mut greatest = 0;
    for rank in ranks {
        greatest += rank;
        // From above, so that what a sum was before this rank is still there.
        for sum in (0..=greatest).rev() {
            let with = if sum >= *rank {
                probabilities[sum - rank]
            } else {
                0.0
            };
            probabilities[sum] = f64::midpoint(probabilities[sum], with);
        }
    }
    probabilities
}
