//! What a run says of its layers, its spikes and its end, against what its checkpoints and curves say.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use std::{
    fs,
    path::Path,
    sync::{Mutex, MutexGuard, atomic::AtomicBool},
};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use training::{
    CurveRow, DeviceName, LayerRow, Outcome, Recipe, Status, TrialFiles, TrialResult,
    config::Node,
    events::{self, Event, EventKind},
    read_curve, read_layers, run,
    tensors::{self, Tensors},
};

/// The device's generator is global: one trial at a time.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

const TINY: &str = "
data = { corpus = 'synthetic', tokenizer = 'byte' }
model = { layers = 2, heads = 2, width = 16, context = 16, dropout = 0.1 }
schedule = { name = 'constant', lr = 1e-2, warmup = 0 }
training = { steps = 30, batch_size = 4, accumulate = 2, log_every = 1, eval_every = 10, eval_tokens = 1024, checkpoint_every = 1, keep_last = 1000 }
";

fn recipe(changes: &[&str]) -> Recipe {
    let mut node = Node::parse("recipe.toml", TINY).unwrap();
    for change in changes {
        node.merge(&Node::parse_assignment(change).unwrap());
    }
    Recipe::from_node(&node).unwrap()
}

fn finish(recipe: &Recipe, directory: &Path) -> TrialResult {
    let files = TrialFiles::new(directory);
    match run(recipe, DeviceName::Flex, &files, &AtomicBool::new(false)).unwrap() {
        Outcome::Finished(result) => *result,
        other => panic!("{other:?}"),
    }
}

/// A tensor's numbers, by its name.
fn numbers(tensors: &Tensors, name: &str) -> Vec<f64> {
    tensors[name].iter().collect()
}

fn parameters(directory: &Path, step: u64) -> Tensors {
    let path = directory.join(format!("checkpoints/step-{step:08}/model.safetensors"));
    tensors::read(&path).unwrap()
}

fn optimizer(directory: &Path, step: u64) -> Tensors {
    let path = directory.join(format!("checkpoints/step-{step:08}/optimizer.safetensors"));
    tensors::read(&path).unwrap()
}

fn layers(directory: &Path) -> Vec<LayerRow> {
    read_layers(&directory.join("layers.csv")).unwrap()
}

fn events(directory: &Path) -> Vec<Event> {
    events::read(&directory.join("events.jsonl")).unwrap()
}

/// The rows without what a clock has measured.
fn timeless(directory: &Path) -> Vec<CurveRow> {
    let rows = read_curve(&directory.join("curve.csv")).unwrap();
    rows.into_iter().map(CurveRow::reproducible).collect()
}

fn norm(numbers: impl Iterator<Item = f64>) -> f64 {
    numbers.map(|x| x * x).sum::<f64>().sqrt()
}

fn inside(path: &str, layer: &str) -> bool {
    layer == "model" || path == layer || path.starts_with(&format!("{layer}."))
}

