//! What comparisons say, of directories that hold what trials write.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

mod place;

use std::{fs, process::Output};

use place::{Place, timeless};
use serde_json::json;
use sweep::{Plan, SweepFile};
use training::{CurveRow, Recipe, TrialFiles, TrialResult, config::Node};

const SWEEP: &str = "\
name = \"grid\"
seeds = [0, 1, 2, 3, 4, 5]

[axes]
schedule.lr = [1e-3, 3e-3, 1e-2]
model.dropout = [0.0, 0.1]

[base]
data = { corpus = \"synthetic\", tokenizer = \"byte\" }
model = { preset = \"tiny\" }
schedule = { lr = 3e-3, warmup = 5 }
training = { steps = 40, accumulate = 1 }
";

/// Noise of the seeds, and of what a seed and a configuration do together.
const OF_SEED: [f64; 6] = [0.010, -0.008, 0.004, -0.013, 0.006, 0.001];
const OF_BOTH: [f64; 7] = [0.003, -0.002, 0.001, -0.004, 0.005, -0.001, -0.002];

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(text).unwrap()
}

/// A validation loss, or none where the trial diverges.
type Loss<'a> = &'a dyn Fn(&Recipe) -> Option<f64>;

/// The loss has its optimum at 3e-3, dropout costs a little, and a seed adds its noise.
fn loss(recipe: &Recipe) -> Option<f64> {
    let (lr, dropout, seed) = (
        recipe.schedule.lr,
        recipe.model.dropout.residual,
        recipe.training.seed as usize,
    );
    let of_both = OF_BOTH[(seed * 3 + (lr * 400.0) as usize + (dropout * 100.0) as usize) % OF_BOTH.len()];
    Some(3.0 + 0.05 * (lr / 3e-3).log10().abs() + 0.1 * dropout + OF_SEED[seed % OF_SEED.len()] + of_both)
}

/// Writes a results directory, as if its sweep had been run.
fn write(place: &Place, name: &str, sweep: &str, device: &str, loss: Loss) {
    let out = place.path(name);
    let node = Node::parse("sweep.toml", sweep).unwrap();
    let plan = Plan::new(&SweepFile::from_node(&node, &out, &[]).unwrap()).unwrap();
    for trial in &plan.trials {
        let files = TrialFiles::new(out.join("trials").join(trial.id.to_string()));
        fs::create_dir_all(files.directory()).unwrap();
        fs::write(files.recipe(), trial.recipe.to_toml()).unwrap();
        let loss = loss(&trial.recipe);
        let result: TrialResult = serde_json::from_value(json!({
            "status": if loss.is_some() { "completed" } else { "diverged" },
            "diverged_at": if loss.is_some() { None } else { Some(25) },
            "steps": 40, "tokens": 20480, "train_loss": 3.0, "best_val_loss": loss.or(Some(3.4)), "best_step": 40,
            "last_val_loss": loss, "perplexity": loss.map(f64::exp), "bits_per_byte": null, "unigram_entropy": 3.5,
            "true_entropy": null, "seconds": 2.0, "tokens_per_second": 10240.0, "parameters": 100, "device": device,
            "corpus": {"name": "synthetic", "bytes": 0, "sha256": ""}, "unknown_characters": 0, "version": "0.1.0",
            "started": "2026-11-23T00:00:00Z", "finished": "2026-11-23T00:00:01Z"
        }))
        .unwrap();
        fs::write(files.result(), serde_json::to_vec_pretty(&result).unwrap()).unwrap();
        let mut curve = csv::Writer::from_path(files.curve()).unwrap();
        for step in (0..=40).step_by(10) {
            let val_loss = loss.map_or(3.4, |loss| loss + 0.02 * (40 - step) as f64);
            let row: CurveRow = serde_json::from_value(json!({
                "step": step, "tokens": step * 512, "lr": 1e-3, "train_loss": val_loss, "val_loss": val_loss,
                "grad_norm": 1.0, "tokens_per_second": if step > 0 { Some(10240.0) } else { None },
            }))
            .unwrap();
            curve.serialize(row).unwrap();
        }
        curve.flush().unwrap();
    }
    fs::write(out.join("sweep.toml"), &plan.toml).unwrap();
}

#[test]
fn a_grid_is_compared_with_its_baseline_and_taken_apart_into_effects() {
    let place = Place::new();
    // One seed of one configuration diverges.
    let diverges = |r: &Recipe| {
        loss(r).filter(|_| (r.schedule.lr, r.model.dropout.residual, r.training.seed) != (1e-2, 0.1, 5))
    };
    write(&place, "grid", SWEEP, "flex", &diverges);
    let output = place.run(&["compare", "grid", "--target", "3.25"]);
    assert!(output.status.success(), "{}", said(&output));
    insta::assert_snapshot!("compared", said(&output));
    let comparison = timeless(&place.path("grid/comparison.csv"));
    let last = comparison.last().unwrap();
    assert_eq!(
        (&*last["diverged"], &*last["n"], &*last["pairs"], &*last["rank"]),
        ("1", "5", "5", "6")
    );
    let effects = timeless(&place.path("grid/effects.csv"));
    let mut shares: Vec<(&str, f64)> = effects
        .iter()
        .map(|row| (row["effect"].as_str(), row["share"].parse().unwrap()))
        .collect();
    shares.dedup();
    let sum: f64 = shares.iter().map(|(_, share)| share).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{shares:?}");
    assert_eq!(timeless(&place.path("grid/target.csv")).len(), 6);
}

#[test]
fn one_seed_claims_nothing() {
    let place = Place::new();
    write(
        &place,
        "grid",
        &SWEEP.replace("[0, 1, 2, 3, 4, 5]", "[0]"),
        "flex",
        &loss,
    );
    insta::assert_snapshot!("compared_one_seed", said(&place.run(&["compare", "grid"])));
}

#[test]
fn a_list_of_unrelated_points_has_no_effects() {
    let place = Place::new();
    let points = "[[axes]]\nschedule.lr = [1e-3]\nmodel.dropout = [0.0]\n[[axes]]\nschedule.lr = [3e-3]\nmodel.dropout = [0.1]\n\
                  [[axes]]\nschedule.lr = [1e-2]\nmodel.dropout = [0.2, 0.0]\n[[axes]]\nschedule.lr = [2e-2]\nmodel.dropout = [0.3]\n";
    let (before, after) = SWEEP.split_once("[axes]").unwrap();
    let base = after.split_once("[base]").unwrap().1;
    write(
        &place,
        "grid",
        &format!("{before}{points}[base]{base}"),
        "flex",
        &loss,
    );
    let output = said(&place.run(&["compare", "grid"]));
    assert!(
        output.contains("no effects: 30 of the 96 cells of the grid"),
        "{output}"
    );
}

#[test]
fn two_directories_of_one_sweep_differ_where_they_moved_beyond_the_noise() {
    let place = Place::new();
    write(&place, "before", SWEEP, "flex", &loss);
    // On the other backend dropout does harm, the largest rate is a little off, and 1e-3 without dropout the same to the last bit.
    let other = |recipe: &Recipe| {
        let (lr, dropout, seed) = (
            recipe.schedule.lr,
            recipe.model.dropout.residual,
            recipe.training.seed,
        );
        let harm = if dropout > 0.0 {
            0.05 + 0.001 * seed as f64
        } else {
            0.0
        };
        let noise = if lr > 1e-3 {
            0.002 * (seed as f64 - 2.4)
        } else {
            0.0
        };
        loss(recipe).map(|loss| loss + harm + noise)
    };
    write(&place, "after", SWEEP, "libtorch", &other);
    let output = place.run(&["diff", "before", "after"]);
    assert!(output.status.success(), "{}", said(&output));
    insta::assert_snapshot!("diff", said(&output));
    assert_eq!(
        timeless(&place.path("results/diff-before-after/diff.csv")).len(),
        6
    );
    let inputs = ["before", "after"].map(|name| fs::read_dir(place.path(name)).unwrap().count());
    assert_eq!(inputs, [2, 2], "the directories are as they were");
}

#[test]
fn submissions_are_scored_over_workloads() {
    let place = Place::new();
    write(&place, "one", SWEEP, "flex", &loss);
    // A harder workload, on which the smallest learning rate never gets there.
    let harder =
        |recipe: &Recipe| loss(recipe).map(|loss| loss + if recipe.schedule.lr < 2e-3 { 1.0 } else { 0.15 });
    write(&place, "two", SWEEP, "flex", &harder);
    let both = ["compare", "one", "two", "--protocol", "algoperf"];
    let output = place.run(&[&both[..], &["--target", "3.3", "--target", "3.4"]].concat());
    assert!(output.status.success(), "{}", said(&output));
    insta::assert_snapshot!("algoperf", said(&output));
    let profiles = timeless(&place.path("results/algoperf/profiles.csv"));
    assert_eq!(profiles.len(), 61);
    assert_eq!(profiles[60]["schedule.lr=0.001 model.dropout=0.0"], "0.5");
    let wrong = said(&place.run(&[
        "compare",
        "one",
        "--protocol",
        "algoperf",
        "--target",
        "3.3",
        "--target",
        "3.4",
    ]));
    assert!(wrong.contains("1 workloads and 2 target losses"), "{wrong}");
}
