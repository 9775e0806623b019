use std::{collections::BTreeMap, fs, io};

use training::{Status, TrialFiles};

use crate::{
    ResultsFiles, TrialId,
    process::{read_failure, read_result},
};

/// What the trials of a sweep came to so far, by the hashes of their recipes.
#[derive(Clone, Debug, Default)]
pub struct History {
    losses: BTreeMap<String, f64>,
}

impl History {
    /// Reads the results and the failures in a results directory; there are none where it is not there.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn read(files: &ResultsFiles) -> io::Result<Self> {
        let mut history = Self::default();
        let entries = match fs::read_dir(files.trials()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(history),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let trial = TrialFiles::new(entry.path());
            let loss = match read_result(&trial)? {
                Some(result) if result.status == Status::Completed => result.best_val_loss,
                Some(_) => None,
                None if read_failure(&trial)?.is_some() => None,
                None => continue,
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            let hash = name.split('-').next().unwrap_or(&name);
            history.tell(hash, loss);
        }
        Ok(history)
    }

    /// Records the lowest validation loss of a trial; none where it diverged or failed, which is worse than any loss.
    pub fn tell(&mut self, hash: &str, loss: Option<f64>) {
        let loss = loss.filter(|loss| loss.is_finite()).unwrap_or(f64::INFINITY);
        self.losses.insert(hash.to_owned(), loss);
    }

    /// The loss of a trial that has come to its end, infinite where there is none.
    pub(crate) fn loss(&self, id: &TrialId) -> Option<f64> {
        self.losses.get(id.hash()).copied()
    }
}
