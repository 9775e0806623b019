use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::tensor::Device;
use data::{DataError, OpenOptions, Tokenizer};
use model::Gpt2;

use crate::{
    Recipe, TrialFiles,
    checkpoint::{self, Damage},
    config::{ConfigError, Node},
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
    #[error("the checkpoint cannot be used")]
    Damage(#[from] Damage),
}

impl Trained {
    /// Opens a checkpoint: its directory, one of the pointers `best` and `latest`, or a trial's directory, which means its
    /// best.
    ///
    /// # Errors
    /// Where there is no checkpoint, or its files are damaged, or the text is gone that a vocabulary of characters comes
    /// from.
    pub fn open(path: &Path, device: &Device) -> Result<Self, TrainedError> {
        let checkpoint = find(path).ok_or_else(|| TrainedError::NoCheckpoint(path.display().to_string()))?;
        let saved = checkpoint::verify(&checkpoint)?;
        let written = checkpoint.join("recipe.toml").display().to_string();
        let recipe = Recipe::from_node(&Node::parse(&written, &saved.recipe)?)?;
        let tokenizer = Tokenizer::open(&recipe.data, &OpenOptions::from_env())?;
        let mut trainer = Trainer::new(&recipe, tokenizer.vocabulary(), device)?;
        let model = trainer.model().clone();
        let model = checkpoint::load(&saved, model, &mut trainer.optimizer)?;
        trainer.put_model(model);
        Ok(Self {
            model: trainer.evaluated_model(),
            tokenizer,
            recipe,
            step: saved.progress.step,
        })
    }
}

/// The checkpoint that a path means.
fn find(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return pointed(path);
    }
    if is_checkpoint(path) {
        return Some(path.to_owned());
    }
    let checkpoints = TrialFiles::new(path).checkpoints();
    ["best", "latest"]
        .into_iter()
        .find_map(|pointer| pointed(&checkpoints.join(pointer)))
}

/// The directory that a pointer names, which lies beside it.
fn pointed(pointer: &Path) -> Option<PathBuf> {
    let name = fs::read_to_string(pointer).ok()?;
    Some(pointer.with_file_name(name.trim())).filter(|path| is_checkpoint(path))
}

fn is_checkpoint(path: &Path) -> bool {
    path.join("state.json").is_file()
}
