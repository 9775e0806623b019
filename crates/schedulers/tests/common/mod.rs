//! Random valid schedules.

use proptest::prelude::*;
use schedulers::{
    Constant, CosineRestarts, Decay, DecayShape, Exponential, Floor, InverseSquareRoot, LrScaling, MultiStep,
    OneCycle, Part, Polynomial, Run, ScheduleConfig, Sequence, StepDecay, WarmupShape, Wsd,
};

/// A valid schedule that is no sequence, and a run that it fits into.
pub fn any_curve() -> impl Strategy<Value = (ScheduleConfig, Run)> {
    (1e-6..1e2f64, 0..200u64, 1..800u64, any_warmup_shape()).prop_flat_map(
        |(lr, warmup, rest, warmup_shape)| {
            let steps = warmup + rest;
            any_decay(lr, warmup, steps).prop_map(move |decay| {
                let warmup = match decay {
                    Decay::OneCycle(_) => 0,
                    _ => warmup,
                };
                let config = ScheduleConfig {
                    lr,
                    warmup,
                    warmup_shape,
                    decay,
                    ..ScheduleConfig::default()
                };
                let batch_tokens = 1 << 18;
                (config, Run { steps, batch_tokens })
            })
        },
    )
}

/// Two to four valid schedules, as the parts of one.
pub fn any_sequence() -> impl Strategy<Value = (ScheduleConfig, Run)> {
    proptest::collection::vec(any_curve(), 2..5).prop_map(|curves| {
        let batch_tokens = 1 << 18;
        let steps = curves.iter().map(|(_, run)| run.steps).sum();
        let mut parts: Vec<Part> = curves
            .into_iter()
            .map(|(config, run)| Part {
                steps: Some(run.steps),
                lr: Some(config.lr),
                warmup: config.warmup,
                warmup_shape: config.warmup_shape,
                decay: config.decay,
            })
            .collect();
        if let Some(last) = parts.last_mut() {
            last.steps = None;
        }
        let config = ScheduleConfig {
            warmup: 0,
            decay: Decay::Sequence(Sequence { parts }),
            ..ScheduleConfig::default()
        };
        (config, Run { steps, batch_tokens })
    })
}

/// A valid schedule of any kind.
#[allow(dead_code, reason = "not every test file takes sequences")]
pub fn any_schedule() -> impl Strategy<Value = (ScheduleConfig, Run)> {
    let scaling = prop_oneof![
        Just(LrScaling::None),
        Just(LrScaling::Linear),
        Just(LrScaling::SquareRoot)
    ];
    (prop_oneof![4 => any_curve(), 1 => any_sequence()], scaling).prop_map(|((mut config, run), scaling)| {
        config.lr_scaling = scaling;
        (config, run)
    })
}

fn any_warmup_shape() -> impl Strategy<Value = WarmupShape> {
    prop_oneof![
        Just(WarmupShape::Linear),
        Just(WarmupShape::Cosine),
        Just(WarmupShape::Exponential)
    ]
}

fn any_decay(lr: f64, warmup: u64, steps: u64) -> impl Strategy<Value = Decay> {
    let min_lr = move || proptest::option::of((0.0..=1.0f64).prop_map(move |share| share * lr));
    let floor = move || {
        (min_lr(), proptest::option::of(warmup..steps + 50))
            .prop_map(|(min_lr, decay_steps)| Floor { min_lr, decay_steps })
    };
    let gamma = || prop_oneof![0.9..=1.0f64, 0.0..=1.0f64];
    let shape = prop_oneof![
        Just(DecayShape::Linear),
        Just(DecayShape::Cosine),
        Just(DecayShape::OneMinusSqrt)
    ];
    let room = (steps - warmup) as f64 / steps as f64;
    prop_oneof![
        Just(Decay::Constant(Constant {})),
        Just(Decay::InverseSquareRoot(InverseSquareRoot {})),
        floor().prop_map(Decay::Linear),
        floor().prop_map(Decay::Cosine),
        (floor(), 0.2..4.0f64).prop_map(|(floor, power)| Decay::Polynomial(Polynomial { power, floor })),
        (1..100u64, 1..4u64, min_lr()).prop_map(|(period, period_factor, min_lr)| {
            Decay::CosineRestarts(CosineRestarts {
                period,
                period_factor,
                min_lr,
            })
        }),
        (gamma(), 1..300u64).prop_map(|(gamma, every)| Decay::Step(StepDecay { gamma, every })),
        (gamma(), proptest::collection::btree_set(0..1000u64, 0..6)).prop_map(|(gamma, milestones)| {
            Decay::MultiStep(MultiStep {
                gamma,
                milestones: milestones.into_iter().collect(),
            })
        }),
        gamma().prop_map(|gamma| Decay::Exponential(Exponential { gamma })),
        (0.0..=room, shape, 0.0..=1.0f64).prop_map(move |(decay_fraction, shape, share)| {
            Decay::Wsd(Wsd {
                decay_fraction,
                shape,
                min_lr: share * lr,
            })
        }),
        (0.0..0.9f64, 1.0..50f64, 1.0..1e5f64).prop_map(|(rise_fraction, div_factor, final_div_factor)| {
            Decay::OneCycle(OneCycle {
                rise_fraction,
                div_factor,
                final_div_factor,
            })
        }),
    ]
}
