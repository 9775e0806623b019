//! What the end-to-end tests share: the real binary, in a directory of its own.

#![allow(dead_code, reason = "every test binary uses a part of it")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use training::{TrialFiles, TrialResult, checkpoint::verify};

/// A sweep of four trials that takes seconds.
pub const SWEEP: &str = "\
name = \"four\"
seeds = [0, 1]

[axes]
model.dropout = [0.0, 0.2]

[base]
data = { corpus = \"synthetic\", tokenizer = \"byte\" }
model = { layers = 1, heads = 2, width = 16, context = 16 }
schedule = { lr = 1e-2, warmup = 5 }
training = { steps = 400, batch_size = 8, accumulate = 1, eval_every = 100, eval_tokens = 4096, checkpoint_every = 20 }
";

/// A recipe that takes seconds, and whose checkpoints are of many steps.
pub const RECIPE: &str = "\
data = { corpus = \"synthetic\", tokenizer = \"byte\" }
model = { layers = 1, heads = 2, width = 16, context = 16, dropout = 0.1 }
schedule = { lr = 1e-2, warmup = 5 }

[training]
steps = 400
batch_size = 8
accumulate = 1
log_every = 1
eval_every = 100
eval_tokens = 4096
checkpoint_every = 5
";

/// A directory to run `cupel` in.
pub struct Place {
    directory: TempDir,
}

impl Place {
    /// An empty directory.
    ///
    /// # Panics
    /// Where none can be made.
    #[must_use]
    pub fn new() -> Self {
        Self {
            directory: TempDir::new().expect("a temporary directory"),
        }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file is written");
    }

    /// `cupel` with arguments, to be run here, its cache and its colours out of the way.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cupel"));
        command
            .args(arguments)
            .current_dir(&self.directory)
            .env("CUPEL_CACHE", self.path("cache"));
        command.env("NO_COLOR", "1").env("COLUMNS", "100");
        command
    }

    /// Runs `cupel` to its end.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("cupel starts")
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

/// The columns that a clock and the system measure, in any of the CSV files.
const MEASURED: [&str; 7] = [
    "seconds",
    "tokens_per_second",
    "step_seconds_p50",
    "step_seconds_p90",
    "step_seconds_p99",
    "mfu",
    "peak_memory",
];

/// The rows of a CSV file by the names of their columns, without what a clock has measured.
///
/// # Panics
/// Where the file is no CSV.
pub fn timeless(path: &Path) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(path).expect("a CSV file");
    let rows = reader.deserialize().map(|row| row.expect("a row"));
    rows.map(|mut row: BTreeMap<String, String>| {
        row.retain(|column, _| !MEASURED.contains(&column.as_str()));
        row
    })
    .collect()
}

/// How many rows the curve of a trial has; the last may be cut short.
pub fn rows(trial: &Path) -> usize {
    let curve = fs::read_to_string(TrialFiles::new(trial).curve()).unwrap_or_default();
    curve.lines().count().saturating_sub(1)
}

/// What a finished trial leaves but times: its curve, its result, and all that its newest and its best checkpoint hold.
///
/// # Panics
/// Where something is missing or damaged.
pub fn left(trial: &Path) -> impl PartialEq + std::fmt::Debug + use<> {
    let files = TrialFiles::new(trial);
    let result = fs::read(files.result()).expect("a result");
    let result: TrialResult = serde_json::from_slice(&result).expect("a result");
    let checkpoints = ["latest", "best"].map(|pointer| {
        let name = fs::read_to_string(files.checkpoints().join(pointer)).expect("a pointer");
        let saved = verify(&files.checkpoints().join(name)).expect("an intact checkpoint");
        let mut progress = saved.progress;
        progress.seconds = 0.0;
        let tensors = ["model.safetensors", "optimizer.safetensors"]
            .map(|file| training::tensors::read(&saved.path.join(file)).expect("tensors"));
        (progress, tensors)
    });
    (timeless(&files.curve()), result.reproducible(), checkpoints)
}

/// Waits until `condition` holds.
///
/// # Panics
/// Where it does not within a minute.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "waited a minute for {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}
