//! The runner and the comparison over real processes: a shell script stands in for `cupel train`, so that it can be made
//! to fail.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use sweep::{Ending, Machine, Observer, Plan, ResultsFiles, RunOptions, Summary, SweepFile, Trial, run};
use tempfile::TempDir;
use training::{CurveRow, config::Node};

const SWEEP: &str = "
name = 'test'
seeds = [0, 1]
[axes]
schedule.lr = [0.1, 0.2]
[base]
model = { preset = 'tiny' }
schedule = { name = 'constant', warmup = 0 }
training = { steps = 10, accumulate = 1 }
";

/// Writes a result whose loss is the recipe's lr plus its seed, after a line that appends the seed to `ran.txt`.
const TRAIN: &str = r#"#!/bin/sh
lr=$(sed -n 's/^lr = //p' "$2"); seed=$(sed -n 's/^seed = //p' "$2"); out="$6"
echo "$lr $seed" >> "$(dirname "$0")/ran.txt"
BEFORE
loss=$(echo "$lr $seed" | awk '{print $1 + $2}')
cat > "$out/result.json" <<END
{"status": "STATUS", "diverged_at": null, "steps": 10, "tokens": 5120, "train_loss": 1.0,
 "best_val_loss": $loss, "best_step": 10, "last_val_loss": $loss, "perplexity": 2.0, "bits_per_byte": 1.0,
 "unigram_entropy": 3.0, "true_entropy": null, "seconds": 1.0, "tokens_per_second": 5120.0, "parameters": 100,
 "device": "$4", "corpus": {"name": "none", "bytes": 0, "sha256": ""}, "unknown_characters": 0, "version": "0",
 "started": "2026-11-23T00:00:00Z", "finished": "2026-11-23T00:00:01Z"}
END
"#;

struct Place {
    directory: TempDir,
    stop: AtomicBool,
}

struct Silent;

impl Observer for Silent {
    fn planned(&self, _: &Plan, _: usize) {}
    fn started(&self, _: &Trial) {}
    fn advanced(&self, _: &Trial, _: &CurveRow) {}
    fn ended(&self, _: &Trial, _: &Ending) {}
}

impl Place {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            stop: AtomicBool::new(false),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs the sweep with a script that does `before` ahead of writing its result.
    fn run(&self, before: &str, status: &str) -> Summary {
        let script = self.path("train.sh");
        fs::write(&script, TRAIN.replace("BEFORE", before).replace("STATUS", status)).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let options = RunOptions {
            program: script,
            device: "flex".to_owned(),
            jobs: 1,
            machine: Machine::this(Vec::new()),
            libtorch: None,
            command: Vec::new(),
        };
        run(
            &self.plan(),
            &ResultsFiles::new(self.path("out")),
            &options,
            &Silent,
            &self.stop,
        )
        .unwrap()
    }

    fn plan(&self) -> Plan {
        let node = Node::parse("sweep.toml", SWEEP).unwrap();
        Plan::new(&SweepFile::from_node(&node, Path::new("."), &[]).unwrap()).unwrap()
    }

    /// The trials that ran, in order.
    fn ran(&self) -> Vec<String> {
        let path = self.path("ran.txt");
        let lines = fs::read_to_string(&path)
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect();
        let _ = fs::remove_file(path);
        lines
    }

    fn column(&self, file: &str, column: &str) -> Vec<String> {
        let mut reader = csv::Reader::from_path(self.path("out").join(file)).unwrap();
        let index = reader
            .headers()
            .unwrap()
            .iter()
            .position(|name| name == column)
            .unwrap();
        reader
            .records()
            .map(|row| row.unwrap()[index].to_owned())
            .collect()
    }
}

#[test]
fn trials_run_in_order_and_only_once() {
    let place = Place::new();
    let summary = place.run("", "completed");
    assert_eq!((summary.finished, summary.skipped, summary.failed), (4, 0, 0));
    assert_eq!(place.ran(), ["0.1 0", "0.1 1", "0.2 0", "0.2 1"]);
    let summary = place.run("", "completed");
    assert_eq!((summary.finished, summary.skipped, summary.failed), (0, 4, 0));
    assert!(place.ran().is_empty());
}

