use std::{
    cmp::Ordering,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;
use training::{
    Recipe, Status, TrialFiles, TrialResult,
    config::{ConfigError, Node},
    read_curve,
    records::write_atomically,
};

use crate::{
    ComparisonRow, Failure, Plan, ResultsFiles, SweepFile, TrialRow, TrialStatus,
    configuration::{Configuration, compare_values, configuration, varied_keys},
    process::{read_failure, read_result},
};

/// Configurations side by side, best first.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The columns: the varied keys, then the fields of [`ComparisonRow`].
    pub columns: Vec<String>,
    /// A configuration each: its cells as `comparison.csv` has them.
    pub rows: Vec<Vec<String>>,
    /// The loss that knowing the tokens' frequencies is worth, where it is the same for all trials.
    pub unigram_entropy: Option<f64>,
}

/// Why trials could not be compared.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum CompareError {
    /// There is nothing to compare.
    #[error("{0} holds no trials")]
    #[diagnostic(help(
        "name a results directory, such as results/quickstart, or the directory of one trial"
    ))]
    NoTrials(String),
    /// No such column.
    #[error("there is no column `{column}` to sort by")]
    #[diagnostic(help("the columns are {columns}"))]
    NoSuchColumn {
        /// What was asked for.
        column: String,
        /// What there is.
        columns: String,
    },
    /// A file.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A sweep file or a recipe.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] ConfigError),
}

/// A trial as it lies on disk.
struct Found {
    name: String,
    files: TrialFiles,
    configuration: Configuration,
    seed: u64,
    result: Option<TrialResult>,
    failure: Option<Failure>,
}

/// Rebuilds the CSVs of each results directory from its trials, and compares the trials of all of them.
///
/// # Errors
/// Where a directory holds no trials, or a file of it cannot be read or written.
pub fn compare(directories: &[PathBuf]) -> Result<Comparison, CompareError> {
    let mut all: Vec<Found> = Vec::new();
    let mut plans: Vec<Plan> = Vec::new();
    for directory in directories {
        let files = ResultsFiles::new(directory);
        let plan = plan(&files)?;
        let found = match &plan {
            Some(plan) => planned(plan, &files)?,
            None => unplanned(directory)?,
        };
        if found.is_empty() {
            return Err(CompareError::NoTrials(directory.display().to_string()));
        }
        if directories.len() > 1 && plan.is_some() {
            compare(std::slice::from_ref(directory))?;
        }
        plans.extend(plan);
        all.extend(found);
    }
    let keys = match (&plans[..], directories) {
        ([plan], [_]) => plan.axes.clone(),
        _ => varied_keys(all.iter().map(|found| &found.configuration)),
    };
    let base = plans
        .first()
        .map(|plan| &plan.base)
        .unwrap_or(&all[0].configuration);
    let comparison = Comparison::new(&keys, &all, base);
    if let ([directory], [_]) = (directories, &plans[..]) {
        let files = ResultsFiles::new(directory);
        write_csv(&files.trials_csv(), &trials_csv(&keys, &all))?;
        write_csv(&files.curves_csv(), &curves_csv(&all)?)?;
        let header = [comparison.columns.clone()];
        write_csv(&files.comparison_csv(), &[&header[..], &comparison.rows].concat())?;
    }
    Ok(comparison)
}

/// The plan of the sweep that was run there; none where the directory is no sweep's.
fn plan(files: &ResultsFiles) -> Result<Option<Plan>, CompareError> {
    if !files.sweep().is_file() {
        return Ok(None);
    }
    let file = SweepFile::read(&files.sweep(), &[])?;
    Ok(Some(
        Plan::of_results(&file, files).map_err(at(&files.trials()))??,
    ))
}

fn planned(plan: &Plan, files: &ResultsFiles) -> Result<Vec<Found>, CompareError> {
    let trials = files.trials();
    plan.trials
        .iter()
        .map(|trial| {
            let name = trial.id.directory_name(&trials).map_err(at(&trials))?;
            found(name.clone(), TrialFiles::new(trials.join(name)), &trial.recipe)
        })
        .collect()
}

