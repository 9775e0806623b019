//! Tables of recipes, and the rates that a person expects of them.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use schedulers::{Run, Schedule, ScheduleConfig};
use serde_json::{Value, json};

fn schedule(table: Value, steps: u64) -> Schedule {
    let config: ScheduleConfig = serde_json::from_value(table).unwrap();
    let batch_tokens = 1 << 21;
    config.build(Run { steps, batch_tokens }).unwrap()
}

fn gives(table: Value, steps: u64, expected: &[(u64, f64)]) {
    let schedule = schedule(table.clone(), steps);
    for &(step, lr) in expected {
        let given = schedule.lr(step);
        assert!(
            (given - lr).abs() <= 4.0 * f64::EPSILON * lr,
            "{table}, step {step}: {given}"
        );
    }
}

#[test]
fn the_books_step_decay() {
    gives(
        json!({"name": "step", "lr": 1e-3, "warmup": 0, "gamma": 0.1, "every": 30}),
        90,
        &[
            (0, 1e-3),
            (29, 1e-3),
            (30, 1e-4),
            (59, 1e-4),
            (60, 1e-5),
            (89, 1e-5),
        ],
    );
}

#[test]
fn the_standard_recipe() {
    // 6e-4, 2000 steps of warm-up, cosine to a tenth: halfway down lies halfway between peak and floor.
    gives(
        json!({"name": "cosine"}),
        10_000,
        &[
            (0, 3e-7),
            (1999, 6e-4),
            (2000, 6e-4),
            (6000, 3.3e-4),
            (10_000, 6e-5),
            (u64::MAX, 6e-5),
        ],
    );
}

#[test]
fn restarts_double_their_cycles() {
    gives(
        json!({"name": "cosine-restarts", "lr": 1.0, "warmup": 5, "min_lr": 0.2, "period": 10}),
        100,
        &[
            (5, 1.0),
            (10, 0.6),
            (15, 1.0),
            (25, 0.6),
            (35, 1.0),
            (55, 0.6),
            (75, 1.0),
        ],
    );
}

#[test]
fn wsd_falls_in_the_last_fifth() {
    gives(
        json!({"name": "wsd", "lr": 1.0, "warmup": 10}),
        100,
        &[(9, 1.0), (80, 1.0), (81, 0.95), (90, 0.5), (99, 0.05), (100, 0.0)],
    );
}

#[test]
fn a_sequence_counts_each_part_from_its_own_start() {
    gives(
        json!({"name": "sequence", "lr": 2.0, "warmup": 0, "parts": [
            {"name": "constant", "steps": 10, "warmup": 10},
            {"name": "linear", "lr": 1.0, "min_lr": 0.0, "warmup": 2},
        ]}),
        20,
        &[
            (0, 0.2),
            (9, 2.0),
            (10, 0.5),
            (11, 1.0),
            (16, 0.5),
            (20, 0.0),
            (30, 0.0),
        ],
    );
}

#[test]
fn four_times_the_batch_takes_four_times_or_twice_the_lr() {
    for (rule, lr) in [("none", 6e-4), ("linear", 24e-4), ("square-root", 12e-4)] {
        let table = json!({"name": "constant", "warmup": 0, "lr_scaling": rule});
        gives(table, 10, &[(0, lr)]);
    }
}

/// What a trial writes down: every default, also those that depend on another key.
#[test]
fn a_resolved_table_says_everything() {
    let config: ScheduleConfig = serde_json::from_value(json!({"name": "sequence", "warmup": 0, "parts": [
        {"name": "cosine-restarts", "steps": 60},
        {"name": "linear"},
    ]}))
    .unwrap();
    let run = Run {
        steps: 100,
        batch_tokens: 1,
    };
    assert_eq!(
        serde_json::to_value(config.resolved(run)).unwrap(),
        json!({
            "lr": 6e-4, "warmup": 0, "warmup_shape": "linear",
            "lr_scaling": "none", "reference_batch_tokens": 1 << 19,
            "name": "sequence", "parts": [
                {
                    "steps": 60, "lr": 6e-4, "warmup": 0, "warmup_shape": "linear",
                    "name": "cosine-restarts", "period": 1000, "period_factor": 2, "min_lr": 6e-4 / 10.0,
                },
                {
                    "steps": 40, "lr": 6e-4, "warmup": 0, "warmup_shape": "linear",
                    "name": "linear", "min_lr": 6e-4 / 10.0, "decay_steps": 40,
                },
            ],
        })
    );
}