#[test]
fn norms_and_ratios_are_those_of_the_checkpoints_before_and_after() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    // Plain gradient descent without clipping: the update is lr times the gradient.
    let recipe = recipe(&[
        "training.steps=7",
        "training.diagnose_every=3",
        "optimizer={ name = 'sgd', clip = 0.0, weight_decay = 0.0 }",
        "schedule.lr=0.1",
    ]);
    finish(&recipe, directory.path());
    let rows = layers(directory.path());
    let curve = timeless(directory.path());
    for step in [0, 3, 6] {
        let (before, after) = (
            parameters(directory.path(), step.max(1)),
            parameters(directory.path(), step + 1),
        );
        let rows: Vec<&LayerRow> = rows.iter().filter(|row| row.step == step).collect();
        // The model, two blocks, and every parameter tensor.
        assert_eq!(rows.len(), 1 + 2 + before.len());
        assert_eq!(
            (rows[0].layer.as_str(), rows[3].layer.as_str()),
            ("model", "blocks.0")
        );
        let logged = curve
            .iter()
            .find(|row| row.step == step)
            .unwrap()
            .grad_norm
            .unwrap();
        assert!((rows[0].grad_norm / logged - 1.0).abs() < 1e-12);
        assert_eq!(rows[0].clipped_share, Some(0.0));
        for row in rows {
            let block = ["blocks.0", "blocks.1"].contains(&row.layer.as_str());
            assert_eq!(
                (row.activation_rms.is_some(), row.attention_entropy.is_some()),
                (block, block)
            );
            if step == 0 {
                continue; // Initial parameters are in no checkpoint.
            }
            let names: Vec<&String> = before.keys().filter(|name| inside(name, &row.layer)).collect();
            let of = |tensors| norm(names.iter().flat_map(|name| numbers(tensors, name)));
            let update = names.iter().flat_map(|name| {
                let (x, y) = (numbers(&before, name), numbers(&after, name));
                x.into_iter().zip(y).map(|(x, y)| y - x).collect::<Vec<_>>()
            });
            let (size, update) = (of(&before), norm(update));
            // Sums in f64 of the same f32 numbers; their differences were rounded to f32 once.
            assert!((row.parameter_norm / size - 1.0).abs() < 1e-12, "{}", row.layer);
            let ratio = row.update_ratio.unwrap();
            assert!(
                (ratio / (update / size) - 1.0).abs() <= f64::from(f32::EPSILON),
                "{}",
                row.layer
            );
            // The new parameters were rounded: by half an ULP of each.
            let bound = f64::from(f32::EPSILON) * (size + update) / 0.1;
            assert!(
                (row.grad_norm - update / 0.1).abs() <= bound,
                "{}: {} and {}",
                row.layer,
                row.grad_norm,
                update / 0.1
            );
        }
    }
}

#[test]
fn to_be_diagnosed_changes_nothing() {
    let _turn = turn();
    let (plain, diagnosed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    finish(&recipe(&[]), plain.path());
    finish(&recipe(&["training.diagnose_every=1"]), diagnosed.path());
    assert_eq!(timeless(plain.path()), timeless(diagnosed.path()));
    assert_eq!(parameters(plain.path(), 30), parameters(diagnosed.path(), 30));
    assert_eq!(optimizer(plain.path(), 30), optimizer(diagnosed.path(), 30));
    assert!(!plain.path().join("layers.csv").exists());
}

#[test]
fn the_share_of_clipped_steps_is_that_of_the_norms_above_the_limit() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    // About the median of the norms.
    finish(&recipe(&["training.steps=1"]), directory.path());
    let first = timeless(directory.path())[0].grad_norm.unwrap();
    let limit = first * 0.9;
    let clip = format!("optimizer.clip={limit}");
    let directory = tempfile::tempdir().unwrap();
    finish(&recipe(&[&clip, "training.diagnose_every=7"]), directory.path());
    let curve = timeless(directory.path());
    let clipped = |step: u64| curve[step as usize].grad_norm.unwrap() > limit;
    let shares: Vec<(u64, f64)> = layers(directory.path())
        .iter()
        .filter_map(|row| row.clipped_share.map(|share| (row.step, share)))
        .collect();
    let expected: Vec<(u64, f64)> = [(0, 0..=0), (7, 1..=7), (14, 8..=14), (21, 15..=21), (28, 22..=28)]
        .map(|(step, steps)| {
            let length = steps.clone().count() as f64;
            (step, steps.filter(|&step| clipped(step)).count() as f64 / length)
        })
        .to_vec();
    assert_eq!(shares, expected);
    assert!(shares.iter().any(|(_, share)| *share > 0.0));
}

/// A text that is one pattern but for a stretch of noise, which few batches meet.
fn noisy_text(directory: &Path) -> String {
    let mut generator = ChaCha8Rng::seed_from_u64(5);
    let mut text = "abcdefgh".repeat(1500);
    text += &(0..120)
        .map(|_| char::from(b'!' + (generator.next_u64() % 90) as u8))
        .collect::<String>();
    text += &"abcdefgh".repeat(1500);
    let path = directory.join("text.txt");
    fs::write(&path, text).unwrap();
    format!("data.corpus='{}'", path.display())
}

fn noisy(text: &str, changes: &[&str]) -> Recipe {
    recipe(
        &[
            &[
                "training.steps=120",
                text,
                "training.spike_window=16",
                "model.dropout=0.0",
            ],
            changes,
        ]
        .concat(),
    )
}