/// A directory that is one trial's, or holds trials that no sweep file speaks of.
fn unplanned(directory: &Path) -> Result<Vec<Found>, CompareError> {
    let mut candidates = vec![directory.to_owned()];
    if let Ok(entries) = fs::read_dir(directory.join("trials")) {
        candidates.extend(entries.flatten().map(|entry| entry.path()));
    }
    candidates.sort();
    let mut all = Vec::new();
    for path in candidates {
        let files = TrialFiles::new(&path);
        if files.recipe().is_file() {
            let name = path
                .file_name()
                .unwrap_or(path.as_os_str())
                .to_string_lossy()
                .into_owned();
            let recipe = Recipe::read(&files.recipe(), &[] as &[Node])?;
            all.push(found(name, files, &recipe)?);
        }
    }
    Ok(all)
}

fn found(name: String, files: TrialFiles, recipe: &Recipe) -> Result<Found, CompareError> {
    let io = at(files.directory());
    Ok(Found {
        result: read_result(&files).map_err(&io)?,
        failure: read_failure(&files).map_err(&io)?,
        configuration: configuration(recipe),
        seed: recipe.training.seed,
        name,
        files,
    })
}

impl Found {
    fn status(&self) -> TrialStatus {
        match (&self.result, &self.failure) {
            (Some(result), _) if result.status == Status::Diverged => TrialStatus::Diverged,
            (Some(_), _) => TrialStatus::Completed,
            (None, Some(_)) => TrialStatus::Failed,
            (None, None) => TrialStatus::Pending,
        }
    }

    fn row(&self) -> TrialRow {
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

    fn device(&self) -> Option<String> {
        self.result.as_ref().map(|result| result.device.clone())
    }
}

impl Comparison {
    fn new(keys: &[String], all: &[Found], base: &Configuration) -> Self {
        let mut groups: Vec<(&Configuration, Option<String>, Vec<&Found>)> = Vec::new();
        for found in all {
            // What has no result has no device either, and belongs to the configuration wherever it ran.
            let device = found.device();
            let group = groups.iter_mut().find(|(configuration, other, _)| {
                **configuration == found.configuration
                    && (device.is_none() || other.is_none() || *other == device)
            });
            match group {
                Some((_, known, members)) => {
                    *known = known.take().or(device);
                    members.push(found);
                }
                None => groups.push((&found.configuration, device, vec![found])),
            }
        }
        let mut rows: Vec<(&Configuration, ComparisonRow)> = groups
            .iter()
            .map(|(configuration, device, members)| (*configuration, summarise(device.clone(), members)))
            .collect();
        compare_with_base(&mut rows, base);
        rank(&mut rows);

        let columns = rows.first().map(|(_, row)| fields(row).0).unwrap_or_default();
        let mut entropies = all
            .iter()
            .filter_map(|found| Some(found.result.as_ref()?.unigram_entropy));
        let first = entropies.next();
        Self {
            columns: keys.iter().cloned().chain(columns).collect(),
            rows: rows
                .iter()
                .map(|(configuration, row)| cells(keys, configuration, row))
                .collect(),
            unigram_entropy: first.filter(|first| entropies.all(|other| other == *first)),
        }
    }

