use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use optimizers::StateError;
use sha2::{Digest, Sha256};

use super::Progress;
use crate::{change::Refusal, recipe::hash_of, tensors::TensorsError};

pub(super) const MODEL: &str = "model.safetensors";
pub(super) const OPTIMIZER: &str = "optimizer.safetensors";
pub(super) const RECIPE: &str = "recipe.toml";
pub(super) const STATE: &str = "state.json";
/// What `SHA256SUMS` vouches for.
pub(super) const FILES: [&str; 4] = [MODEL, OPTIMIZER, RECIPE, STATE];
/// As `sha256sum` writes it and `sha256sum --check` reads it.
pub(super) const SUMS: &str = "SHA256SUMS";

/// A checkpoint whose files are what was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// Its directory.
    pub path: PathBuf,
    /// Where the run stood.
    pub progress: Progress,
    /// The recipe that made it, as TOML.
    pub recipe: String,
}

/// Why a checkpoint cannot be gone on from.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// A file is not there.
    #[error("{0} is missing")]
    Missing(String),
    /// A file has no bytes.
    #[error("{0} is empty")]
    Empty(String),
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is not the one that was written.
    #[error("{path} was cut short or altered: the SHA-256 of its {bytes} bytes is not the one in SHA256SUMS")]
    Altered {
        /// The file.
        path: String,
        /// Its size.
        bytes: u64,
    },
    /// A file does not hold what it should.
    #[error("{path} is garbled: {reason}")]
    Garbled {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The parameters are not those of this model.
    #[error("{path} is not of this model: {source}")]
    Parameters {
        /// The checkpoint.
        path: String,
        /// What does not fit.
        source: TensorsError,
    },
    /// The state is not that of this optimizer.
    #[error("{path} is not of this optimizer: {source}")]
    Optimizer {
        /// The checkpoint.
        path: String,
        /// What does not fit.
        source: StateError,
    },
    /// It belongs to a run that this one does not continue.
    #[error("{path} is of another run: {source}")]
    AnotherRun {
        /// The checkpoint.
        path: String,
        /// Why it is none of this one's.
        source: Refusal,
    },
}

impl Damage {
    pub(super) fn reading(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.display().to_string();
        move |source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing(path.clone()),
            _ => Self::Unreadable {
                path: path.clone(),
                source,
            },
        }
    }

    fn garbled(path: &Path) -> impl Fn(String) -> Self + use<> {
        let path = path.display().to_string();
        move |reason| Self::Garbled {
            path: path.clone(),
            reason,
        }
    }
}

/// Reads the checkpoint in the directory `path`, every file of which must be as it was written.
///
/// # Errors
/// The first file that is not.
pub fn verify(path: &Path) -> Result<Saved, Damage> {
    let sums = read_sums(&path.join(SUMS))?;
    for file in FILES {
        let path = path.join(file);
        let (found, bytes) = sha256(&path).map_err(Damage::reading(&path))?;
        if bytes == 0 {
            return Err(Damage::Empty(path.display().to_string()));
        }
        if sums[file] != found {
            return Err(Damage::Altered {
                path: path.display().to_string(),
                bytes,
            });
        }
    }
    let state = path.join(STATE);
    let json = fs::read(&state).map_err(Damage::reading(&state))?;
    let progress: Progress =
        serde_json::from_slice(&json).map_err(|error| Damage::garbled(&state)(error.to_string()))?;
    let file = path.join(RECIPE);
    let recipe = fs::read_to_string(&file).map_err(Damage::reading(&file))?;
    if hash_of(&recipe) != progress.recipe {
        let reason = format!("state.json names the recipe {}", progress.recipe);
        return Err(Damage::garbled(&file)(reason));
    }
    Ok(Saved {
        path: path.to_owned(),
        progress,
        recipe,
    })
}

/// The text of `SHA256SUMS` for the files in a directory.
pub(super) fn sums(directory: &Path) -> Result<String, (PathBuf, io::Error)> {
    let mut text = String::new();
    for file in FILES {
        let path = directory.join(file);
        let (sum, _) = sha256(&path).map_err(|error| (path, error))?;
        text += &format!("{sum}  {file}\n");
    }
    Ok(text)
}

fn read_sums(path: &Path) -> Result<BTreeMap<String, String>, Damage> {
    let bytes = fs::read(path).map_err(Damage::reading(path))?;
    if bytes.is_empty() {
        return Err(Damage::Empty(path.display().to_string()));
    }
    let text = String::from_utf8_lossy(&bytes);
    let sums: BTreeMap<String, String> = text
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(sum, file)| (file.to_owned(), sum.to_owned()))
        .collect();
    match FILES.iter().find(|file| !sums.contains_key(**file)) {
        Some(file) => Err(Damage::garbled(path)(format!("it does not list {file}"))),
        None => Ok(sums),
    }
}

/// The SHA-256 of a file, hexadecimal, and its size.
fn sha256(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
    let digest = hasher.finalize();
    let sum = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((sum, bytes))
}
