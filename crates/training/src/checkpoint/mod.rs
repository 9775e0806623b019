//! Checkpoints: everything that a run needs to go on.
//!
//! ```text
//! checkpoints/step-00001000/model.safetensors      parameters
//! checkpoints/step-00001000/optimizer.safetensors  the optimizer's state
//! checkpoints/step-00001000/recipe.toml            the resolved recipe
//! checkpoints/step-00001000/state.json             Progress
//! checkpoints/step-00001000/SHA256SUMS             a checksum of each of these, written last
//! checkpoints/best                                 the name of the best by validation loss
//! checkpoints/latest                               the name of the newest, written after everything else
//! ```
//!
//! A checkpoint is written under a temporary name, synced and renamed, and never changed afterwards: where its name is
//! taken, by a damaged one or by one of the same step, it is called `step-00001000.1`. What is damaged is left as it is.

mod name;
mod pointer;
mod verify;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use model::Gpt2;
use optimizers::Optimizer;
use serde::{Deserialize, Serialize};
use tracing::warn;

use self::{
    name::Name,
    verify::{FILES, MODEL, OPTIMIZER, RECIPE, STATE, SUMS},
};
pub use self::{
    pointer::Pointer,
    verify::{Damage, Saved, verify},
};
use crate::{
    Recipe,
    change::{Change, continued},
    diagnostics::Clipped,
    spikes::Spikes,
    tensors::{self, TensorsError},
};

/// Where a checkpoint is written before it has its name; what a kill leaves there is written over.
const WRITING: &str = ".writing";
/// Where a superseded checkpoint goes before its files do, so that none is ever half removed.
const REMOVING: &str = ".removing";

/// Where a run stands. With the recipe's seed, `step` is the whole random state, and the whole state of the schedule.
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
    /// The changes of the recipe on the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// Why a checkpoint could not be written, or the checkpoints not be listed.
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
    /// A file of tensors.
    #[error("checkpoint {0}")]
    Tensors(#[from] TensorsError),
}

/// The checkpoints of one trial.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    directory: PathBuf,
    recipe: Recipe,
    /// Those that this process has written or verified: whether they are intact, and of this trial.
    known: BTreeMap<Name, bool>,
    /// What the newest of them holds, where this process has written or taken it.
    held: Option<Progress>,
}

impl Checkpoints {
    /// The checkpoints in `directory` of a trial of `recipe`, which says which of them are kept.
    pub fn new(directory: PathBuf, recipe: &Recipe) -> Self {
        Self {
            directory,
            recipe: recipe.clone(),
            known: BTreeMap::new(),
            held: None,
        }
    }

    /// Writes a checkpoint, moves the pointers to it, and removes those that it supersedes; nothing where the newest
    /// holds the same already.
    ///
    /// No more than one tensor is copied at a time.
    ///
    /// # Errors
    /// Where a file cannot be written; every checkpoint that was there before is intact then.
    pub fn save(
        &mut self,
        model: &Gpt2,
        optimizer: &Optimizer,
        progress: &Progress,
    ) -> Result<(), CheckpointError> {
        if self.held.as_ref() == Some(progress) {
            return Ok(());
        }
        fs::create_dir_all(&self.directory).map_err(at(&self.directory))?;
        let name = self.free_name(progress.step)?;
        let (writing, path) = (self.directory.join(WRITING), self.path(name));
        remove_if_there(&writing)?;
        let written = self
            .write(&writing, model, optimizer, progress)
            .and_then(|()| fs::rename(&writing, &path).map_err(at(&path)));
        if let Err(error) = written {
            // On a full disk what is half written takes the room of what comes next.
            let _ = fs::remove_dir_all(&writing);
            return Err(error);
        }
        sync(&self.directory)?;
        self.known.insert(name, true);
        if progress.best_step == Some(progress.step) {
            self.point(Pointer::Best, name)?;
        }
        self.point(Pointer::Latest, name)?;
        self.held = Some(progress.clone());
        self.remove_superseded(progress)
    }

