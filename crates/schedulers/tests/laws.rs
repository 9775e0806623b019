//! What every schedule promises.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

mod common;

use std::f64::consts::FRAC_PI_2;

use common::{any_curve, any_schedule, any_sequence};
use proptest::prelude::*;
use schedulers::{Decay, DecayShape, LrScaling, Run, Schedule, ScheduleConfig, WarmupShape};

/// A few roundings, each at most half an ULP of a value of at most the peak.
const ROUNDINGS: f64 = 8.0 * f64::EPSILON;

/// Whether the curve stays at the peak for as long as the warm-up lasts: all but those that count from the start.
fn waits_for_the_warm_up(decay: &Decay) -> bool {
    !matches!(
        decay,
        Decay::Step(_) | Decay::MultiStep(_) | Decay::OneCycle(_) | Decay::Sequence(_)
    )
}

/// Whether it never rises after the warm-up.
fn only_falls(decay: &Decay) -> bool {
    !matches!(
        decay,
        Decay::CosineRestarts(_) | Decay::OneCycle(_) | Decay::Sequence(_)
    )
}

/// From which step on it is at which rate, where it has an end.
fn end(config: &ScheduleConfig, run: Run) -> Option<(u64, f64)> {
    match config.resolved(run).decay {
        Decay::Linear(floor) | Decay::Cosine(floor) => Some((floor.decay_steps?, floor.min_lr?)),
        Decay::Polynomial(polynomial) => Some((polynomial.floor.decay_steps?, polynomial.floor.min_lr?)),
        Decay::Wsd(wsd) => Some((run.steps, wsd.min_lr)),
        Decay::OneCycle(cycle) if run.steps > 1 => {
            let end = config.lr / cycle.div_factor / cycle.final_div_factor;
            Some((run.steps - 1, end))
        }
        _ => None,
    }
}

/// The largest change from one step to the next, as a share of the peak, that the formulas allow; none where a
/// schedule jumps.
fn largest_slope(config: &ScheduleConfig, run: Run) -> Option<f64> {
    let rise = config.warmup as f64;
    let rise = match (config.warmup, config.warmup_shape) {
        (0, _) => 0.0,
        (_, WarmupShape::Linear) => 1.0 / rise,
        // The derivative of (1 - cos(pi q)) / 2 is pi / 2 at most.
        (_, WarmupShape::Cosine) => FRAC_PI_2 / rise,
        // Geometric: the last step is the largest.
        (_, WarmupShape::Exponential) => 1.0 - 1000f64.powf(-1.0 / rise),
    };
    let falling = |begin: u64, end: u64| (end > begin).then_some((end - begin) as f64);
    let fall = match config.resolved(run).decay {
        Decay::Constant(_) => 0.0,
        Decay::Linear(floor) => 1.0 / falling(config.warmup, floor.decay_steps?)?,
        Decay::Cosine(floor) => FRAC_PI_2 / falling(config.warmup, floor.decay_steps?)?,
        Decay::Polynomial(polynomial) => {
            let steps = falling(config.warmup, polynomial.floor.decay_steps?)?;
            // Convex, and steepest at its beginning, or concave, and largest in its last step.
            (polynomial.power / steps).max(steps.powf(-polynomial.power))
        }
        Decay::Exponential(exponential) => 1.0 - exponential.gamma,
        // The derivative of sqrt(W / n) is 1 / (2 W) at n = W.
        Decay::InverseSquareRoot(_) => 0.5 / config.warmup.max(1) as f64,
        Decay::Wsd(wsd) => {
            let steps = (wsd.decay_fraction * run.steps as f64).round();
            match wsd.shape {
                _ if steps == 0.0 => return None,
                DecayShape::Linear => 1.0 / steps,
                DecayShape::Cosine => FRAC_PI_2 / steps,
                // Steepest in its first step.
                DecayShape::OneMinusSqrt => steps.powf(-0.5),
            }
        }
        Decay::OneCycle(cycle) => {
            let top = (cycle.rise_fraction * run.steps as f64 - 1.0).max(0.0);
            let fall = FRAC_PI_2 / ((run.steps - 1) as f64 - top).max(0.0);
            if top > 0.0 {
                fall.max(FRAC_PI_2 / top)
            } else {
                fall
            }
        }
        Decay::Step(_) | Decay::MultiStep(_) | Decay::CosineRestarts(_) | Decay::Sequence(_) => return None,
    };
    Some(rise.max(fall))
}

