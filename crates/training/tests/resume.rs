//! A run that stops at any step and goes on is, bit for bit, the run that does not stop; and what may be changed between.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

mod common;

use std::{fs, path::Path};

use common::{copy, finish, finish_on, left, names, pointed, recipe, timeless, turn};
use optimizers::Algorithm;
use proptest::{prelude::*, sample::select, test_runner::TestCaseResult};
use training::{DeviceName, Recipe, TrialFiles, adopt, change::Change, checkpoint::Progress};

const STEPS: u64 = 12;

/// Trials that keep a checkpoint of every step.
fn short(changes: &[&str]) -> Recipe {
    let short = [
        "model={ layers = 1, heads = 2, width = 16, context = 16, dropout = 0.1 }",
        "schedule={ lr = 1e-3, warmup = 2 }",
        "training={ steps = 12, batch_size = 2, log_every = 1, eval_every = 4, eval_tokens = 64 }",
        "training.checkpoint_every=1",
        "training.keep_last=99",
    ];
    recipe(&[&short, changes].concat())
}

/// As a kill in step `k` leaves the directory of a finished trial: its curve may be ahead of its newest checkpoint.
fn kill_at(k: u64, finished: &Path, killed: &Path) {
    copy(finished, killed);
    fs::remove_file(killed.join("result.json")).unwrap();
    for name in names(killed) {
        if name > format!("step-{k:08}") {
            fs::remove_dir_all(killed.join("checkpoints").join(name)).unwrap();
        }
    }
}

/// Whether a run that is killed at each of some steps comes to the same as one that is not.
fn is_bit_equal(device: DeviceName, recipe: &Recipe, stops: &[u64]) -> bool {
    let undisturbed = tempfile::tempdir().unwrap();
    finish_on(device, recipe, undisturbed.path());
    let expected = left(undisturbed.path());
    stops.iter().all(|k| {
        let disturbed = tempfile::tempdir().unwrap();
        kill_at(*k, undisturbed.path(), disturbed.path());
        finish_on(device, recipe, disturbed.path());
        left(disturbed.path()) == expected
    })
}

fn devices() -> Vec<DeviceName> {
    let mut devices = vec![DeviceName::Flex];
    if cfg!(feature = "tch") {
        devices.push(DeviceName::Libtorch);
    }
    devices
}

/// Every optimizer of the catalogue, on every CPU backend of this build; `--nocapture` shows the table.
#[test]
fn a_resumed_run_is_bit_equal_with_every_optimizer() {
    let _turn = turn();
    let mut unequal = Vec::new();
    for device in devices() {
        println!("| {device} | accumulate | dropout | resumed at 5 of {STEPS} |\n|---|---|---|---|");
        for (name, _) in Algorithm::CATALOGUE {
            for (accumulate, dropout) in [(1, 0.0), (1, 0.1), (3, 0.0), (3, 0.1)] {
                let recipe = short(&[
                    &format!("optimizer.name={name}"),
                    &format!("training.accumulate={accumulate}"),
                    &format!("model.dropout={dropout:?}"),
                ]);
                let equal = is_bit_equal(device, &recipe, &[5]);
                let verdict = if equal { "bit-equal" } else { "NOT EQUAL" };
                println!("| {name} | {accumulate} | {dropout} | {verdict} |");
                if !equal {
                    unequal.push((device.to_string(), name, accumulate, dropout));
                }
            }
        }
    }
    assert!(unequal.is_empty(), "{unequal:?}");
}

const SCHEDULES: [&str; 12] = [
    "name = 'constant'",
    "name = 'linear'",
    "name = 'cosine'",
    "name = 'cosine-restarts', period = 3",
    "name = 'polynomial', power = 2.0",
    "name = 'step', every = 3",
    "name = 'multi-step', milestones = [4, 7]",
    "name = 'exponential', gamma = 0.9",
    "name = 'inverse-square-root'",
    "name = 'wsd', decay_fraction = 0.5",
    "name = 'one-cycle'",
    "name = 'sequence', parts = [{ name = 'constant', steps = 4, warmup = 2 }, { name = 'linear' }]",
];

fn any_recipe() -> impl Strategy<Value = Recipe> {
    let algorithms: Vec<&str> = Algorithm::CATALOGUE.iter().map(|(name, _)| *name).collect();
    let clips = select(vec!["global-norm", "value", "adaptive"]);
    (
        select(algorithms),
        select(SCHEDULES.to_vec()),
        (select(vec![0.0, 0.05]), clips),
        1..=3,
        (select(vec![0.0, 0.1]), any::<bool>()),
        any::<u32>(),
    )
        .prop_map(
            |(optimizer, schedule, (clip, clip_by), accumulate, (dropout, checkpointing), seed)| {
                let warmup = if schedule.contains("one-cycle") || schedule.contains("sequence") {
                    0
                } else {
                    2
                };
                short(&[
                    &format!("optimizer={{ name = '{optimizer}', clip = {clip:?}, clip_by = '{clip_by}' }}"),
                    &format!("schedule={{ lr = 1e-3, warmup = {warmup}, {schedule} }}"),
                    &format!("training.accumulate={accumulate}"),
                    &format!("training.gradient_checkpointing={checkpointing}"),
                    &format!("training.seed={seed}"),
                    &format!("model.dropout={dropout:?}"),
                ])
            },
        )
}