    fn write(
        &self,
        directory: &Path,
        model: &Gpt2,
        optimizer: &Optimizer,
        progress: &Progress,
    ) -> Result<(), CheckpointError> {
        fs::create_dir(directory).map_err(at(directory))?;
        tensors::write_lazily(&directory.join(MODEL), tensors::lazy_parameters(model))?;
        tensors::write_lazily(&directory.join(OPTIMIZER), tensors::lazy_state(optimizer))?;
        write_synced(&directory.join(RECIPE), self.recipe.to_toml().as_bytes())?;
        let state = serde_json::to_vec_pretty(progress)
            .map_err(io::Error::other)
            .map_err(at(&directory.join(STATE)))?;
        write_synced(&directory.join(STATE), &state)?;
        let sums = verify::sums(directory).map_err(|(path, error)| at(&path)(error))?;
        write_synced(&directory.join(SUMS), sums.as_bytes())?;
        sync(directory)
    }

    /// What `take` makes of the newest checkpoint that is intact, is of this trial, and that it can make something of;
    /// none where there is none. The damage of newer ones is logged, and `latest` and `best` are put right.
    ///
    /// # Errors
    /// Where the directory cannot be read, or a pointer not be written.
    pub fn newest<T>(
        &mut self,
        mut take: impl FnMut(&Saved) -> Result<T, Damage>,
    ) -> Result<Option<T>, CheckpointError> {
        let names = self.names()?;
        for name in &names {
            match self.open(*name).and_then(|saved| Ok((take(&saved)?, saved))) {
                Ok((taken, saved)) => {
                    self.mend(Pointer::Latest, Some(*name))?;
                    let best = self.at_step(&names, saved.progress.best_step);
                    self.mend(Pointer::Best, best)?;
                    self.held = Some(saved.progress);
                    return Ok(Some(taken));
                }
                Err(damage) => {
                    self.known.insert(*name, false);
                    warn!("checkpoint {name} is passed over, and left as it is: {damage}");
                }
            }
        }
        Ok(None)
    }

