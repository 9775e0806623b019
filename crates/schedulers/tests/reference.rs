//! The closed forms against plain loops and the papers' own formulas.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

mod common;

use std::f64::consts::PI;

use common::any_curve;
use proptest::prelude::*;
use schedulers::{Decay, DecayShape, Floor, Run, ScheduleConfig, WarmupShape};

/// The share of the peak in the warm-up, one step after the other.
fn warmed_up(config: &ScheduleConfig, step: u64) -> f64 {
    let steps = config.warmup as f64;
    let mut share = match config.warmup_shape {
        WarmupShape::Exponential => 1e-3,
        WarmupShape::Linear | WarmupShape::Cosine => 0.0,
    };
    for now in 0..config.warmup.min(step + 1) {
        share = match config.warmup_shape {
            WarmupShape::Linear => share + 1.0 / steps,
            WarmupShape::Exponential => share * 1000f64.powf(1.0 / steps),
            WarmupShape::Cosine => (PI / 2.0 * (now + 1) as f64 / steps).sin().powi(2),
        };
    }
    if config.warmup == 0 { 1.0 } else { share }
}

/// (1 + cos(pi n / steps)) / 2, by turning a pointer n times.
fn half_cosine(n: u64, steps: u64) -> f64 {
    let (sin, cos) = (PI / steps as f64).sin_cos();
    let (mut x, mut y) = (1.0, 0.0);
    for _ in 0..n {
        (x, y) = (x * cos - y * sin, x * sin + y * cos);
    }
    0.5 * (1.0 + x)
}

/// How many steps of the decay are over, and how many it has. One without steps falls in one step.
fn over(config: &ScheduleConfig, floor: &Floor, step: u64) -> (u64, u64) {
    let end = floor.decay_steps.unwrap();
    let begin = config.warmup.min(end.saturating_sub(1));
    let step = if step < config.warmup { begin } else { step };
    (step.clamp(begin, end) - begin, (end - begin).max(1))
}

fn fall(peak: f64, min_lr: f64, share: f64) -> f64 {
    min_lr + (peak - min_lr) * share
}

/// The rate after the warm-up at `step`.
fn decayed(config: &ScheduleConfig, run: Run, step: u64) -> f64 {
    let peak = config.lr;
    let after = step.saturating_sub(config.warmup);
    match &config.decay {
        Decay::Constant(_) => peak,
        Decay::Linear(floor) => {
            let (over, steps) = over(config, floor, step);
            let mut lr = peak;
            for _ in 0..over {
                lr -= (peak - floor.min_lr.unwrap()) / steps as f64;
            }
            lr
        }
        Decay::Cosine(floor) => {
            let (over, steps) = over(config, floor, step);
            fall(peak, floor.min_lr.unwrap(), half_cosine(over, steps))
        }
        Decay::Polynomial(polynomial) => {
            let (over, steps) = over(config, &polynomial.floor, step);
            let left = (steps - over) as f64 / steps as f64;
            fall(
                peak,
                polynomial.floor.min_lr.unwrap(),
                (polynomial.power * left.ln()).exp(),
            )
        }
        Decay::CosineRestarts(restarts) => {
            let (mut into, mut cycle) = (0, restarts.period);
            for _ in 0..after {
                into += 1;
                if into == cycle {
                    (into, cycle) = (0, cycle * restarts.period_factor);
                }
            }
            fall(peak, restarts.min_lr.unwrap(), half_cosine(into, cycle))
        }
        Decay::Step(decay) => {
            let falls = (1..=step).filter(|step| step % decay.every == 0);
            falls.fold(peak, |lr, _| lr * decay.gamma)
        }
        Decay::MultiStep(decay) => {
            let falls = (0..=step).filter(|step| decay.milestones.contains(step));
            falls.fold(peak, |lr, _| lr * decay.gamma)
        }
        Decay::Exponential(decay) => (0..after).fold(peak, |lr, _| lr * decay.gamma),
        Decay::InverseSquareRoot(_) if config.warmup == 0 => peak * ((step + 1) as f64).powf(-0.5),
        // Equation 3 of the paper, without its warm-up, which is the other of the two.
        Decay::InverseSquareRoot(_) => {
            let (n, warmup) = ((step + 1) as f64, config.warmup as f64);
            let width = 1.0 / (peak * peak * warmup);
            width.powf(-0.5) * n.powf(-0.5).min(warmup.powf(-0.5))
        }
        Decay::Wsd(wsd) => {
            let falling = (wsd.decay_fraction * run.steps as f64).round() as u64;
            let stable = run.steps - falling;
            if step >= run.steps {
                wsd.min_lr
            } else if step <= stable {
                peak
            } else {
                let n = step - stable;
                let share = match wsd.shape {
                    DecayShape::Linear => (run.steps - step) as f64 / falling as f64,
                    DecayShape::Cosine => half_cosine(n, falling),
                    DecayShape::OneMinusSqrt => 1.0 - (n as f64 / falling as f64).sqrt(),
                };
                fall(peak, wsd.min_lr, share)
            }
        }
        // PyTorch's two phases, by its `_annealing_cos`.
        Decay::OneCycle(cycle) => {
            let anneal = |from: f64, to: f64, share: f64| to + (from - to) / 2.0 * ((PI * share).cos() + 1.0);
            let begin = peak / cycle.div_factor;
            let top = (cycle.rise_fraction * run.steps as f64 - 1.0).max(0.0);
            let last = (run.steps - 1) as f64;
            let now = step as f64;
            if now < top {
                anneal(begin, peak, now / top)
            } else if now > top {
                let share = ((now - top) / (last - top)).min(1.0);
                anneal(peak, begin / cycle.final_div_factor, share)
            } else {
                peak
            }
        }
        Decay::Sequence(_) => unreachable!("a sequence is tested against its parts"),
    }
}

proptest! {
    #[test]
    fn every_curve_is_the_papers((config, run) in any_curve(), steps in proptest::collection::vec(0..1200u64, 20)) {
        let config = config.resolved(run);
        let schedule = config.build(run).unwrap();
        for step in steps {
            let decayed = decayed(&config, run, step);
            let expected = warmed_up(&config, step) * decayed;
            // A loop of n rounds is off by at most n roundings of numbers up to the peak, twice where it turns a
            // pointer; a curve that only multiplies, by as many roundings of what it has come down to.
            let scale = match config.decay {
                Decay::Step(_) | Decay::MultiStep(_) | Decay::Exponential(_) => decayed + f64::MIN_POSITIVE,
                _ => config.lr,
            };
            let tolerance = (2.0 * step as f64 + 16.0) * f64::EPSILON * scale;
            let lr = schedule.lr(step);
            prop_assert!((lr - expected).abs() <= tolerance, "step {step}: {lr}, expected {expected}");
        }
    }
}
