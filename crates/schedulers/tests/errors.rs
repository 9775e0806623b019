//! What is no schedule, and that nothing else than a [`ScheduleError`](schedulers::ScheduleError) comes of it.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use proptest::{collection::vec, option, prelude::*};
use schedulers::{
    Constant, CosineRestarts, Decay, DecayShape, Exponential, Floor, InverseSquareRoot, LrScaling, MultiStep,
    OneCycle, Part, Polynomial, Run, ScheduleConfig, Sequence, StepDecay, Wsd,
};
use serde_json::{Value, json};

const RUN: Run = Run {
    steps: 100,
    batch_tokens: 1 << 19,
};

/// The `[schedule]` table, over a peak of 1 without warm-up.
fn config(mut table: Value) -> ScheduleConfig {
    for (key, value) in [("lr", json!(1.0)), ("warmup", json!(0))] {
        table.as_object_mut().unwrap().entry(key).or_insert(value);
    }
    serde_json::from_value(table).unwrap()
}

#[test]
fn every_error_names_its_key_and_says_what_is_wrong() {
    for (table, key, message) in [
        (
            json!({"name": "constant", "warmup": 101}),
            "warmup",
            "a warm-up of 101 steps does not fit into a run of 100 steps",
        ),
        (
            json!({"name": "constant", "lr": -1.0}),
            "lr",
            "lr = -1 must be a finite number that is not negative",
        ),
        (
            json!({"name": "cosine", "warmup": 50, "decay_steps": 49}),
            "decay_steps",
            "the decay ends at step 49, before the warm-up of 50 steps is over",
        ),
        (
            json!({"name": "linear", "min_lr": 2.0}),
            "min_lr",
            "the floor min_lr = 2 lies above the peak lr = 1",
        ),
        (
            json!({"name": "polynomial", "power": 0.0}),
            "power",
            "power = 0 must be a finite number above 0",
        ),
        (
            json!({"name": "step", "every": 0}),
            "every",
            "every = 0 must be at least 1",
        ),
        (
            json!({"name": "step", "gamma": 1.5}),
            "gamma",
            "gamma = 1.5 must be a number from 0 to 1",
        ),
        (
            json!({"name": "multi-step", "milestones": [1, 5, 3]}),
            "milestones",
            "the milestones 5 and 3 do not rise",
        ),
        (
            json!({"name": "exponential", "gamma": -0.1}),
            "gamma",
            "gamma = -0.1 must be a number from 0 to 1",
        ),
        (
            json!({"name": "cosine-restarts", "period": 0}),
            "period",
            "period = 0 must be at least 1",
        ),
        (
            json!({"name": "cosine-restarts", "period_factor": 0}),
            "period_factor",
            "period_factor = 0 must be at least 1",
        ),
        (
            json!({"name": "wsd", "warmup": 90}),
            "decay_fraction",
            "the decay begins at step 80, before the warm-up of 90 steps is over",
        ),
        (
            json!({"name": "one-cycle", "warmup": 10}),
            "warmup",
            "a warm-up of 10 steps before a one-cycle schedule, which has its own",
        ),
        (
            json!({"name": "one-cycle", "div_factor": 0.5}),
            "div_factor",
            "div_factor = 0.5 must be a finite number of at least 1",
        ),
        (
            json!({"name": "sequence", "parts": []}),
            "parts",
            "a sequence without parts",
        ),
        (
            json!({"name": "sequence", "parts": [{"name": "constant"}, {"name": "constant"}]}),
            "parts",
            "parts[0] does not say for how many steps it runs; only the last part may leave it out",
        ),
        (
            json!({"name": "sequence", "parts": [{"name": "constant", "steps": 100}, {"name": "constant"}]}),
            "parts",
            "parts[1] would begin after a run of 100 steps is over",
        ),
        (
            json!({"name": "sequence", "parts": [{"name": "constant", "steps": u64::MAX}, {"name": "constant"}]}),
            "parts",
            "parts[1] would begin after a run of 100 steps is over",
        ),
        (
            json!({"name": "sequence", "parts": [{"name": "constant", "steps": 10, "warmup": 11}, {"name": "constant"}]}),
            "parts",
            "parts[0]: a warm-up of 11 steps does not fit into a run of 10 steps",
        ),
        (
            json!({"name": "sequence", "parts": [{"name": "constant", "steps": 0}]}),
            "parts",
            "parts[0]: steps = 0 must be at least 1",
        ),
        (
            json!({"name": "constant", "reference_batch_tokens": 0}),
            "reference_batch_tokens",
            "reference_batch_tokens = 0 must be at least 1",
        ),
        (
            json!({"name": "constant", "lr": 1e308, "lr_scaling": "linear", "reference_batch_tokens": 1}),
            "lr",
            "lr = inf must be a finite number that is not negative",
        ),
    ] {
        let error = config(table.clone()).build(RUN).expect_err(&table.to_string());
        assert_eq!(
            (error.key(), error.to_string().as_str()),
            (key, message),
            "{table}"
        );
        assert!(!error.cure().is_empty());
    }
}