    /// The step of the newest checkpoint, damaged or not.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn newest_step(&self) -> Result<Option<u64>, CheckpointError> {
        Ok(self.names()?.first().map(|name| name.step))
    }

    /// The directory of the checkpoint that a pointer names; none where nothing was saved yet.
    pub fn find(&self, pointer: Pointer) -> Option<PathBuf> {
        let path = self.path(pointer.read(&self.directory).ok()?);
        path.is_dir().then_some(path)
    }

    /// The newest intact checkpoint of a step, of those called `names`.
    fn at_step(&mut self, names: &[Name], step: Option<u64>) -> Option<Name> {
        let mut of_step = names.iter().copied().filter(|name| Some(name.step) == step);
        of_step.find(|name| self.is_intact(*name))
    }

    /// Has a pointer name what it should, and says so where that was not the work of a kill between two writes.
    fn mend(&self, pointer: Pointer, name: Option<Name>) -> Result<(), CheckpointError> {
        let Some(name) = name else { return Ok(()) };
        match pointer.read(&self.directory) {
            Ok(found) if found == name => return Ok(()),
            Ok(_) => {}
            Err(damage) => warn!("{damage}; it names {name} again"),
        }
        self.point(pointer, name)
    }

    fn point(&self, pointer: Pointer, name: Name) -> Result<(), CheckpointError> {
        let path = self.directory.join(pointer.file());
        pointer.write(&self.directory, name).map_err(at(&path))
    }

    fn path(&self, name: Name) -> PathBuf {
        self.directory.join(name.to_string())
    }

    fn free_name(&self, step: u64) -> Result<Name, CheckpointError> {
        let mut name = Name::first(step);
        while self.path(name).try_exists().map_err(at(&self.path(name)))? {
            name = name.next();
        }
        Ok(name)
    }

    /// What has the name of a checkpoint, newest first.
    fn names(&self) -> Result<Vec<Name>, CheckpointError> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(at(&self.directory))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(at(&self.directory))?;
            names.extend(entry.file_name().to_string_lossy().parse::<Name>());
        }
        names.sort_by(|a, b| b.cmp(a));
        Ok(names)
    }

    fn open(&self, name: Name) -> Result<Saved, Damage> {
        let saved = verify(&self.path(name))?;
        continued(&saved.recipe, &self.recipe, saved.progress.step).map_err(|source| Damage::AnotherRun {
            path: saved.path.display().to_string(),
            source,
        })?;
        Ok(saved)
    }

    fn is_intact(&mut self, name: Name) -> bool {
        if let Some(intact) = self.known.get(&name) {
            return *intact;
        }
        let intact = self.open(name).is_ok();
        self.known.insert(name, intact);
        intact
    }

    /// Removes what is intact and neither among the newest, nor for ever, nor the best; nothing where it cannot be read
    /// which is the best.
    fn remove_superseded(&mut self, progress: &Progress) -> Result<(), CheckpointError> {
        let best = Pointer::Best.read(&self.directory).ok();
        if best.is_none() && progress.best_step.is_some() {
            return Ok(());
        }
        let training = &self.recipe.training;
        let (keep_last, keep_every) = (training.keep_last, training.keep_every);
        let mut newest = 0;
        for name in self.names()? {
            if newest < keep_last {
                newest += usize::from(self.is_intact(name));
                continue;
            }
            let kept = best == Some(name) || keep_every.is_some_and(|every| name.step.is_multiple_of(every));
            if !kept && self.is_intact(name) && only_ours(&self.path(name))? {
                self.remove(name)?;
            }
        }
        Ok(())
    }

    fn remove(&mut self, name: Name) -> Result<(), CheckpointError> {
        let (path, removing) = (self.path(name), self.directory.join(REMOVING));
        remove_if_there(&removing)?;
        fs::rename(&path, &removing).map_err(at(&path))?;
        self.known.remove(&name);
        remove_if_there(&removing)
    }
}

/// Reads a checkpoint into a model and an optimizer, which is left as it was where that fails.
///
/// # Errors
/// Where the checkpoint is not of that model or that optimizer.
pub fn load(saved: &Saved, model: Gpt2, optimizer: &mut Optimizer) -> Result<Gpt2, Damage> {
    let path = || saved.path.display().to_string();
    let parameters = |source| Damage::Parameters { path: path(), source };
    let read = |file: &str| tensors::read(&saved.path.join(file)).map_err(parameters);
    let model = tensors::with_parameters(model, read(MODEL)?).map_err(parameters)?;
    optimizer
        .load_state(&model, read(OPTIMIZER)?)
        .map_err(|source| Damage::Optimizer { path: path(), source })?;
    Ok(model)
}

/// Whether a directory holds the files of a checkpoint and nothing that somebody put there.
fn only_ours(path: &Path) -> Result<bool, CheckpointError> {
    for entry in fs::read_dir(path).map_err(at(path))? {
        let name = entry.map_err(at(path))?.file_name();
        let name = name.to_string_lossy();
        if name != SUMS && !FILES.contains(&name.as_ref()) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn write_synced(path: &Path, contents: &[u8]) -> Result<(), CheckpointError> {
    let write = || {
        let mut file = File::create_new(path)?;
        file.write_all(contents)?;
        file.sync_all()
    };
    write().map_err(at(path))
}

fn sync(directory: &Path) -> Result<(), CheckpointError> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(at(directory))
}

fn remove_if_there(directory: &Path) -> Result<(), CheckpointError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(directory)(error)),
        _ => Ok(()),
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> CheckpointError + use<> {
    let path = path.display().to_string();
    move |source| CheckpointError::Io {
        path: path.clone(),
        source,
    }
}