fn bits(schedule: &Schedule, steps: impl Iterator<Item = u64>) -> Vec<u64> {
    steps.map(|step| schedule.lr(step).to_bits()).collect()
}

proptest! {
    #[test]
    fn it_never_leaves_the_range_from_0_to_the_peak((config, run) in any_curve(), any_step in any::<u64>()) {
        let schedule = config.build(run).unwrap();
        for step in (0..run.steps + 100).chain([any_step, u64::MAX - 1, u64::MAX]) {
            let lr = schedule.lr(step);
            prop_assert!((0.0..=config.lr).contains(&lr), "step {step}: {lr}");
        }
    }

    #[test]
    fn the_warm_up_rises_from_above_0_to_exactly_the_peak((config, run) in any_curve()) {
        prop_assume!(config.warmup > 0 && waits_for_the_warm_up(&config.decay));
        let schedule = config.build(run).unwrap();
        prop_assert!(schedule.lr(0) > 0.0);
        for step in 1..config.warmup {
            prop_assert!(schedule.lr(step) > schedule.lr(step - 1), "step {step}");
        }
        prop_assert_eq!(schedule.lr(config.warmup - 1), config.lr);
    }

    #[test]
    fn the_fall_begins_at_the_peak((config, run) in any_curve()) {
        let falls_at_once = matches!(config.decay, Decay::InverseSquareRoot(_)) && config.warmup > 0;
        let no_way_down = end(&config, run).is_some_and(|(step, _)| step <= config.warmup);
        prop_assume!(waits_for_the_warm_up(&config.decay) && !falls_at_once && !no_way_down);
        prop_assert_eq!(config.build(run).unwrap().lr(config.warmup), config.lr);
    }

    #[test]
    fn after_the_warm_up_it_never_rises((config, run) in any_curve()) {
        prop_assume!(only_falls(&config.decay));
        let schedule = config.build(run).unwrap();
        for step in config.warmup..run.steps + 100 {
            let (now, next) = (schedule.lr(step), schedule.lr(step + 1));
            prop_assert!(next <= now + ROUNDINGS * config.lr, "step {step}: {now}, then {next}");
        }
    }

    #[test]
    fn restarts_rise_only_to_the_peak_and_one_cycle_rises_only_once((config, run) in any_curve()) {
        let schedule = config.build(run).unwrap();
        let rises: Vec<u64> = (config.warmup..run.steps + 100)
            .filter(|&step| schedule.lr(step + 1) > schedule.lr(step) + ROUNDINGS * config.lr)
            .collect();
        match &config.decay {
            Decay::CosineRestarts(_) => {
                for step in rises {
                    prop_assert_eq!(schedule.lr(step + 1), config.lr);
                }
            }
            Decay::OneCycle(cycle) => {
                let top = cycle.rise_fraction * run.steps as f64 - 1.0;
                prop_assert!(rises.iter().all(|&step| (step as f64) < top));
                if top > 0.0 {
                    let begin = config.lr / cycle.div_factor;
                    prop_assert!((schedule.lr(0) - begin).abs() <= ROUNDINGS * config.lr);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn the_end_is_reached_on_time_and_held_for_ever((config, run) in any_curve(), later in any::<u64>()) {
        if let Some((step, lr)) = end(&config, run) {
            let schedule = config.build(run).unwrap();
            for step in [step, step + 1, step.saturating_add(later), u64::MAX] {
                prop_assert_eq!(schedule.lr(step), lr);
            }
        }
    }

    #[test]
    fn no_step_is_larger_than_the_formulas_slope((config, run) in any_curve()) {
        if let Some(slope) = largest_slope(&config, run) {
            let schedule = config.build(run).unwrap();
            let bound = config.lr * (slope + ROUNDINGS);
            for step in 0..run.steps + 100 {
                let change = (schedule.lr(step + 1) - schedule.lr(step)).abs();
                prop_assert!(change <= bound, "step {step}: {change} > {bound}");
            }
        }
    }

    #[test]
    fn the_order_of_asking_does_not_matter((config, run) in any_schedule()) {
        let steps = run.steps + 10;
        let schedule = config.build(run).unwrap();
        let forth = bits(&schedule, 0..steps);
        let mut back = bits(&schedule, (0..steps).rev());
        back.reverse();
        prop_assert_eq!(&forth, &back);
        let alone: Vec<u64> =
            (0..steps).map(|step| config.build(run).unwrap().lr(step).to_bits()).collect();
        prop_assert_eq!(forth, alone);
    }

    #[test]
    fn writing_the_defaults_out_changes_nothing((config, run) in any_schedule()) {
        let resolved = config.resolved(run);
        let steps = || (0..run.steps + 10).chain([u64::MAX]);
        prop_assert_eq!(
            bits(&config.build(run).unwrap(), steps()),
            bits(&resolved.build(run).unwrap(), steps())
        );
        prop_assert_eq!(resolved.resolved(run), resolved);
    }

    #[test]
    fn a_resolved_schedule_no_longer_depends_on_the_runs_length((config, run) in any_schedule(), more in 1..500u64) {
        let counted_from_the_end = |decay: &Decay| matches!(decay, Decay::Wsd(_) | Decay::OneCycle(_));
        prop_assume!(!counted_from_the_end(&config.decay));
        let longer = Run { steps: run.steps + more, ..run };
        let resolved = config.resolved(run);
        let steps = || (0..run.steps + 10).chain([u64::MAX]);
        prop_assert_eq!(
            bits(&config.build(run).unwrap(), steps()),
            bits(&resolved.build(longer).unwrap(), steps())
        );
    }

    #[test]
    fn a_sequence_is_its_parts((config, run) in any_sequence()) {
        let schedule = config.build(run).unwrap();
        let Decay::Sequence(sequence) = config.resolved(run).decay else { unreachable!() };
        let mut start = 0;
        for (index, part) in sequence.parts.iter().enumerate() {
            let steps = part.steps.unwrap();
            let alone = ScheduleConfig {
                lr: part.lr.unwrap(),
                warmup: part.warmup,
                warmup_shape: part.warmup_shape,
                decay: part.decay.clone(),
                ..ScheduleConfig::default()
            }
            .build(Run { steps, ..run })
            .unwrap();
            let beyond = if index + 1 == sequence.parts.len() { 100 } else { 0 };
            for step in 0..steps + beyond {
                prop_assert_eq!(schedule.lr(start + step), alone.lr(step));
            }
            start += steps;
        }
        prop_assert_eq!(start, run.steps);
    }

    #[test]
    fn the_batch_size_rule_multiplies_every_lr(
        (mut config, run) in prop_oneof![any_curve(), any_sequence()],
        batch_tokens in 1..1u64 << 24,
        reference in 1..1u64 << 24,
    ) {
        let run = Run { batch_tokens, ..run };
        let plain = config.build(run).unwrap();
        let ratio = batch_tokens as f64 / reference as f64;
        config.reference_batch_tokens = reference;
        for (rule, factor) in [(LrScaling::Linear, ratio), (LrScaling::SquareRoot, ratio.sqrt())] {
            config.lr_scaling = rule;
            let scaled = config.build(run).unwrap();
            for step in (0..run.steps + 10).chain([u64::MAX]) {
                prop_assert_eq!(scaled.lr(step), factor * plain.lr(step));
            }
        }
    }

    #[test]
    fn it_survives_its_own_json((config, run) in any_schedule()) {
        for config in [config.resolved(run), config] {
            let json = serde_json::to_string(&config).unwrap();
            prop_assert_eq!(serde_json::from_str::<ScheduleConfig>(&json).unwrap(), config, "{}", json);
        }
    }
}