    /// Sorts the rows by a column: numbers by size, an empty cell last.
    ///
    /// # Errors
    /// Where there is no such column.
    pub fn sort_by(&mut self, column: &str) -> Result<(), CompareError> {
        let index = self
            .columns
            .iter()
            .position(|name| name == column)
            .ok_or_else(|| CompareError::NoSuchColumn {
                column: column.to_owned(),
                columns: self.columns.join(", "),
            })?;
        self.rows
            .sort_by(|a, b| match (a[index].is_empty(), b[index].is_empty()) {
                (false, false) => compare_values(&a[index], &b[index]),
                (a, b) => a.cmp(&b),
            });
        Ok(())
    }
}

fn summarise(device: Option<String>, members: &[&Found]) -> ComparisonRow {
    let count = |status| members.iter().filter(|found| found.status() == status).count();
    let losses: Vec<f64> = members
        .iter()
        .filter(|found| found.status() == TrialStatus::Completed)
        .filter_map(|found| found.result.as_ref()?.best_val_loss)
        .collect();
    let n = losses.len() as f64;
    let mean = (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / n);
    let deviation = mean
        .filter(|_| losses.len() > 1)
        .map(|mean| (losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt());
    ComparisonRow {
        device,
        n: losses.len(),
        diverged: count(TrialStatus::Diverged),
        failed: count(TrialStatus::Failed),
        pending: count(TrialStatus::Pending),
        val_loss: mean,
        val_loss_sd: deviation,
        perplexity: mean.map(f64::exp),
        difference: None,
        rank: 0,
    }
}

fn compare_with_base(rows: &mut [(&Configuration, ComparisonRow)], base: &Configuration) {
    let bases: Vec<(Option<String>, Option<f64>)> = rows
        .iter()
        .filter(|(configuration, _)| *configuration == base)
        .map(|(_, row)| (row.device.clone(), row.val_loss))
        .collect();
    for (_, row) in rows {
        let base = bases
            .iter()
            .find(|(device, _)| *device == row.device)
            .and_then(|(_, loss)| *loss);
        row.difference = row.val_loss.zip(base).map(|(loss, base)| loss - base);
    }
}

fn rank(rows: &mut [(&Configuration, ComparisonRow)]) {
    rows.sort_by(|(_, a), (_, b)| {
        let loss = |row: &ComparisonRow| row.val_loss.unwrap_or(f64::INFINITY);
        a.diverged
            .cmp(&b.diverged)
            .then_with(|| loss(a).total_cmp(&loss(b)))
            .then(Ordering::Equal)
    });
    for ((_, row), rank) in rows.iter_mut().zip(1..) {
        row.rank = rank;
    }
}

fn cells(keys: &[String], configuration: &Configuration, row: &impl Serialize) -> Vec<String> {
    let varied = keys
        .iter()
        .map(|key| configuration.get(key).cloned().unwrap_or_default());
    varied.chain(fields(row).1).collect()
}

/// The names and the values of a record, as CSV writes them.
fn fields(record: &impl Serialize) -> (Vec<String>, Vec<String>) {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing a flat record to memory cannot fail.
    let _ = writer.serialize(record);
    let bytes = writer.into_inner().unwrap_or_default();
    let mut rows = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(&bytes[..])
        .into_records();
    let mut next = || -> Vec<String> {
        rows.next()
            .and_then(Result::ok)
            .map(|row| row.iter().map(str::to_owned).collect())
            .unwrap_or_default()
    };
    (next(), next())
}

fn trials_csv(keys: &[String], all: &[Found]) -> Vec<Vec<String>> {
    let named = |name: &str, rest: Vec<String>| [vec![name.to_owned()], rest].concat();
    let header = all
        .first()
        .map(|found| named("trial", [keys, &fields(&found.row()).0].concat()));
    let rows = all
        .iter()
        .map(|found| named(&found.name, cells(keys, &found.configuration, &found.row())));
    header.into_iter().chain(rows).collect()
}

fn curves_csv(all: &[Found]) -> Result<Vec<Vec<String>>, CompareError> {
    let header = [
        "trial",
        "step",
        "tokens",
        "lr",
        "train_loss",
        "val_loss",
        "grad_norm",
        "tokens_per_second",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for found in all {
        for row in read_curve(&found.files.curve()).map_err(at(&found.files.curve()))? {
            rows.push([vec![found.name.clone()], fields(&row).1].concat());
        }
    }
    Ok(rows)
}

fn write_csv(path: &Path, rows: &[Vec<String>]) -> Result<(), CompareError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer
            .write_record(row)
            .map_err(io::Error::from)
            .map_err(at(path))?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| error.into_error())
        .map_err(at(path))?;
    write_atomically(path, &bytes).map_err(at(path))
}

fn at(path: &Path) -> impl Fn(io::Error) -> CompareError + use<> {
    let path = path.display().to_string();
    move |source| CompareError::Io {
        path: path.clone(),
        source,
    }
}
