/// Holm's (1979) correction for many tests: what is rejected where the corrected p-value is at most 5% holds, all of it together,
/// in 95% of tables in which nothing differs.
///
/// Sorted ascending, `p_(i)` of m becomes `max over j <= i of min(1, (m - j + 1) p_(j))`. It assumes nothing of how the tests depend
/// on one another, which they do here: all are against one baseline.
///
/// ```
/// use sweep::statistics::holm;
///
/// assert_eq!(holm(&[0.5, 0.125, 0.25]), [0.5, 0.375, 0.5]);
/// ```
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut corrected = vec![0.0; p_values.len()];
    let mut greatest = 0.0f64;
    for (smaller, index) in order.into_iter().enumerate() {
        let remaining = (p_values.len() - smaller) as f64;
        greatest = greatest.max((remaining * p_values[index]).min(1.0));
        corrected[index] = greatest;
    }
    corrected
}
