/// The middle of some costs, of which those that are none count as infinite; none where the middle is.
///
/// ```
/// use sweep::statistics::median;
///
/// assert_eq!(median(&[Some(3.0), None, Some(1.0)]), Some(3.0));
/// assert_eq!(median(&[Some(3.0), None]), None);
/// ```
pub fn median(costs: &[Option<f64>]) -> Option<f64> {
    let mut sorted: Vec<f64> = costs.iter().map(|cost| cost.unwrap_or(f64::INFINITY)).collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let middle = f64::midpoint(sorted[last / 2], sorted[last.div_ceil(2)]);
    middle.is_finite().then_some(middle)
}

/// A performance profile (Dolan and Moré 2002): the share of workloads that a submission solves within `tau` times the cost of the
/// best submission there.
///
/// `ratios` holds, for each workload, its own cost over the best one; none where it did not get there.
///
/// ```
/// use sweep::statistics::profile;
///
/// assert_eq!(profile(&[Some(1.0), Some(2.5), None, Some(1.5)], 2.0), 0.5);
/// ```
pub fn profile(ratios: &[Option<f64>], tau: f64) -> f64 {
    let within = ratios.iter().flatten().filter(|ratio| **ratio <= tau).count();
    within as f64 / ratios.len() as f64
}

/// AlgoPerf's score (Dahl et al. 2023, section 4): the mean height of the performance profile between `tau` = 1 and `greatest`.
///
/// The profile is a staircase, so its integral is the sum of what each workload adds: `greatest - ratio`, where that is positive.
///
/// ```
/// use sweep::statistics::profile_score;
///
/// assert_eq!(profile_score(&[Some(1.0), Some(2.5), None, Some(5.0)], 4.0), (3.0 + 1.5) / (3.0 * 4.0));
/// ```
pub fn profile_score(ratios: &[Option<f64>], greatest: f64) -> f64 {
    let area: f64 = ratios
        .iter()
        .flatten()
        .map(|ratio| (greatest - ratio).max(0.0))
        .sum();
    area / ((greatest - 1.0) * ratios.len() as f64)
}