#[test]
fn means_and_deviations_are_over_seeds_and_differences_from_the_base() {
    let place = Place::new();
    place.run("", "completed");
    let numbers = |column: &str| -> Vec<f64> {
        place
            .column("comparison.csv", column)
            .iter()
            .map(|cell| cell.parse().unwrap())
            .collect()
    };
    // Losses 0.1 and 1.1, 0.2 and 1.2; the first is the base, since the base's own lr is not in the grid.
    for (column, expected) in [
        ("val_loss", [0.6, 0.7]),
        ("val_loss_sd", [0.5f64.sqrt(); 2]),
        ("difference", [0.0, 0.1]),
    ] {
        for (a, e) in numbers(column).iter().zip(expected) {
            assert!(
                (a - e).abs() <= 4.0 * f64::EPSILON,
                "{column}: {a} instead of {e}"
            );
        }
    }
    assert_eq!(place.column("comparison.csv", "rank"), ["1", "2"]);
}

#[test]
fn a_trial_that_fails_is_recorded_and_the_others_go_on() {
    let place = Place::new();
    let fails = "if [ $seed = 1 ]; then echo something went wrong >&2; exit 3; fi";
    let summary = place.run(fails, "completed");
    assert_eq!((summary.finished, summary.failed), (2, 2));
    assert_eq!(place.ran().len(), 4);
    assert_eq!(
        place.column("trials.csv", "status"),
        ["completed", "failed", "completed", "failed"]
    );
    assert_eq!(
        place.column("trials.csv", "best_val_loss"),
        ["0.1", "", "0.2", ""]
    );
    assert_eq!(place.column("comparison.csv", "n"), ["1", "1"]);
    assert_eq!(place.column("comparison.csv", "failed"), ["1", "1"]);
    let failures: Vec<String> = fs::read_dir(place.path("out/trials"))
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.unwrap().path().join("failure.json")).ok())
        .collect();
    assert_eq!(failures.len(), 2);
    assert!(failures[0].contains("something went wrong") && failures[0].contains("exit status: 3"));

    // The cause mended, they run again, and they alone.
    let summary = place.run("", "completed");
    assert_eq!((summary.finished, summary.skipped, summary.failed), (2, 2, 0));
    assert_eq!(place.ran(), ["0.1 1", "0.2 1"]);
    assert_eq!(place.column("trials.csv", "status"), ["completed"; 4]);
}

#[test]
fn a_process_that_is_killed_has_failed() {
    let place = Place::new();
    let summary = place.run("kill -9 $$", "completed");
    assert_eq!((summary.finished, summary.failed), (0, 4));
    assert_eq!(place.column("comparison.csv", "n"), ["0", "0"]);
    assert_eq!(place.column("comparison.csv", "val_loss"), ["", ""]);
}

#[test]
fn what_diverged_is_a_result_that_no_average_holds() {
    let place = Place::new();
    let summary = place.run("", "diverged");
    assert_eq!((summary.finished, summary.failed), (4, 0));
    assert_eq!(place.column("comparison.csv", "diverged"), ["2", "2"]);
    assert_eq!(place.column("comparison.csv", "val_loss"), ["", ""]);
    assert!(place.ran().len() == 4 && place.run("", "diverged").skipped == 4);
}

#[test]
fn a_directory_that_another_process_holds_is_tried_again() {
    let place = Place::new();
    let held_once = r#"if [ ! -e "$out/held" ]; then touch "$out/held"; exit 75; fi"#;
    let summary = place.run(held_once, "completed");
    assert_eq!((summary.finished, summary.failed), (4, 0));
    assert_eq!(place.ran().len(), 8);
}

#[test]
fn once_stopped_nothing_is_started() {
    let place = Place::new();
    place.stop.store(true, Ordering::Relaxed);
    let summary = place.run("", "completed");
    assert!(summary.stopped && summary.finished == 0 && place.ran().is_empty());
    assert_eq!(place.column("trials.csv", "status"), ["pending"; 4]);
}

#[test]
fn a_trial_that_was_changed_by_hand_is_refused() {
    let place = Place::new();
    place.run("", "completed");
    let trial = fs::read_dir(place.path("out/trials"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    fs::write(trial.join("recipe.toml"), "training.seed = 9").unwrap();
    let plan = place.plan();
    let options = RunOptions {
        program: place.path("train.sh"),
        device: "flex".to_owned(),
        jobs: 1,
        machine: Machine::this(Vec::new()),
        libtorch: None,
        command: Vec::new(),
    };
    let error = run(
        &plan,
        &ResultsFiles::new(place.path("out")),
        &options,
        &Silent,
        &place.stop,
    )
    .unwrap_err()
    .to_string();
    assert!(error.contains("holds another recipe"), "{error}");
}
