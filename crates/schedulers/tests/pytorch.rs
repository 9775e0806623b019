//! The schedules against PyTorch's schedulers, whose rates `crates/xtask/oracle/schedules.py` wrote to
//! `fixtures/pytorch`. Every file says how our convention maps to PyTorch's.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use schedulers::{Decay, Run, ScheduleConfig};
use serde::Deserialize;

#[derive(Deserialize)]
struct Oracle {
    torch: String,
    schedule: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    config: ScheduleConfig,
    steps: u64,
    /// PyTorch's rate at every step from 0 on.
    lrs: Vec<f64>,
}

/// In what a distance is counted.
#[derive(Clone, Copy)]
enum Unit {
    /// In ULPs of the rate itself: for curves that only multiply.
    OfTheRate,
    /// In ULPs of the peak: for curves that take a difference and may end at 0.
    OfThePeak,
}

fn oracle(json: &str) -> Oracle {
    let oracle: Oracle = serde_json::from_str(json).unwrap();
    assert_eq!(oracle.torch, "2.9.0");
    assert!(oracle.cases.len() >= 3, "{}", oracle.schedule);
    oracle
}

fn ours(case: &Case, step: usize) -> f64 {
    let run = Run {
        steps: case.steps,
        batch_tokens: 1,
    };
    case.config.build(run).unwrap().lr(step as u64)
}

/// How far apart two rates are, in the distances between neighbouring numbers at `scale`.
fn ulps(a: f64, b: f64, scale: f64) -> f64 {
    (a - b).abs() / (scale.next_up() - scale)
}

fn agrees(json: &str, unit: Unit, bound: f64) {
    let oracle = oracle(json);
    for (index, case) in oracle.cases.iter().enumerate() {
        let peak = case.lrs.iter().copied().fold(0.0, f64::max);
        for (step, torch) in case.lrs.iter().enumerate().take(comparable(case)) {
            let lr = ours(case, step);
            let distance = match unit {
                Unit::OfTheRate => ulps(lr, *torch, *torch),
                Unit::OfThePeak => ulps(lr, *torch, peak),
            };
            assert!(
                distance <= bound,
                "{} {index}, step {step}: {lr} is {distance} ULPs from PyTorch's {torch}",
                oracle.schedule
            );
        }
    }
}

/// The steps for which PyTorch's cosine means what ours means: up to its end.
fn comparable(case: &Case) -> usize {
    match &case.config.decay {
        Decay::Cosine(floor) => floor.decay_steps.unwrap() as usize + 1,
        _ => case.lrs.len(),
    }
}

/// The table of the documentation.
///
/// Its bounds are the distances measured, rounded up for another machine's `cos` and `pow`. Where PyTorch computes a
/// closed form (restarts, one-cycle, LambdaLR) only the last few roundings differ. Its other schedulers multiply the
/// last rate by a factor at every step, half an ULP or more of error each time, while ours are exact powers: the
/// 8 ULPs of 150 steps of ExponentialLR are PyTorch's.
const TABLE: &str = include_str!("../PARITY.md");

/// The bound of a schedule, and its unit.
fn stated(name: &str) -> (f64, Unit) {
    let row = TABLE
        .lines()
        .find(|line| line.starts_with(&format!("| `{name}` |")))
        .unwrap();
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    let unit = match cells[3] {
        "the rate" => Unit::OfTheRate,
        "the peak" => Unit::OfThePeak,
        other => panic!("no unit: {other}"),
    };
    (cells[2].parse().unwrap(), unit)
}

/// A test for each file.
macro_rules! against_pytorch {
    ($($test:ident: $name:literal;)*) => {$(
        #[test]
        fn $test() {
            let (bound, unit) = stated($name);
            agrees(include_str!(concat!("fixtures/pytorch/", $name, ".json")), unit, bound);
        }
    )*};
}

against_pytorch! {
    constant: "constant";
    linear: "linear";
    cosine: "cosine";
    cosine_restarts: "cosine-restarts";
    polynomial: "polynomial";
    step: "step";
    multi_step: "multi-step";
    exponential: "exponential";
    inverse_square_root: "inverse-square-root";
    wsd: "wsd";
    one_cycle: "one-cycle";
    sequence: "sequence";
}

/// PyTorch's cosine is periodic: k steps after its end it is where it was k steps before. Ours stays at the floor.
#[test]
fn after_the_cosine_pytorch_climbs_back_and_ours_holds() {
    for case in &oracle(include_str!("fixtures/pytorch/cosine.json")).cases {
        let end = comparable(case) - 1;
        let Decay::Cosine(floor) = &case.config.decay else {
            panic!("another schedule in cosine.json")
        };
        for (beyond, torch) in case.lrs.iter().enumerate().skip(end) {
            let mirrored = ours(case, 2 * end - beyond);
            // PyTorch's factor (1 + cos(pi t / T)) / (1 + cos(pi (t - 1) / T)) is a quotient of two small numbers
            // next to the end: what it loses there (70 ULPs of the peak, measured) it keeps.
            let distance = ulps(mirrored, *torch, case.config.lr);
            assert!(distance <= 100.0, "step {beyond}: {torch} and {mirrored}");
            assert_eq!(ours(case, beyond), floor.min_lr.unwrap());
        }
    }
}
