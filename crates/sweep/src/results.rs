use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;

/// The paths of a results directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultsFiles {
    directory: PathBuf,
}

impl ResultsFiles {
    /// The files of the sweep in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// The directory itself.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The sweep file as run.
    pub fn sweep(&self) -> PathBuf {
        self.directory.join("sweep.toml")
    }

    /// The trials' directories.
    pub fn trials(&self) -> PathBuf {
        self.directory.join("trials")
    }

    /// One row a trial.
    pub fn trials_csv(&self) -> PathBuf {
        self.directory.join("trials.csv")
    }

    /// The curves of all trials.
    pub fn curves_csv(&self) -> PathBuf {
        self.directory.join("curves.csv")
    }

    /// One row a configuration.
    pub fn comparison_csv(&self) -> PathBuf {
        self.directory.join("comparison.csv")
    }

    /// What each key does: one row a level.
    pub fn effects_csv(&self) -> PathBuf {
        self.directory.join("effects.csv")
    }

    /// What each configuration spent to reach a target loss.
    pub fn target_csv(&self) -> PathBuf {
        self.directory.join("target.csv")
    }

    /// What ran, where, and on what.
    pub fn provenance(&self) -> PathBuf {
        self.directory.join("provenance.json")
    }

    /// Takes the directory for this process, until the file is dropped.
    ///
    /// # Errors
    /// `Ok(Err(holder))` where another process has it; an error where the lock cannot be written.
    pub(crate) fn lock(&self) -> io::Result<Result<File, String>> {
        fs::create_dir_all(&self.directory)?;
        let path = self.directory.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                let host = sysinfo::System::host_name().unwrap_or_else(|_| "this machine".to_owned());
                write!(
                    file,
                    "process {} on {host} since {}",
                    std::process::id(),
                    Timestamp::now()
                )?;
                file.flush()?;
                Ok(Ok(file))
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.rewind()?;
                file.read_to_string(&mut holder)?;
                Ok(Err(holder))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
