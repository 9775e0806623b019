//! The statistics against SciPy (crates/xtask/oracle/comparison.py wrote the numbers) and against simulated noise.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use std::{fmt::Write, path::Path};

use proptest::prelude::*;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, Exp1, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, de::DeserializeOwned};
use sweep::statistics::{
    Factorial, Interval, Sample, TTest, bootstrap_interval, f_test, holm, median, profile, profile_score,
    t_interval, t_test, welch, wilcoxon,
};

/// What both sides may differ by, relative: statrs's incomplete beta function is good to some 1e-11 (2e-11 was measured), and all
/// else here to rounding.
const CLOSE: f64 = 1e-10;

#[derive(Deserialize)]
struct Oracle<Case> {
    scipy: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Expected {
    statistic: f64,
    degrees_of_freedom: f64,
    p_value: f64,
    interval: [f64; 2],
}

fn oracle<Case: DeserializeOwned>(name: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/scipy")
        .join(name);
    let oracle: Oracle<Case> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(oracle.scipy, "1.16.3");
    oracle.cases
}

#[track_caller]
fn assert_close(actual: f64, expected: f64, scale: f64) {
    let error = (actual - expected).abs();
    assert!(
        error <= CLOSE * scale,
        "{actual:e} instead of {expected:e}: off by {error:e} at a scale of {scale:e}"
    );
}

#[track_caller]
fn assert_test(actual: Option<TTest>, expected: &Expected) {
    let actual = actual.unwrap();
    let wide = expected.interval[1] - expected.interval[0];
    let scale = expected.interval[0].abs().max(wide);
    assert_close(
        actual.statistic,
        expected.statistic,
        expected.statistic.abs().max(1.0),
    );
    assert_close(
        actual.degrees_of_freedom,
        expected.degrees_of_freedom,
        expected.degrees_of_freedom,
    );
    // A relative error of the statistic is one of the p-value times the degrees of freedom.
    assert_close(
        actual.p_value,
        expected.p_value,
        expected.p_value * expected.degrees_of_freedom,
    );
    assert_close(actual.interval.low, expected.interval[0], scale);
    assert_close(actual.interval.high, expected.interval[1], scale);
}

#[test]
fn the_t_test_is_scipys() {
    #[derive(Deserialize)]
    struct Case {
        values: Vec<f64>,
        #[serde(flatten)]
        expected: Expected,
    }
    for case in oracle::<Case>("t_test.json") {
        assert_test(t_test(&case.values), &case.expected);
    }
}

#[test]
fn welchs_test_is_scipys() {
    #[derive(Deserialize)]
    struct Case {
        a: Vec<f64>,
        b: Vec<f64>,
        #[serde(flatten)]
        expected: Expected,
    }
    for case in oracle::<Case>("welch.json") {
        assert_test(welch(&case.a, &case.b), &case.expected);
    }
}

#[test]
fn the_signed_rank_test_is_scipys_with_equal_ranks_and_without() {
    #[derive(Deserialize)]
    struct Case {
        differences: Vec<f64>,
        p_value: f64,
    }
    for case in oracle::<Case>("wilcoxon.json") {
        assert_close(wilcoxon(&case.differences).unwrap(), case.p_value, case.p_value);
    }
}

#[test]
fn holms_correction_is_the_closed_test() {
    #[derive(Deserialize)]
    struct Case {
        p_values: Vec<f64>,
        corrected: Vec<f64>,
    }
    for case in oracle::<Case>("holm.json") {
        for (actual, expected) in holm(&case.p_values).iter().zip(&case.corrected) {
            assert_close(*actual, *expected, *expected);
        }
    }
}

#[test]
fn the_analysis_of_variance_is_that_of_least_squares() {
    #[derive(Deserialize)]
    struct Case {
        levels: Vec<usize>,
        cells: Vec<f64>,
        noise: f64,
        noise_degrees_of_freedom: usize,
        effects: Vec<ExpectedEffect>,
    }
    #[derive(Deserialize)]
    struct ExpectedEffect {
        axes: Vec<usize>,
        degrees_of_freedom: usize,
        sum_of_squares: f64,
        f: f64,
        p_value: f64,
    }
    for case in oracle::<Case>("factorial.json") {
        let seeds = case.levels.len() - 1;
        let keys: Vec<usize> = (0..seeds).collect();
        let grid = Factorial::new(case.levels, case.cells).unwrap();
        let noise = grid.total() - grid.between(&keys) - grid.between(&[seeds]);
        assert_close(noise, case.noise, grid.total());
        for expected in case.effects {
            let effect = grid.effect(&expected.axes);
            assert_eq!(effect.degrees_of_freedom, expected.degrees_of_freedom);
            assert_close(effect.sum_of_squares, expected.sum_of_squares, grid.total());
            let p = f_test(
                expected.f,
                effect.degrees_of_freedom,
                case.noise_degrees_of_freedom,
            )
            .unwrap();
            // As with t: F's relative error counts as many times as noise has degrees of freedom.
            assert_close(
                p,
                expected.p_value,
                expected.p_value * case.noise_degrees_of_freedom as f64,
            );
        }
    }
}

#[test]
fn what_does_not_vary_has_no_test() {
    assert_eq!(t_test(&[0.1, 0.1, 0.1]), None);
    assert_eq!(t_test(&[0.1]), None);
    assert_eq!(welch(&[1.0, 1.0], &[2.0, 2.0]), None);
    assert_eq!(welch(&[1.0, 1.1], &[2.0]), None);
    assert_eq!(bootstrap_interval(&[0.1; 8], 0), None);
    assert_eq!(wilcoxon(&[0.0; 8]), None);
    assert_eq!(Sample::of(&[]), None);
    assert_eq!(Sample::of(&[0.1, 0.1, 0.1]).unwrap().sd, Some(0.0));
}

/// Its ends are quantiles of the exact distribution, all n^n resamples counted, within the error of the resampling.
#[test]
fn the_bootstrap_draws_from_all_resamples_alike() {
    let values = [3.51, 3.49, 3.55, 3.50, 3.62f64];
    let sample = Sample::of(&values).unwrap();
    let statistics: Vec<f64> = (0..5usize.pow(5))
        .map(|code| {
            let drawn: Vec<f64> = (0..5).map(|i| values[code / 5usize.pow(i) % 5]).collect();
            let drawn = Sample::of(&drawn).unwrap();
            (drawn.mean - sample.mean) / drawn.se().unwrap()
        })
        .collect();
    let interval = bootstrap_interval(&values, 7).unwrap();
    let share = |t: f64| {
        let (below, at) = statistics.iter().fold((0, 0), |(below, at), s| {
            if (s - t).abs() < 1e-9 * t.abs() {
                (below, at + 1)
            } else {
                (below + usize::from(*s < t), at)
            }
        });
        let total = statistics.len() as f64;
        (below as f64 / total, (below + at) as f64 / total)
    };
    // Four standard errors of a share of 2.5% over 3999 draws.
    let error = 4.0 * (0.025f64 * 0.975 / 3999.0).sqrt();
    for (end, quantile) in [(interval.high, 0.025), (interval.low, 0.975)] {
        let (below, up_to) = share((sample.mean - end) / sample.se().unwrap());
        assert!(
            below - error <= quantile && quantile <= up_to + error,
            "{below} to {up_to}, not {quantile}"
        );
    }
}

/// Noise with a mean of 0.
#[derive(Clone, Copy)]
enum Noise {
    Normal,
    Exponential,
}

impl Noise {
    fn draw(self, random: &mut ChaCha8Rng, n: usize) -> Vec<f64> {
        let one = |_| match self {
            Self::Normal => StandardNormal.sample(random),
            Self::Exponential => {
                let x: f64 = Exp1.sample(random);
                x - 1.0
            }
        };
        (0..n).map(one).collect()
    }
}

/// The share of simulations in which something holds.
fn share(simulations: usize, holds: impl Fn(&mut ChaCha8Rng) -> bool + Sync) -> f64 {
    let held = (0..simulations as u64)
        .into_par_iter()
        .filter(|seed| holds(&mut ChaCha8Rng::seed_from_u64(*seed)))
        .count();
    held as f64 / simulations as f64
}

/// The interval between the 2.5% and the 97.5% quantiles of the resampled means.
fn percentile_bootstrap(values: &[f64], random: &mut ChaCha8Rng) -> Interval {
    let any = rand_distr::Uniform::new(0, values.len()).unwrap();
    let mean = |random: &mut ChaCha8Rng| {
        (0..values.len()).map(|_| values[any.sample(random)]).sum::<f64>() / values.len() as f64
    };
    let mut means: Vec<f64> = (0..999).map(|_| mean(random)).collect();
    means.sort_by(f64::total_cmp);
    Interval {
        low: means[24],
        high: means[974],
    }
}

/// The table of the documentation, made anew: shares of intervals that hold the mean.
fn coverages() -> (String, Vec<(f64, usize)>) {
    let (many, few) = (20_000, 1_000);
    let mut of_normal = Vec::new();
    let mut table =
        "| noise | n | t | studentised bootstrap | percentile bootstrap |\n|---|---|---|---|---|\n"
            .to_owned();
    for (name, noise) in [("normal", Noise::Normal), ("exponential", Noise::Exponential)] {
        for n in [3, 5, 10] {
            let t = share(many, |random| {
                t_interval(&noise.draw(random, n)).is_some_and(|i| i.contains(0.0))
            });
            let studentised = (n >= 5).then(|| {
                share(few, |random| {
                    bootstrap_interval(&noise.draw(random, n), 0).is_some_and(|i| i.contains(0.0))
                })
            });
            let percentile = share(few, |random| {
                let values = noise.draw(random, n);
                percentile_bootstrap(&values, random).contains(0.0)
            });
            if matches!(noise, Noise::Normal) {
                of_normal.push((t, many));
                of_normal.extend(studentised.map(|share| (share, few)));
            }
            let percent = |share: f64| format!("{:.1}%", 100.0 * share);
            let studentised = studentised.map_or_else(|| "none".to_owned(), percent);
            let _ = writeln!(
                table,
                "| {name} | {n} | {} | {studentised} | {} |",
                percent(t),
                percent(percentile)
            );
        }
    }
    let _ = write!(
        table,
        "\nThe share of 95% intervals that hold the mean of the noise, over {many} simulated samples (t; the Monte-Carlo error of 95% is \
         0.15 points) or {few} (bootstrap; 0.7 points). `crates/sweep/tests/statistics.rs` makes this table.\n"
    );
    (table, of_normal)
}

#[test]
fn intervals_hold_the_mean_of_normal_noise_as_often_as_they_say() {
    let (table, of_normal) = coverages();
    for (share, simulations) in of_normal {
        let error = (0.95f64 * 0.05 / simulations as f64).sqrt();
        assert!((share - 0.95).abs() <= 4.0 * error, "{share} over {simulations}");
    }
    let committed = include_str!("../COVERAGE.md");
    assert!(committed == table, "COVERAGE.md is to be:\n{table}");
}

/// How often each test rejects at 5% where nothing differs.
#[test]
fn tests_reject_what_is_true_as_often_as_they_say() {
    const SIMULATIONS: usize = 20_000;
    let error = 4.0 * (0.05f64 * 0.95 / SIMULATIONS as f64).sqrt();
    let normal = |random: &mut ChaCha8Rng, n| Noise::Normal.draw(random, n);
    for n in [2, 3, 5, 10] {
        let size = share(SIMULATIONS, |random| {
            t_test(&normal(random, n)).unwrap().p_value <= 0.05
        });
        assert!((size - 0.05).abs() <= error, "t of {n}: {size}");
    }
    // Welch's degrees of freedom are an approximation: from five values on it is this close, and below it is too careful.
    for (n, m, spread) in [(5, 5, 1.0), (5, 8, 3.0), (10, 10, 3.0)] {
        let size = share(SIMULATIONS, |random| {
            let (a, mut b) = (normal(random, n), normal(random, m));
            b.iter_mut().for_each(|x| *x *= spread);
            welch(&a, &b).unwrap().p_value <= 0.05
        });
        assert!(
            (0.035..=0.05 + 2.0 * error).contains(&size),
            "Welch of {n} and {m}: {size}"
        );
    }
    // The signed-rank test has steps: the size is the largest share of 2^n that is not above 5%.
    for (n, step) in [(6, 2.0 / 64.0), (8, 10.0 / 256.0), (10, 50.0 / 1024.0)] {
        let size = share(SIMULATIONS, |random| {
            wilcoxon(&Noise::Normal.draw(random, n)).unwrap() <= 0.05
        });
        assert!(
            (size - step).abs() <= error,
            "Wilcoxon of {n}: {size}, not {step}"
        );
    }
}

#[test]
fn a_table_in_which_nothing_differs_has_a_false_finding_in_at_most_a_twentieth_of_cases() {
    const SIMULATIONS: usize = 5_000;
    let (configurations, seeds) = (8, 5);
    let any = |corrected: bool| {
        share(SIMULATIONS, |random| {
            let baseline = Noise::Normal.draw(random, seeds);
            let p_values: Vec<f64> = (0..configurations)
                .map(|_| {
                    let other = Noise::Normal.draw(random, seeds);
                    let differences: Vec<f64> = other.iter().zip(&baseline).map(|(a, b)| a - b).collect();
                    t_test(&differences).unwrap().p_value
                })
                .collect();
            let p_values = if corrected { holm(&p_values) } else { p_values };
            p_values.iter().any(|p| *p <= 0.05)
        })
    };
    let error = 4.0 * (0.05f64 * 0.95 / SIMULATIONS as f64).sqrt();
    let (corrected, raw) = (any(true), any(false));
    assert!(corrected <= 0.05 + error, "{corrected}");
    assert!(
        raw > 0.15,
        "without the correction it would be one in five or so: {raw}"
    );
}

#[test]
fn the_f_test_of_a_grid_over_seeds_has_its_size() {
    const SIMULATIONS: usize = 10_000;
    let error = 4.0 * (0.05f64 * 0.95 / SIMULATIONS as f64).sqrt();
    let size = share(SIMULATIONS, |random| {
        let grid = Factorial::new(vec![2, 3, 3], Noise::Normal.draw(random, 18)).unwrap();
        let noise = (grid.total() - grid.between(&[0, 1]) - grid.between(&[2])) / 10.0;
        let effect = grid.effect(&[0, 1]);
        f_test(effect.sum_of_squares / 2.0 / noise, 2, 10).unwrap() <= 0.05
    });
    assert!((size - 0.05).abs() <= error, "{size}");
}

fn numbers(n: std::ops::Range<usize>) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-10.0..10.0f64, n)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn two_levels_over_seeds_are_the_paired_t_test(a in numbers(5..6), b in numbers(5..6)) {
        let differences: Vec<f64> = b.iter().zip(&a).map(|(b, a)| b - a).collect();
        let t = t_test(&differences).unwrap();
        let grid = Factorial::new(vec![2, 5], [a, b].concat()).unwrap();
        let effect = grid.effect(&[0]);
        let noise = grid.total() - effect.sum_of_squares - grid.between(&[1]);
        let f = effect.sum_of_squares / (noise / 4.0);
        // Sums of ten squares of which the noise is what is left.
        let rounding = 64.0 * f64::EPSILON * grid.total() / noise;
        prop_assert!((f - t.statistic.powi(2)).abs() <= rounding * f.max(1.0));
    }

    #[test]
    fn effects_add_up_to_the_whole(cells in numbers(24..25)) {
        let grid = Factorial::new(vec![2, 3, 4], cells).unwrap();
        let subsets = (1..8usize).map(|s| (0..3).filter(|i| s >> i & 1 == 1).collect::<Vec<_>>());
        let sum: f64 = subsets.map(|axes| grid.effect(&axes).sum_of_squares).sum();
        prop_assert!((sum - grid.total()).abs() <= 256.0 * f64::EPSILON * grid.total());
        prop_assert!((grid.between(&[0, 1, 2]) - grid.total()).abs() <= 64.0 * f64::EPSILON * grid.total());
    }

    #[test]
    fn intervals_move_and_stretch_with_the_numbers(values in numbers(6..7), doublings in 0..8i32) {
        let factor = 2f64.powi(doublings);
        let scaled: Vec<f64> = values.iter().map(|x| x * factor).collect();
        let (a, b) = (bootstrap_interval(&values, 3).unwrap(), bootstrap_interval(&scaled, 3).unwrap());
        // Powers of two are exact.
        prop_assert_eq!((a.low * factor, a.high * factor), (b.low, b.high));
        let (a, b) = (t_interval(&values).unwrap(), t_interval(&scaled).unwrap());
        prop_assert_eq!((a.low * factor, a.high * factor), (b.low, b.high));
    }

    #[test]
    fn a_score_is_the_area_under_the_profile(ratios in prop::collection::vec(prop::option::of(1.0..8.0f64), 1..6)) {
        let steps = 3_000;
        let area: f64 = (0..steps).map(|i| profile(&ratios, 1.0 + 3.0 * (f64::from(i) + 0.5) / f64::from(steps))).sum();
        let score = profile_score(&ratios, 4.0);
        // A step of the staircase is off by half a step of the sum at most.
        prop_assert!((score - area / f64::from(steps)).abs() <= 0.51 / f64::from(steps) * ratios.len() as f64);
        prop_assert!((0.0..=1.0).contains(&score));
    }

    #[test]
    fn a_median_has_as_many_below_as_above(costs in prop::collection::vec(prop::option::of(0.0..9.0f64), 1..9)) {
        let finite = costs.iter().flatten().count();
        match median(&costs) {
            Some(middle) => {
                let below = costs.iter().filter(|c| c.is_some_and(|c| c < middle)).count();
                let above = costs.iter().filter(|c| c.is_none_or(|c| c > middle)).count();
                prop_assert!(below * 2 <= costs.len() && above * 2 <= costs.len());
            }
            None => prop_assert!(finite * 2 <= costs.len()),
        }
    }
}
