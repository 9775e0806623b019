//! Whole trials on small recipes: what they learn, how they end, and that they go on where they were stopped.
//!
//! Flex draws from one generator a process, so these tests take turns.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use std::{
    fs,
    path::Path,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use data::{Dataset, OpenOptions};
use training::{
    CurveRow, DeviceName, Outcome, Recipe, Status, Trainer, TrialFiles, TrialResult,
    config::Node,
    read_curve, run,
    tensors::{self, Tensors},
};

fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

const TINY: &str = "
data = { corpus = 'synthetic', tokenizer = 'byte' }
model = { layers = 2, heads = 2, width = 16, context = 16, dropout = 0.1 }
schedule = { lr = 1e-2, warmup = 5 }
training = { steps = 30, batch_size = 4, accumulate = 2, log_every = 3, eval_every = 10, eval_tokens = 1024, checkpoint_every = 7 }
";

fn recipe(changes: &[&str]) -> Recipe {
    let mut node = Node::parse("recipe.toml", TINY).unwrap();
    for change in changes {
        node.merge(&Node::parse_assignment(change).unwrap());
    }
    Recipe::from_node(&node).unwrap()
}

fn go(recipe: &Recipe, directory: &Path, stop: &AtomicBool) -> Outcome {
    run(recipe, DeviceName::Flex, &TrialFiles::new(directory), stop).unwrap()
}

fn finish(recipe: &Recipe, directory: &Path) -> TrialResult {
    match go(recipe, directory, &AtomicBool::new(false)) {
        Outcome::Finished(result) => *result,
        other => panic!("{other:?}"),
    }
}

/// The rows without what a clock has measured.
fn timeless(directory: &Path) -> Vec<CurveRow> {
    let mut rows = read_curve(&directory.join("curve.csv")).unwrap();
    for row in &mut rows {
        row.tokens_per_second = None;
    }
    rows
}

fn checkpoint(directory: &Path, name: &str) -> (Tensors, Tensors) {
    let name = fs::read_to_string(directory.join("checkpoints").join(name)).unwrap();
    let path = directory.join("checkpoints").join(name);
    let read = |file: &str| tensors::read(&path.join(file)).unwrap();
    (read("model.safetensors"), read("optimizer.safetensors"))
}

#[test]
fn a_trial_learns_and_leaves_its_files() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let recipe = recipe(&[]);
    let result = finish(&recipe, directory.path());
    assert_eq!(
        (result.status, result.steps, result.tokens),
        (Status::Completed, 30, 30 * 2 * 4 * 16)
    );
    let best = result.best_val_loss.unwrap();
    let first = timeless(directory.path())[0].val_loss.unwrap();
    assert!(
        best < first && best > result.true_entropy.unwrap(),
        "{first}, then {best}"
    );
    assert_eq!(result.perplexity.unwrap(), best.exp());

    let steps: Vec<u64> = timeless(directory.path()).iter().map(|row| row.step).collect();
    assert_eq!(steps, [0, 3, 6, 9, 10, 12, 15, 18, 20, 21, 24, 27, 30]);
    let file = fs::read(directory.path().join("result.json")).unwrap();
    assert_eq!(serde_json::from_slice::<TrialResult>(&file).unwrap(), result);
    let written = fs::read_to_string(directory.path().join("recipe.toml")).unwrap();
    assert_eq!(
        Recipe::from_node(&Node::parse("recipe.toml", &written).unwrap()).unwrap(),
        recipe
    );
    let (parameters, state) = checkpoint(directory.path(), "latest");
    assert_eq!(
        parameters.values().map(|t| t.num_elements()).sum::<usize>(),
        result.parameters
    );
    assert_eq!(state.len(), 3 * parameters.len()); // two moments and a counter each
    // The newest, and the best if that is another.
    let kept = fs::read_dir(directory.path().join("checkpoints"))
        .unwrap()
        .flatten();
    assert!((1..=2).contains(&kept.filter(|entry| entry.path().is_dir()).count()));
}