#[test]
fn a_bad_batch_is_found_and_if_asked_its_update_is_skipped() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let text = noisy_text(directory.path());
    let (watched, skipping) = (
        directory.path().join("watched"),
        directory.path().join("skipping"),
    );
    let result = finish(&noisy(&text, &[]), &watched);
    assert!(
        result.loss_spikes > 0 && result.skipped_updates == 0,
        "{result:?}"
    );
    let spikes = |directory: &Path| {
        let all = events(directory);
        let count =
            |wanted: fn(&EventKind) -> bool| all.iter().filter(|event| wanted(&event.kind)).count() as u64;
        (
            count(|kind| matches!(kind, EventKind::LossSpike(_))),
            count(|kind| matches!(kind, EventKind::GradNormSpike(_))),
            count(|kind| matches!(kind, EventKind::SkippedUpdate)),
        )
    };
    let counts = |result: &TrialResult| {
        (
            result.loss_spikes,
            result.grad_norm_spikes,
            result.skipped_updates,
        )
    };
    assert_eq!(spikes(&watched), counts(&result));

    let result = finish(&noisy(&text, &["training.skip_spikes=true"]), &skipping);
    assert_eq!(spikes(&skipping), counts(&result));
    assert!(result.skipped_updates > 0);
    let skipped: Vec<u64> = events(&skipping)
        .iter()
        .filter(|event| event.kind == EventKind::SkippedUpdate)
        .map(|event| event.step)
        .collect();
    for step in 1..result.steps {
        let same = parameters(&skipping, step) == parameters(&skipping, step + 1)
            && optimizer(&skipping, step) == optimizer(&skipping, step + 1);
        assert_eq!(same, skipped.contains(&step), "step {step}");
    }
    // Until the first spike the two are one.
    let first = skipped[0];
    assert_eq!(parameters(&watched, first), parameters(&skipping, first));
    assert_ne!(parameters(&watched, first + 1), parameters(&skipping, first + 1));
}

#[test]
fn a_run_that_goes_on_finds_the_same_spikes_and_layers() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let text = noisy_text(directory.path());
    let changes = [
        "training.skip_spikes=true",
        "training.diagnose_every=9",
        "training.checkpoint_every=5",
    ];
    let recipe = noisy(&text, &changes);
    let trial = directory.path().join("trial");
    finish(&recipe, &trial);
    let files = ["events.jsonl", "layers.csv"].map(|name| trial.join(name));
    let read = || files.clone().map(|path| fs::read_to_string(path).unwrap());
    let (expected, rows, last) = (read(), timeless(&trial), parameters(&trial, 120));
    let first = events(&trial)[0].step;

    // As killed after the first spike, and in the middle of a window and between two looks at the layers.
    let from = (first + 2).next_multiple_of(5);
    fs::remove_file(trial.join("result.json")).unwrap();
    for step in (from + 5..=120).step_by(5) {
        let _ = fs::remove_dir_all(trial.join(format!("checkpoints/step-{step:08}")));
    }
    fs::write(trial.join("checkpoints/latest"), format!("step-{from:08}")).unwrap();
    finish(&recipe, &trial);
    assert_eq!(read(), expected);
    assert_eq!(timeless(&trial), rows);
    assert_eq!(parameters(&trial, 120), last);
}

#[test]
fn a_diverged_trial_says_where_it_began() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let recipe = recipe(&["schedule.lr=1e30", "optimizer.name=sgd"]);
    let result = finish(&recipe, directory.path());
    assert_eq!(result.status, Status::Diverged);
    // Embeddings of 1e29 overflow where they are first squared or multiplied.
    let layer = result.diverged_in.clone().unwrap();
    assert!(layer.starts_with("blocks.0") || layer == "embedding", "{layer}");
    let last = events(directory.path()).pop().unwrap();
    assert_eq!(Some(last.step), result.diverged_at);
    assert!(
        matches!(&last.kind, EventKind::Divergence { layer: Some(there), .. } if *there == layer),
        "{last:?}"
    );
}
