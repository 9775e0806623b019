use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::tensor::Device;
use data::{DataError, OpenOptions, Tokenizer};
use model::Gpt2;

use crate::{
    Recipe, TrialFiles,
    checkpoint::{self, CheckpointError, Checkpoints, Pointer},
    config::ConfigError,
    trainer::{Trainer, TrainerError},
};

/// A trained model, and what it reads and writes with.
#[derive(Debug)]
pub struct Trained {
    /// The model with the weights that evaluation uses: an optimizer's averaged ones, where it has such.
    pub model: Gpt2,
    /// From text to tokens and back.
    pub tokenizer: Tokenizer,
    /// How it was trained.
    pub recipe: Recipe,
    /// Updates made.
    pub step: u64,
}

/// Why there is no trained model.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum TrainedError {
    /// There is no checkpoint.
    #[error("there is no checkpoint in {0}")]
    #[diagnostic(help(
        "name a checkpoint, such as results/x/checkpoints/best, or the directory of a trial that has one"
    ))]
    NoCheckpoint(String),
    /// There is no recipe.
    #[error("there is no recipe.toml in the checkpoint {0}, nor in the directory of a trial around it")]
    #[diagnostic(help(
        "leave checkpoints in the directory of their trial, or put its recipe.toml into them"
    ))]
    NoRecipe(String),
    /// The recipe.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] ConfigError),
    /// The text that the vocabulary comes from.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// The checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl Trained {
    /// Opens a checkpoint: its directory, one of the pointers `best` and `latest`, or a trial's directory, which means its
    /// best. The recipe is that of the checkpoint, or else of the trial that it lies in.
    ///
    /// # Errors
    /// Where there is no checkpoint, or no recipe to it, or its files are damaged, or the text is gone that a vocabulary of
    /// characters comes from.
    pub fn open(path: &Path, device: &Device) -> Result<Self, TrainedError> {
        let checkpoint = find(path).ok_or_else(|| TrainedError::NoCheckpoint(path.display().to_string()))?;
        let recipe = Recipe::read(&recipe_of(&checkpoint)?, &[])?;
        let tokenizer = Tokenizer::open(&recipe.data, &OpenOptions::from_env())?;
        let mut trainer = Trainer::new(&recipe, tokenizer.vocabulary(), device)?;
        let model = trainer.take_model();
        let (model, progress) = checkpoint::load(&checkpoint, &recipe.hash(), model, &mut trainer.optimizer)?;
        trainer.put_model(model);
        Ok(Self {
            model: trainer.evaluated_model(),
            tokenizer,
            recipe,
            step: progress.step,
        })
    }
}

/// The checkpoint that a path means.
fn find(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        // A pointer holds the name of a directory beside it.
        let name = fs::read_to_string(path).ok()?;
        return Some(path.with_file_name(name.trim())).filter(|path| is_checkpoint(path));
    }
    if is_checkpoint(path) {
        return Some(path.to_owned());
    }
    let checkpoints = Checkpoints::new(TrialFiles::new(path).checkpoints(), 1);
    [Pointer::Best, Pointer::Latest]
        .into_iter()
        .find_map(|pointer| checkpoints.find(pointer))
}

fn is_checkpoint(path: &Path) -> bool {
    path.join("state.json").is_file()
}

fn recipe_of(checkpoint: &Path) -> Result<PathBuf, TrainedError> {
    // `.` has no parents by its name.
    let absolute = fs::canonicalize(checkpoint).unwrap_or_else(|_| checkpoint.to_owned());
    let trial = absolute.ancestors().nth(2);
    [Some(absolute.as_path()), trial]
        .into_iter()
        .flatten()
        .map(|directory| TrialFiles::new(directory).recipe())
        .find(|recipe| recipe.is_file())
        .ok_or_else(|| TrainedError::NoRecipe(checkpoint.display().to_string()))
}
