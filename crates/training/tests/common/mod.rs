//! What the tests of whole trials share: a small recipe, its runs, and what they leave.
#![allow(dead_code, reason = "every test binary uses a part of it")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, atomic::AtomicBool},
};

use training::{
    CurveRow, DeviceName, Outcome, Recipe, TrialFiles, TrialResult,
    checkpoint::Progress,
    config::Node,
    read_curve, run,
    tensors::{self, Tensors},
};

/// Flex draws from one generator a process, so tests that train take turns.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub const TINY: &str = "
data = { corpus = 'synthetic', tokenizer = 'byte' }
model = { layers = 2, heads = 2, width = 16, context = 16, dropout = 0.1 }
schedule = { lr = 1e-2, warmup = 5 }
training = { steps = 30, batch_size = 4, accumulate = 2, log_every = 3, eval_every = 10, eval_tokens = 1024, checkpoint_every = 7 }
";

pub fn recipe(changes: &[&str]) -> Recipe {
    let mut node = Node::parse("recipe.toml", TINY).unwrap();
    for change in changes {
        node.merge(&Node::parse_assignment(change).unwrap());
    }
    Recipe::from_node(&node).unwrap()
}

pub fn go(recipe: &Recipe, directory: &Path, stop: &AtomicBool) -> Outcome {
    run(recipe, DeviceName::Flex, &TrialFiles::new(directory), stop).unwrap()
}

pub fn finish(recipe: &Recipe, directory: &Path) -> TrialResult {
    finish_on(DeviceName::Flex, recipe, directory)
}

pub fn finish_on(device: DeviceName, recipe: &Recipe, directory: &Path) -> TrialResult {
    let files = TrialFiles::new(directory);
    match run(recipe, device, &files, &AtomicBool::new(false)).unwrap() {
        Outcome::Finished(result) => *result,
        other => panic!("{other:?}"),
    }
}

/// The rows without what a clock has measured.
pub fn timeless(directory: &Path) -> Vec<CurveRow> {
    let rows = read_curve(&directory.join("curve.csv")).unwrap();
    rows.into_iter().map(CurveRow::reproducible).collect()
}

/// The directory of the checkpoint that a pointer names.
pub fn pointed(directory: &Path, pointer: &str) -> PathBuf {
    let checkpoints = directory.join("checkpoints");
    let name = fs::read_to_string(checkpoints.join(pointer)).unwrap();
    checkpoints.join(name)
}

/// The parameters and the optimizer's state in the checkpoint that a pointer names.
pub fn checkpoint(directory: &Path, pointer: &str) -> (Tensors, Tensors) {
    let path = pointed(directory, pointer);
    let read = |file: &str| tensors::read(&path.join(file)).unwrap();
    (read("model.safetensors"), read("optimizer.safetensors"))
}

/// What a run is compared by: all that it leaves but times.
#[derive(Debug, PartialEq)]
pub struct Left {
    pub rows: Vec<CurveRow>,
    pub latest: (Tensors, Tensors),
    pub best: (Tensors, Tensors),
    pub progress: Progress,
    pub result: TrialResult,
}

pub fn left(directory: &Path) -> Left {
    let state = fs::read(pointed(directory, "latest").join("state.json")).unwrap();
    let result = fs::read(directory.join("result.json")).unwrap();
    let result: TrialResult = serde_json::from_slice(&result).unwrap();
    Left {
        rows: timeless(directory),
        latest: checkpoint(directory, "latest"),
        best: checkpoint(directory, "best"),
        progress: Progress {
            seconds: 0.0,
            ..serde_json::from_slice(&state).unwrap()
        },
        result: result.reproducible(),
    }
}

/// The names of the checkpoints, in order.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory.join("checkpoints")).unwrap().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Copies a directory with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
