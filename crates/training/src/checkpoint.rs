//! Checkpoints: everything that a run needs to go on.
//!
//! ```text
//! checkpoints/step-00001000/model.safetensors      parameters
//! checkpoints/step-00001000/optimizer.safetensors  its state
//! checkpoints/step-00001000/state.json             Progress, written last
//! checkpoints/latest                               the name of the newest
//! checkpoints/best                                 the name of the best by validation loss
//! ```
//!
//! A checkpoint is written under a temporary name, synced and renamed; a pointer moves only to what is whole.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use model::Gpt2;
use optimizers::{Optimizer, StateError};
use serde::{Deserialize, Serialize};

use crate::{
    diagnostics::Clipped,
    records::write_atomically,
    spikes::Spikes,
    tensors::{self, TensorsError},
};

/// Where a run stands. With the recipe's seed, `step` is the whole random state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps made, those whose update was skipped among them.
    pub step: u64,
    /// The recipe's seed.
    pub seed: u64,
    /// The hash of the recipe.
    pub recipe: String,
    /// Seconds of training so far.
    pub seconds: f64,
    /// The last training loss.
    pub train_loss: Option<f64>,
    /// The last validation loss.
    pub last_val_loss: Option<f64>,
    /// The lowest validation loss.
    pub best_val_loss: Option<f64>,
    /// The updates made when it was reached.
    pub best_step: Option<u64>,
    /// What spikes are told by, and those so far.
    #[serde(default)]
    pub spikes: Spikes,
    /// Steps that were clipped since the last rows of `layers.csv`.
    #[serde(default)]
    pub clipped: Clipped,
}

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The directory or a file of it.
    #[error("checkpoint {path}: {source}")]
    Io {
        /// The file or directory.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// `state.json` does not say where the run stands.
    #[error("checkpoint {path} does not say where the run stands: {source}")]
    State {
        /// The file.
        path: String,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A file of tensors.
    #[error("checkpoint: {0}")]
    Tensors(#[from] TensorsError),
    /// The optimizer's state.
    #[error("checkpoint: {0}")]
    Optimizer(#[from] StateError),
    /// The checkpoint was made by another recipe.
    #[error(
        "checkpoint {path} was made by the recipe {found}, not by {expected}; train into another directory, or \
         remove this one"
    )]
    AnotherRecipe {
        /// The checkpoint.
        path: String,
        /// Its recipe's hash.
        found: String,
        /// This recipe's hash.
        expected: String,
    },
}

/// The checkpoints of one trial.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    directory: PathBuf,
    keep_last: usize,
}

/// A pointer to a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pointer {
    /// The newest.
    Latest,
    /// The best by validation loss.
    Best,
}

impl Pointer {
    fn file(self) -> &'static str {
        match self {
            Self::Latest => "latest",
            Self::Best => "best",
        }
    }
}

impl Checkpoints {
    /// The checkpoints in `directory`, of which the `keep_last` newest are kept and the best besides.
    pub fn new(directory: PathBuf, keep_last: usize) -> Self {
        Self { directory, keep_last }
    }

    /// Writes a checkpoint and moves the pointers to it; older ones that nothing points to are removed.
    ///
    /// # Errors
    /// Where a file cannot be written; what was there before is intact then.
    pub fn save(
        &self,
        model: &Gpt2,
        optimizer: &Optimizer,
        progress: &Progress,
        pointers: &[Pointer],
    ) -> Result<(), CheckpointError> {
        let name = format!("step-{:08}", progress.step);
        let path = self.directory.join(&name);
        let io = at(&path);
        fs::create_dir_all(&self.directory).map_err(&io)?;
        if !path.exists() {
            let temporary = tempfile::Builder::new()
                .prefix(".")
                .suffix(".tmp")
                .tempdir_in(&self.directory)
                .map_err(&io)?;
            tensors::write(
                &temporary.path().join("model.safetensors"),
                &tensors::parameters(model),
            )?;
            tensors::write(
                &temporary.path().join("optimizer.safetensors"),
                &optimizer.state(),
            )?;
            let state = serde_json::to_vec_pretty(progress)
                .map_err(io::Error::other)
                .map_err(&io)?;
            write_atomically(&temporary.path().join("state.json"), &state).map_err(&io)?;
            fs::rename(temporary.keep(), &path).map_err(&io)?;
            File::open(&self.directory)
                .and_then(|directory| directory.sync_all())
                .map_err(&io)?;
        }
        for pointer in pointers {
            write_atomically(&self.directory.join(pointer.file()), name.as_bytes()).map_err(&io)?;
        }
        self.remove_old()
    }

    /// The checkpoint that a pointer names; none where nothing was saved yet.
    pub fn find(&self, pointer: Pointer) -> Option<PathBuf> {
        let name = fs::read_to_string(self.directory.join(pointer.file())).ok()?;
        let path = self.directory.join(name);
        path.join("state.json").is_file().then_some(path)
    }

    fn remove_old(&self) -> Result<(), CheckpointError> {
        let io = at(&self.directory);
        let mut steps: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(&io)? {
            let entry = entry.map_err(&io)?;
            if entry.file_name().to_string_lossy().starts_with("step-") {
                steps.push(entry.path());
            }
        }
        steps.sort();
        steps.truncate(steps.len().saturating_sub(self.keep_last));
        let pointed = [self.find(Pointer::Latest), self.find(Pointer::Best)];
        for path in steps
            .into_iter()
            .filter(|path| !pointed.iter().flatten().any(|p| p == path))
        {
            fs::remove_dir_all(&path).map_err(at(&path))?;
        }
        Ok(())
    }
}

/// Reads the checkpoint at `path` into a model and an optimizer of `recipe`, the hash of their recipe.
///
/// # Errors
/// Where the checkpoint is damaged, or of another recipe.
pub fn load(
    path: &Path,
    recipe: &str,
    model: Gpt2,
    optimizer: &mut Optimizer,
) -> Result<(Gpt2, Progress), CheckpointError> {
    let state = path.join("state.json");
    let text = fs::read(&state).map_err(at(&state))?;
    let progress: Progress = serde_json::from_slice(&text).map_err(|source| CheckpointError::State {
        path: state.display().to_string(),
        source,
    })?;
    if progress.recipe != recipe {
        return Err(CheckpointError::AnotherRecipe {
            path: path.display().to_string(),
            found: progress.recipe,
            expected: recipe.to_owned(),
        });
    }
    let model = tensors::with_parameters(model, tensors::read(&path.join("model.safetensors"))?)?;
    optimizer.load_state(&model, tensors::read(&path.join("optimizer.safetensors"))?)?;
    Ok((model, progress))
}

fn at(path: &Path) -> impl Fn(io::Error) -> CheckpointError + use<> {
    let path = path.display().to_string();
    move |source| CheckpointError::Io {
        path: path.clone(),
        source,
    }
}
