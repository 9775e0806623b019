use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use training::{Recipe, Status, TrialFiles, TrialResult, config::Node};

use crate::{
    CompareError, Failure, Plan, ResultsFiles, SweepFile, TrialRow, TrialStatus,
    configuration::{Configuration, configuration},
    process::{read_failure, read_result},
};

/// A results directory as it lies on disk.
pub(crate) struct Results {
    pub files: ResultsFiles,
    /// The plan of the sweep that was run there; none where the directory is no sweep's.
    pub plan: Option<Plan>,
    /// At least one.
    pub trials: Vec<Found>,
}

/// A trial as it lies on disk.
pub(crate) struct Found {
    pub name: String,
    pub files: TrialFiles,
    pub configuration: Configuration,
    pub seed: u64,
    pub result: Option<TrialResult>,
    pub failure: Option<Failure>,
}

impl Results {
    /// The trials that a directory's sweep plans, or those that lie there where it has no sweep.
    pub fn read(directory: &Path) -> Result<Self, CompareError> {
        let files = ResultsFiles::new(directory);
        if !files.sweep().is_file() {
            return Self::scan(directory);
        }
        let file = SweepFile::read(&files.sweep(), &[])?;
        let plan = Plan::of_results(&file, &files).map_err(CompareError::at(&files.trials()))??;
        let trials = planned(&plan, &files)?;
        Self::of(files, Some(plan), trials)
    }

    /// Every trial that lies in a directory, whatever a plan says: ids change as recipes get new keys, and what was trained stays.
    pub fn scan(directory: &Path) -> Result<Self, CompareError> {
        let mut candidates = vec![directory.to_owned()];
        if let Ok(entries) = fs::read_dir(directory.join("trials")) {
            candidates.extend(entries.flatten().map(|entry| entry.path()));
        }
        candidates.sort();
        let trials: Result<Vec<Option<Found>>, CompareError> = candidates.par_iter().map(unplanned).collect();
        let trials = trials?.into_iter().flatten().collect();
        Self::of(ResultsFiles::new(directory), None, trials)
    }

    fn of(files: ResultsFiles, plan: Option<Plan>, trials: Vec<Found>) -> Result<Self, CompareError> {
        if trials.is_empty() {
            return Err(CompareError::NoTrials(files.directory().display().to_string()));
        }
        Ok(Self { files, plan, trials })
    }

    /// The directory's own name.
    pub fn name(&self) -> String {
        let directory = self.files.directory();
        let whole = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
        whole
            .file_name()
            .unwrap_or(whole.as_os_str())
            .to_string_lossy()
            .into_owned()
    }
}

fn planned(plan: &Plan, files: &ResultsFiles) -> Result<Vec<Found>, CompareError> {
    let directory = files.trials();
    // Read once: looking through all of them for each of them would take minutes where there are ten thousand.
    let names = names_by_hash(&directory).map_err(CompareError::at(&directory))?;
    plan.trials
        .par_iter()
        .map(|trial| {
            let there = names.get(trial.id.hash()).cloned();
            let name = there.unwrap_or_else(|| trial.id.to_string());
            let files = TrialFiles::new(directory.join(&name));
            Found::read(name, files, &trial.recipe)
        })
        .collect()
}

/// What each trial's directory is called, by the hash that its name begins with.
fn names_by_hash(directory: &Path) -> io::Result<HashMap<String, String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(error),
    };
    entries
        .map(|entry| {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let hash = name.split('-').next().unwrap_or(&name).to_owned();
            Ok((hash, name))
        })
        .collect()
}

fn unplanned(path: &PathBuf) -> Result<Option<Found>, CompareError> {
    let files = TrialFiles::new(path);
    if !files.recipe().is_file() {
        return Ok(None);
    }
    let name = path.file_name().unwrap_or(path.as_os_str());
    let name = name.to_string_lossy().into_owned();
    let recipe = Recipe::read(&files.recipe(), &[] as &[Node])?;
    Found::read(name, files, &recipe).map(Some)
}

impl Found {
    fn read(name: String, files: TrialFiles, recipe: &Recipe) -> Result<Self, CompareError> {
        let io = CompareError::at(files.directory());
        Ok(Self {
            result: read_result(&files).map_err(&io)?,
            failure: read_failure(&files).map_err(&io)?,
            configuration: configuration(recipe),
            seed: recipe.training.seed,
            name,
            files,
        })
    }

    pub fn status(&self) -> TrialStatus {
        match (&self.result, &self.failure) {
            (Some(result), _) if result.status == Status::Diverged => TrialStatus::Diverged,
            (Some(_), _) => TrialStatus::Completed,
            (None, Some(_)) => TrialStatus::Failed,
            (None, None) => TrialStatus::Pending,
        }
    }

    pub fn device(&self) -> Option<String> {
        self.result.as_ref().map(|result| result.device.clone())
    }

    /// The lowest validation loss of a trial that made all its steps: what comparisons are of.
    pub fn val_loss(&self) -> Option<f64> {
        let completed = self.status() == TrialStatus::Completed;
        self.result
            .as_ref()
            .filter(|_| completed)
            .and_then(|result| result.best_val_loss)
    }

    pub fn row(&self) -> TrialRow {
        let result = self.result.as_ref();
        TrialRow {
            seed: self.seed,
            status: self.status(),
            best_val_loss: result.and_then(|r| r.best_val_loss),
            best_step: result.and_then(|r| r.best_step),
            last_val_loss: result.and_then(|r| r.last_val_loss),
            perplexity: result.and_then(|r| r.perplexity),
            train_loss: result.and_then(|r| r.train_loss),
            tokens: result.map(|r| r.tokens),
            steps: result.map(|r| r.steps),
            seconds: result.map(|r| r.seconds),
            tokens_per_second: result.map(|r| r.tokens_per_second),
            parameters: result.map(|r| r.parameters),
            device: self.device(),
            version: result.map(|r| r.version.clone()),
        }
    }
}
