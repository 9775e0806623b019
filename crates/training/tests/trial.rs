//! Whole trials on small recipes: what they learn, how they end, and that they go on where they were stopped.
//!
//! Flex draws from one generator a process, so these tests take turns.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

mod common;

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use common::{checkpoint, finish, go, recipe, timeless, turn};
use data::{Dataset, OpenOptions};
use training::{CurveRow, DeviceName, Outcome, Recipe, Status, Trainer, TrialResult, config::Node};

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
fn any_loss_trains_and_evaluation_reports_cross_entropy() {
    let _turn = turn();
    let trial = |change: &str| {
        let directory = tempfile::tempdir().unwrap();
        finish(&recipe(&[change]), directory.path());
        timeless(directory.path())
    };
    let (plain, chunked) = (trial("loss.name=cross-entropy"), trial("loss.chunk=100"));
    let (smoothed, mse) = (trial("loss.label_smoothing=0.2"), trial("loss.name=mse"));
    for rows in [&plain, &chunked, &smoothed, &mse] {
        assert!(rows.last().unwrap().val_loss < plain[0].val_loss);
    }
    // The same weights, whatever they will be trained for.
    assert_eq!(
        (smoothed[0].val_loss, mse[0].val_loss),
        (plain[0].val_loss, plain[0].val_loss)
    );
    // A squared error of probabilities is at most 2; smoothing costs more than it takes, where the model knows little.
    assert!(mse[0].train_loss.unwrap() < 2.0 && plain[0].train_loss.unwrap() > 4.0);
    assert_ne!(smoothed[0].train_loss, plain[0].train_loss);
    // The chunks' sums are rounded in another order: f32, over 256 entries and 16 rows.
    for loss in [
        |row: &CurveRow| row.train_loss.unwrap(),
        |row: &CurveRow| row.val_loss.unwrap(),
    ] {
        let difference = (loss(&chunked[0]) - loss(&plain[0])).abs();
        assert!(difference <= 256.0 * f64::from(f32::EPSILON) * loss(&plain[0]));
    }
}

#[test]
fn a_group_that_holds_nothing_is_refused() {
    let recipe = recipe(&["optimizer.groups=[{ parameters = '*embeding*' }]"]);
    let error = Trainer::new(&recipe, 256, &DeviceName::Flex.open().unwrap())
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("*embeding*") && error.contains("token_embedding"),
        "{error}"
    );
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