/// Any count: a small one, one of the largest, or anything.
fn any_count() -> impl Strategy<Value = u64> {
    prop_oneof![0..5u64, u64::MAX - 3..=u64::MAX, any::<u64>()]
}

/// Any number, not a number and the infinities among them, and more often one of those that may be valid.
fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![0.0..=1.0f64, 1.0..1e3f64, prop::num::f64::ANY]
}

/// A schedule of any kind with any numbers in it.
fn any_config() -> impl Strategy<Value = ScheduleConfig> {
    (
        any_count(),
        any_number(),
        any_count(),
        any_decay(),
        prop_oneof![
            Just(LrScaling::None),
            Just(LrScaling::SquareRoot),
            Just(LrScaling::Linear)
        ],
    )
        .prop_map(
            |(warmup, lr, reference_batch_tokens, decay, lr_scaling)| ScheduleConfig {
                warmup: match decay {
                    // Or hardly one of them would be valid.
                    Decay::OneCycle(_) | Decay::Sequence(_) => warmup / 4,
                    _ => warmup,
                },
                lr,
                reference_batch_tokens,
                lr_scaling,
                decay,
                ..ScheduleConfig::default()
            },
        )
}

fn any_decay() -> impl Strategy<Value = Decay> {
    let floor = || {
        (option::of(any_number()), option::of(any_count()))
            .prop_map(|(min_lr, decay_steps)| Floor { min_lr, decay_steps })
    };
    let curve = prop_oneof![
        Just(Decay::Constant(Constant {})),
        Just(Decay::InverseSquareRoot(InverseSquareRoot {})),
        floor().prop_map(Decay::Linear),
        floor().prop_map(Decay::Cosine),
        (any_number(), floor()).prop_map(|(power, floor)| Decay::Polynomial(Polynomial { power, floor })),
        (any_count(), any_count(), option::of(any_number())).prop_map(|(period, period_factor, min_lr)| {
            Decay::CosineRestarts(CosineRestarts {
                period,
                period_factor,
                min_lr,
            })
        }),
        (any_number(), any_count()).prop_map(|(gamma, every)| Decay::Step(StepDecay { gamma, every })),
        (any_number(), vec(any_count(), 0..4))
            .prop_map(|(gamma, milestones)| Decay::MultiStep(MultiStep { gamma, milestones })),
        any_number().prop_map(|gamma| Decay::Exponential(Exponential { gamma })),
        (any_number(), any_number()).prop_map(|(decay_fraction, min_lr)| {
            let shape = DecayShape::OneMinusSqrt;
            Decay::Wsd(Wsd {
                decay_fraction,
                shape,
                min_lr,
            })
        }),
        [any_number(), any_number(), any_number()].prop_map(
            |[rise_fraction, div_factor, final_div_factor]| {
                Decay::OneCycle(OneCycle {
                    rise_fraction,
                    div_factor,
                    final_div_factor,
                })
            }
        ),
    ];
    curve.prop_recursive(2, 8, 4, |decay| {
        let part = (
            option::of(any_count()),
            option::of(any_number()),
            any_count(),
            decay,
        )
            .prop_map(|(steps, lr, warmup, decay)| Part {
                steps,
                lr,
                warmup,
                decay,
                ..Part::default()
            });
        vec(part, 0..4).prop_map(|parts| Decay::Sequence(Sequence { parts }))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn whatever_is_built_gives_a_finite_lr_at_every_step(
        config in any_config(),
        steps in any_count(),
        batch_tokens in any_count(),
        at in any_count(),
    ) {
        let run = Run { steps, batch_tokens };
        let _ = config.resolved(run);
        if let Ok(schedule) = config.build(run) {
            for step in [0, 1, at, steps, steps.saturating_sub(1), config.warmup, u64::MAX] {
                let lr = schedule.lr(step);
                prop_assert!(lr.is_finite() && lr >= 0.0, "step {step}: {lr}");
            }
        }
    }
}

/// With no step between the warm-up and its end, a decay's progress would be 0 / 0.
#[test]
fn a_decay_may_end_with_the_warm_up() {
    for name in ["linear", "cosine", "polynomial"] {
        let schedule = config(json!({"name": name, "warmup": 100})).build(RUN).unwrap();
        assert_eq!(
            (schedule.lr(49), schedule.lr(99), schedule.lr(100)),
            (0.5, 1.0, 0.1),
            "{name}"
        );
    }
}

#[test]
fn the_cure_says_what_to_change() {
    for (table, cure) in [
        (
            json!({"name": "constant", "warmup": 101}),
            "shorten schedule.warmup, or lengthen training.steps",
        ),
        (
            json!({"name": "one-cycle", "warmup": 5}),
            "set schedule.warmup = 0",
        ),
        (
            json!({"name": "linear", "warmup": 50, "decay_steps": 49}),
            "raise schedule.decay_steps, or shorten schedule.warmup",
        ),
        (
            json!({"name": "linear", "min_lr": 2.0}),
            "lower schedule.min_lr, or leave it out for a tenth of lr",
        ),
        (
            json!({"name": "step", "every": 0}),
            "give a whole number from 1 up",
        ),
        // Of an error in a part, the part's cure.
        (
            json!({"name": "sequence", "parts": [{"name": "step", "every": 0}]}),
            "give a whole number from 1 up",
        ),
    ] {
        assert_eq!(
            config(table.clone()).build(RUN).unwrap_err().cure(),
            cure,
            "{table}"
        );
    }
}

#[test]
fn a_floor_may_be_the_peak_itself() {
    let schedule = config(json!({"name": "cosine", "min_lr": 1.0}))
        .build(RUN)
        .unwrap();
    assert_eq!(
        (schedule.lr(0), schedule.lr(50), schedule.lr(200)),
        (1.0, 1.0, 1.0)
    );
}

#[test]
fn a_fall_may_begin_where_the_warm_up_ends() {
    let schedule = config(json!({"name": "wsd", "warmup": 40, "decay_fraction": 0.6}))
        .build(RUN)
        .unwrap();
    assert_eq!(
        (
            schedule.lr(39),
            schedule.lr(40),
            schedule.lr(70),
            schedule.lr(100)
        ),
        (1.0, 1.0, 0.5, 0.0)
    );
}

/// The scaled peak that overflows may be that of a part.
#[test]
fn no_scaling_of_a_parts_peak_may_overflow() {
    let table = |lr: f64| {
        json!({
            "name": "sequence", "lr_scaling": "linear", "reference_batch_tokens": 1,
            "parts": [{"name": "constant", "lr": lr}],
        })
    };
    assert!(config(table(1e300)).build(RUN).is_ok());
    assert_eq!(config(table(1e304)).build(RUN).unwrap_err().key(), "lr");
}
