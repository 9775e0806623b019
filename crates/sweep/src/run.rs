use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::Timestamp;
use rayon::ThreadPoolBuilder;
use training::{CurveRow, TrialFiles, TrialResult, config::ConfigError, records::write_atomically};

use crate::{
    CompareError, Comparison, Ending, Machine, Plan, Provenance, ResultsFiles, Trial, compare,
    process::{Launcher, read_result},
};

/// How a sweep is run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Cupel's own binary, which trains a recipe with `train`.
    pub program: PathBuf,
    /// As `--device` names it.
    pub device: String,
    /// Trials at a time; the cores are shared out among them.
    pub jobs: usize,
    /// Where it runs.
    pub machine: Machine,
    /// LibTorch's version, where it is in the build.
    pub libtorch: Option<String>,
    /// The command line, for the record.
    pub command: Vec<String>,
}

/// Hears of a sweep's progress, from several threads.
pub trait Observer: Sync {
    /// The run begins: `done` of the plan's trials have their result already.
    fn planned(&self, plan: &Plan, done: usize);
    /// A trial's process starts.
    fn started(&self, trial: &Trial);
    /// A trial has come to a new row of its curve.
    fn advanced(&self, trial: &Trial, row: &CurveRow);
    /// A trial's process has ended.
    fn ended(&self, trial: &Trial, ending: &Ending);
}

/// What a run of a sweep came to.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Trials that had their result before.
    pub skipped: usize,
    /// Trials that got their result now.
    pub finished: usize,
    /// Trials that failed now.
    pub failed: usize,
    /// Whether it was stopped before the end.
    pub stopped: bool,
    /// The comparison of what there is.
    pub comparison: Comparison,
}

/// Why a sweep could not be run.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum SweepError {
    /// Another process runs a sweep there.
    #[error("{directory} is in use by {holder}")]
    #[diagnostic(help("wait for it, or choose another directory with --out"))]
    Held {
        /// The results directory.
        directory: String,
        /// Who has it.
        holder: String,
    },
    /// A trial's directory holds another recipe than its name says.
    #[error("{0} holds another recipe than its name says")]
    #[diagnostic(help(
        "it was changed by hand, or made by another version; move it away to run the trial anew"
    ))]
    AnotherRecipe(String),
    /// A file or a process.
    #[error("{path}: {source}")]
    Io {
        /// The file, directory or program.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The workers.
    #[error("cannot start the workers: {0}")]
    Workers(#[from] rayon::ThreadPoolBuildError),
    /// The sweep file.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] ConfigError),
    /// The comparison.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Compare(#[from] CompareError),
}

/// Runs every trial of the plan that has no result yet, each in a process of its own, and compares them all.
///
/// A trial that fails is recorded and the others go on. Once `stop` is set no trial is started, and those at work save a
/// checkpoint and end. However it ends, running it again goes on from there.
///
/// # Errors
/// Where another process has the directory, a trial's directory is not what its name says, or files cannot be written.
pub fn run(
    plan: &Plan,
    files: &ResultsFiles,
    options: &RunOptions,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Summary, SweepError> {
    let directory = files.directory().display().to_string();
    let _lock = files
        .lock()
        .map_err(at(files.directory()))?
        .map_err(|holder| SweepError::Held {
            directory: directory.clone(),
            holder,
        })?;
    let trials = prepare(plan, files)?;

    let threads = (options.machine.cores / options.jobs).max(1);
    let mut provenance = Provenance::begin(options, threads);
    write(files, &provenance)?;

    let mut results: Vec<TrialResult> = Vec::new();
    let mut waiting: Vec<(&Trial, TrialFiles)> = Vec::new();
    for (trial, files) in plan.trials.iter().zip(trials) {
        match read_result(&files).map_err(at(files.directory()))? {
            Some(result) => results.push(result),
            None => waiting.push((trial, files)),
        }
    }
    let skipped = results.len();
    observer.planned(plan, skipped);

    let endings = Mutex::new(Vec::new());
    let launcher = Launcher {
        program: &options.program,
        device: &options.device,
        threads,
        stop,
    };
    let pool = ThreadPoolBuilder::new().num_threads(options.jobs).build()?;
    pool.scope_fifo(|scope| {
        for (trial, files) in &waiting {
            scope.spawn_fifo(|_| {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                observer.started(trial);
                let ending = launcher.run(files, &|row| observer.advanced(trial, row));
                if let Ok(ending) = &ending {
                    observer.ended(trial, ending);
                }
                let ending = ending.map_err(at(files.directory()));
                endings
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(ending);
            });
        }
    });

    let (mut finished, mut failed) = (0, 0);
    for ending in endings.into_inner().unwrap_or_else(PoisonError::into_inner) {
        match ending? {
            Ending::Finished(result) => {
                finished += 1;
                results.push(*result);
            }
            Ending::Failed(_) => failed += 1,
            Ending::Stopped => {}
        }
    }
    provenance.corpora = results.into_iter().map(|result| result.corpus).collect();
    provenance
        .corpora
        .sort_by(|a, b| (&a.name, &a.sha256).cmp(&(&b.name, &b.sha256)));
    provenance.corpora.dedup();
    provenance.finished = Some(Timestamp::now());
    write(files, &provenance)?;
    let comparison = compare(&[files.directory().to_owned()])?;
    Ok(Summary {
        skipped,
        finished,
        failed,
        stopped: stop.load(Ordering::Relaxed),
        comparison,
    })
}

/// Makes every trial's directory with its recipe, and writes the sweep file as run.
fn prepare(plan: &Plan, files: &ResultsFiles) -> Result<Vec<TrialFiles>, SweepError> {
    let io = at(files.directory());
    fs::create_dir_all(files.trials()).map_err(&io)?;
    let mut all = Vec::with_capacity(plan.trials.len());
    for trial in &plan.trials {
        let name = trial.id.directory_name(&files.trials()).map_err(&io)?;
        let trial_files = TrialFiles::new(files.trials().join(&name));
        let toml = trial.recipe.to_toml();
        match fs::read_to_string(trial_files.recipe()) {
            Ok(there) if there == toml => {}
            Ok(_) => {
                return Err(SweepError::AnotherRecipe(
                    trial_files.directory().display().to_string(),
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(trial_files.directory()).map_err(&io)?;
                write_atomically(&trial_files.recipe(), toml.as_bytes()).map_err(&io)?;
            }
            Err(error) => return Err(io(error)),
        }
        all.push(trial_files);
    }
    write_atomically(&files.sweep(), plan.toml.as_bytes()).map_err(&io)?;
    Ok(all)
}

fn write(files: &ResultsFiles, provenance: &Provenance) -> Result<(), SweepError> {
    let io = at(&files.provenance());
    let json = serde_json::to_vec_pretty(provenance)
        .map_err(io::Error::other)
        .map_err(&io)?;
    write_atomically(&files.provenance(), &json).map_err(&io)
}

pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> SweepError + use<> {
    let path = path.display().to_string();
    move |source| SweepError::Io {
        path: path.clone(),
        source,
    }
}