fn bit_equal(recipe: &Recipe, k: u64) -> TestCaseResult {
    let _turn = turn();
    for device in devices() {
        prop_assert!(is_bit_equal(device, recipe, &[k]), "on {device}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 20, ..ProptestConfig::default() })]
    #[test]
    fn a_run_of_any_recipe_that_stops_at_any_step_goes_on_bit_for_bit(recipe in any_recipe(), k in 0..STEPS) {
        bit_equal(&recipe, k)?;
    }
}

fn progress(directory: &Path) -> Progress {
    let state = fs::read(pointed(directory, "latest").join("state.json")).unwrap();
    serde_json::from_slice(&state).unwrap()
}

/// What `adopt` and `run` say to a recipe for the trial in a directory.
fn said(recipe: &Recipe, asked: &[&str], directory: &Path) -> String {
    let asked: Vec<String> = asked.iter().map(|key| (*key).to_owned()).collect();
    adopt(recipe, &asked, &TrialFiles::new(directory))
        .unwrap_err()
        .to_string()
        .replace(&directory.display().to_string(), "DIR")
}

#[test]
fn another_recipe_is_refused_with_the_keys_that_differ() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    finish(&recipe(&["training.steps=5"]), directory.path());
    let other = recipe(&[
        "training.steps=6",
        "training.log_every=2",
        "training.keep_every=3",
        "model.width=32",
        "optimizer.clip=0.5",
    ]);
    let text = said(&other, &["training.log_every", "model.width"], directory.path());
    insta::assert_snapshot!(text);
    // And where nobody asked for anything.
    let error = training::run(
        &other,
        DeviceName::Flex,
        &TrialFiles::new(directory.path()),
        &false.into(),
    );
    let error = error.unwrap_err().to_string();
    assert_eq!(
        error.replace(&directory.path().display().to_string(), "DIR"),
        text
    );
}

#[test]
fn a_run_that_is_made_longer_is_the_longer_run_from_its_beginning() {
    let _turn = turn();
    // The fall of the shorter run begins at step 9.
    let of = |steps: u64| {
        short(&[
            "schedule={ name = 'wsd', decay_fraction = 0.25, lr = 1e-3, warmup = 2 }",
            &format!("training.steps={steps}"),
        ])
    };
    let (shorter, longer) = (of(12), of(16));
    let long = tempfile::tempdir().unwrap();
    finish(&longer, long.path());
    let whole = tempfile::tempdir().unwrap();
    finish(&shorter, whole.path());

    let directory = tempfile::tempdir().unwrap();
    kill_at(8, whole.path(), directory.path());
    let files = TrialFiles::new(directory.path());
    let asked = ["training.steps".to_owned()];
    adopt(&longer, &asked, &files).unwrap();
    assert_eq!(fs::read_to_string(files.recipe()).unwrap(), longer.to_toml());
    finish(&longer, directory.path());

    let (mut now, then) = (left(directory.path()), left(long.path()));
    let changes: Vec<Change> = std::mem::take(&mut now.progress.changes);
    assert_eq!(now, then);
    let [Change { step: 8, difference }] = changes.as_slice() else {
        panic!("{changes:?}");
    };
    assert_eq!(difference.to_string(), "training.steps: 12, now 16");
}

#[test]
fn steps_may_not_change_the_learning_rate_of_a_step_that_was_made_nor_be_fewer() {
    let _turn = turn();
    let wsd = "schedule={ name = 'wsd', decay_fraction = 0.5, lr = 1e-3, warmup = 2 }";
    let directory = tempfile::tempdir().unwrap();
    finish(&short(&[wsd]), directory.path());
    let longer = short(&[wsd, "training.steps=16"]);
    let text = said(&longer, &["training.steps"], directory.path());
    assert!(text.contains("step 7 with the learning rate"), "{text}");
    let fewer = short(&[wsd, "training.steps=8"]);
    let text = said(&fewer, &["training.steps"], directory.path());
    assert!(
        text.contains("12 steps already, more than training.steps = 8"),
        "{text}"
    );
    // A cosine that ends with the run is another schedule.
    let directory = tempfile::tempdir().unwrap();
    finish(&short(&[]), directory.path());
    let text = said(
        &short(&["training.steps=16"]),
        &["training.steps"],
        directory.path(),
    );
    assert!(text.contains("schedule.decay_steps: 12, now 16"), "{text}");
}

#[test]
fn what_is_logged_and_kept_may_change_and_the_old_result_is_kept() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    finish(&short(&["schedule.decay_steps=12"]), directory.path());
    let changed = short(&[
        "schedule.decay_steps=12",
        "training.steps=14",
        "training.log_every=2",
        "training.keep_last=1",
        "training.keep_every=5",
    ]);
    let asked = ["steps", "log_every", "keep_last", "keep_every"].map(|key| format!("training.{key}"));
    adopt(&changed, &asked, &TrialFiles::new(directory.path())).unwrap();
    assert!(directory.path().join("result-12.json").exists());
    finish(&changed, directory.path());
    assert_eq!(progress(directory.path()).changes.len(), 4);
    let best = progress(directory.path()).best_step.unwrap();
    let mut kept: Vec<String> = [0, 5, 10, best, 14]
        .map(|step| format!("step-{step:08}"))
        .to_vec();
    kept.sort();
    kept.dedup();
    let names: Vec<String> = names(directory.path())
        .into_iter()
        .map(|name| name[..13].to_owned())
        .collect();
    assert_eq!(names, kept);
    let steps: Vec<u64> = timeless(directory.path()).iter().map(|row| row.step).collect();
    assert_eq!(steps, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14]);
}