#[test]
fn a_trial_that_was_stopped_goes_on_bit_for_bit() {
    let _turn = turn();
    let recipe = recipe(&[]);
    let undisturbed = tempfile::tempdir().unwrap();
    let expected = finish(&recipe, undisturbed.path());

    let disturbed = tempfile::tempdir().unwrap();
    // Stopped before its first step, and again and again after whatever it came to in a quarter of a second.
    let mut stops = 0;
    let result = loop {
        let stop = AtomicBool::new(stops == 0);
        let outcome = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(250));
                stop.store(true, Ordering::Relaxed);
            });
            go(&recipe, disturbed.path(), &stop)
        });
        match outcome {
            Outcome::Finished(result) => break *result,
            Outcome::Interrupted { .. } => stops += 1,
            Outcome::Held => panic!("nobody else is at it"),
        }
    };
    assert!(stops > 0, "it was never stopped");
    assert_eq!(timeless(disturbed.path()), timeless(undisturbed.path()));
    assert_eq!(
        checkpoint(disturbed.path(), "latest"),
        checkpoint(undisturbed.path(), "latest")
    );
    assert_eq!(
        checkpoint(disturbed.path(), "best"),
        checkpoint(undisturbed.path(), "best")
    );
    assert_eq!(result.best_val_loss, expected.best_val_loss);
}

#[test]
fn rows_after_the_checkpoint_are_made_again() {
    let _turn = turn();
    let recipe = recipe(&[]);
    let directory = tempfile::tempdir().unwrap();
    finish(&recipe, directory.path());
    let expected = timeless(directory.path());
    // As a kill leaves it: no result, a pointer to an older checkpoint, the last row cut short.
    fs::remove_file(directory.path().join("result.json")).unwrap();
    let curve = directory.path().join("curve.csv");
    let text = fs::read_to_string(&curve).unwrap();
    fs::write(&curve, &text[..text.len() - 9]).unwrap();
    finish(&recipe, directory.path());
    assert_eq!(timeless(directory.path()), expected);
}

#[test]
fn a_diverged_trial_is_a_result() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let recipe = recipe(&[
        "schedule={ name = 'constant', lr = 1e30, warmup = 0 }",
        "optimizer.name=sgd",
    ]);
    let result = finish(&recipe, directory.path());
    assert_eq!(result.status, Status::Diverged);
    assert_eq!(result.diverged_at, Some(result.steps));
    assert!(result.steps < 5, "{}", result.steps);
    // Its last row is there, and empty where there is no number.
    let last = timeless(directory.path()).pop().unwrap();
    assert_eq!((last.step, last.val_loss), (result.steps, None));
}

#[test]
fn a_directory_of_another_recipe_is_refused() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    finish(&recipe(&["training.steps=5"]), directory.path());
    let error = run(
        &recipe(&["training.steps=6"]),
        DeviceName::Flex,
        &TrialFiles::new(directory.path()),
        &AtomicBool::new(false),
    )
    .unwrap_err();
    assert!(error.to_string().contains("another recipe"), "{error}");
}

#[test]
fn eight_sequences_in_four_micro_batches_are_thirty_two_in_one() {
    let _turn = turn();
    let steps = |changes: &[&str]| {
        let changes = [&["model.dropout=0.0", "optimizer.clip=0.0"], changes].concat();
        let recipe = recipe(&changes);
        let cache = OpenOptions::from_env();
        let dataset = Dataset::open(&recipe.data, &cache).unwrap();
        let mut trainer =
            Trainer::new(&recipe, dataset.vocabulary(), &DeviceName::Flex.open().unwrap()).unwrap();
        (0..5)
            .map(|step| trainer.step(&dataset, step).unwrap())
            .collect::<Vec<_>>()
    };
    let apart = steps(&["training.batch_size=8", "training.accumulate=4"]);
    let whole = steps(&["training.batch_size=32", "training.accumulate=1"]);
    for (step, (a, b)) in apart.iter().zip(&whole).enumerate() {
        // Means over 32 * 16 tokens, summed in another order: at worst one rounding a token. Adam divides by the
        // gradient's own size, so what a step differs by, the next one inherits.
        let bound = (step + 1) as f64 * 512.0 * f64::from(f32::EPSILON);
        for (x, y) in [(a.loss, b.loss), (a.grad_norm, b.grad_norm)] {
            assert!(
                (x / y - 1.0).abs() <= bound,
                "step {step}: {x} and {y}, bound {bound:e}"
            );
        }
    }
}
