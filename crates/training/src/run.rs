//! One trial, from its first step to its result: the loop of the chapter.

use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use burn::tensor::Device;
use data::Dataset;
use jiff::Timestamp;
use tracing::info;

use crate::{
    CurveRow, Recipe, Status, TrialFiles, TrialResult, VERSION,
    change::Refusal,
    checkpoint::{CheckpointError, Checkpoints, Progress},
    curve::Curve,
    device::{DeviceError, DeviceName},
    records::{CorpusRecord, write_atomically},
    resume::{claim, restore},
    speed::{Peak, Speed, StepTimes, peak_memory},
    trainer::{Step, Trainer, TrainerError},
    watch::Watch,
};

/// How a run of a trial ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The trial is over; the same is in `result.json`.
    Finished(Box<TrialResult>),
    /// It was asked to stop, and has saved a checkpoint from which the next run goes on.
    Interrupted {
        /// Updates made.
        step: u64,
    },
    /// Another process is training in this directory.
    Held,
}

/// Why a trial could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The text.
    #[error(transparent)]
    Data(#[from] data::DataError),
    /// The training.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// A checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A file of the trial's directory.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The directory belongs to another recipe.
    #[error(
        "the trial in {directory} does not go on under this recipe: {refusal}\ntrain into another directory, or remove that one"
    )]
    AnotherRecipe {
        /// The directory.
        directory: String,
        /// How the recipes differ.
        refusal: Refusal,
    },
}

/// Trains `recipe` on `device` into its directory, going on from the newest checkpoint there.
///
/// `stop` is looked at before every step; where it is set, the run saves a checkpoint and ends.
///
/// # Errors
/// Where device, text or files are at fault. A run that diverges is no error but a result.
pub fn run(
    recipe: &Recipe,
    device: DeviceName,
    files: &TrialFiles,
    stop: &AtomicBool,
) -> Result<Outcome, RunError> {
    let started = Timestamp::now();
    fs::create_dir_all(files.directory()).map_err(at(files.directory()))?;
    let Some(_lock) = lock(files)? else {
        return Ok(Outcome::Held);
    };
    claim(recipe, files)?;

    let dataset = recipe.open_text()?;
    let opened = device.open()?;
    let mut trainer = Trainer::new(recipe, dataset.vocabulary(), &opened)?;
    let mut checkpoints = Checkpoints::new(files.checkpoints(), recipe);
    let restored = restore(&mut checkpoints, recipe, &mut trainer)?;
    let progress = restored.unwrap_or_else(|| Progress {
        seed: recipe.training.seed,
        recipe: recipe.hash(),
        ..Progress::default()
    });
    describe(recipe, device, &dataset, &trainer);

    let mut curve = Curve::open(&files.curve(), progress.step).map_err(at(&files.curve()))?;
    let mut run = Run {
        recipe,
        dataset: &dataset,
        trainer,
        checkpoints,
        watch: Watch::open(recipe, files, progress.step)?,
        progress,
        curve: &mut curve,
        files,
        device: opened,
        times: StepTimes::default(),
        peak: None,
    };
    let ending = device.attend(|| run.train(stop))?;
    let status = match ending {
        Ending::Stopped => {
            return Ok(Outcome::Interrupted {
                step: run.progress.step,
            });
        }
        Ending::Completed => Status::Completed,
        Ending::Diverged => Status::Diverged,
    };
    device.attend(|| run.measure_peak());
    let result = run.result(status, device, started);
    let json = serde_json::to_vec_pretty(&result)
        .map_err(io::Error::other)
        .map_err(at(&files.result()))?;
    write_atomically(&files.result(), &json).map_err(at(&files.result()))?;
    Ok(Outcome::Finished(Box::new(result)))
}

/// Seconds of training after which measuring the device's peak costs a run little; a shorter one does it at its end.
const LONG: f64 = 5.0;

/// A run under way.
struct Run<'a> {
    recipe: &'a Recipe,
    dataset: &'a Dataset,
    trainer: Trainer,
    checkpoints: Checkpoints,
    watch: Watch,
    progress: Progress,
    curve: &'a mut Curve,
    files: &'a TrialFiles,
    device: Device,
    /// Of every step of this run.
    times: StepTimes,
    /// The device's fastest product, once it is known.
    peak: Option<Peak>,
}

enum Ending {
    Completed,
    Diverged,
    Stopped,
}

impl Run<'_> {
    fn train(&mut self, stop: &AtomicBool) -> Result<Ending, RunError> {
        let training = &self.recipe.training;
        let mut since_row = StepTimes::default();
        loop {
            let step = self.progress.step;
            let last = step >= training.steps;

            if stop.load(Ordering::Relaxed) {
                self.save()?;
                info!("stopped before step {step}; the same command goes on from here");
                return Ok(Ending::Stopped);
            }

            let val_loss = if step.is_multiple_of(training.eval_every) || last {
                Some(self.evaluate()?)
            } else {
                None
            };
            if let Some(loss) = val_loss.filter(|loss| !loss.is_finite()) {
                self.record(None, val_loss, &since_row)?;
                self.watch
                    .diverged_in_evaluation(&self.trainer, self.dataset, step, loss)?;
                return Ok(Ending::Diverged);
            }
            let best = val_loss.is_some() && self.progress.best_step == Some(step);
            if best || (step > 0 && step.is_multiple_of(training.checkpoint_every)) || last {
                self.save()?;
            }
            if last {
                self.record(None, val_loss, &since_row)?;
                return Ok(Ending::Completed);
            }

            let clock = Instant::now();
            let now = self
                .watch
                .step(&mut self.trainer, self.dataset, &mut self.progress)?;
            let seconds = clock.elapsed().as_secs_f64();
            since_row.add(seconds);
            self.times.add(seconds);
            self.progress.seconds += seconds;
            self.progress.train_loss = finite(now.loss);

            if val_loss.is_some() || step.is_multiple_of(training.log_every) || !now.is_finite() {
                self.record(Some(now), val_loss, &since_row)?;
                since_row = StepTimes::default();
                if self.peak.is_none() && self.times.total() > LONG {
                    self.measure_peak();
                }
            }
            if !now.is_finite() {
                return Ok(Ending::Diverged);
            }
            self.progress.step += 1;
        }
    }

    /// Evaluates, and notes where the validation loss is the lowest so far.
    fn evaluate(&mut self) -> Result<f64, RunError> {
        let loss = self.trainer.evaluate(self.dataset)?;
        self.progress.last_val_loss = finite(loss);
        if loss.is_finite() && self.progress.best_val_loss.is_none_or(|best| loss < best) {
            self.progress.best_val_loss = Some(loss);
            self.progress.best_step = Some(self.progress.step);
        }
        Ok(loss)
    }

    fn save(&mut self) -> Result<(), RunError> {
        self.curve.sync().map_err(at(&self.files.curve()))?;
        self.watch.sync()?;
        self.checkpoints
            .save(self.trainer.model(), &self.trainer.optimizer, &self.progress)?;
        Ok(())
    }

    fn record(
        &mut self,
        now: Option<Step>,
        val_loss: Option<f64>,
        times: &StepTimes,
    ) -> Result<(), RunError> {
        let speed = self.speed(times);
        let row = CurveRow {
            step: self.progress.step,
            tokens: self.tokens(),
            lr: now.map(|now| now.lr),
            train_loss: now.and_then(|now| finite(now.loss)),
            val_loss: val_loss.and_then(finite),
            grad_norm: now.and_then(|now| finite(now.grad_norm)),
            tokens_per_second: speed.tokens_per_second,
            step_seconds_p50: speed.step_seconds_p50,
            step_seconds_p90: speed.step_seconds_p90,
            step_seconds_p99: speed.step_seconds_p99,
            mfu: speed.mfu,
            peak_memory: peak_memory(self.peak.as_ref()),
        };
        log(&row, self.recipe.loss.is_likelihood());
        self.curve.push(&[row]).map_err(at(&self.files.curve()))
    }

    fn speed(&self, times: &StepTimes) -> Speed {
        let flops = self.recipe.model.flops_per_token(self.dataset.vocabulary());
        let peak = self.peak.map(|peak| peak.flops);
        times.speed(self.recipe.tokens_per_step(), flops, peak)
    }

    fn measure_peak(&mut self) {
        let precision = self.recipe.training.precision;
        self.peak
            .get_or_insert_with(|| Peak::measure(&self.device, precision));
    }

    /// Tokens learnt from.
    fn tokens(&self) -> u64 {
        self.progress.step * self.recipe.tokens_per_step()
    }

    fn result(&self, status: Status, device: DeviceName, started: Timestamp) -> TrialResult {
        let Progress {
            step,
            seconds,
            train_loss,
            last_val_loss,
            best_val_loss,
            best_step,
            ref spikes,
            ..
        } = self.progress;
        let corpus = self.dataset.corpus();
        let speed = self.speed(&self.times);
        TrialResult {
            status,
            diverged_at: (status == Status::Diverged).then_some(step),
            diverged_in: self.watch.diverged_in.clone(),
            loss_spikes: spikes.loss_spikes,
            grad_norm_spikes: spikes.grad_norm_spikes,
            skipped_updates: spikes.skipped_updates,
            steps: step,
            tokens: self.tokens(),
            train_loss,
            best_val_loss,
            best_step,
            last_val_loss,
            perplexity: best_val_loss.map(losses::perplexity),
            bits_per_byte: best_val_loss
                .map(|loss| losses::bits_per_byte(loss, self.dataset.validation_bytes_per_token())),
            unigram_entropy: self.dataset.unigram_entropy(),
            true_entropy: self.dataset.true_entropy(),
            seconds,
            tokens_per_second: if seconds > 0.0 {
                self.tokens() as f64 / seconds
            } else {
                0.0
            },
            step_seconds_p50: speed.step_seconds_p50,
            step_seconds_p90: speed.step_seconds_p90,
            step_seconds_p99: speed.step_seconds_p99,
            peak_flops: self.peak.map(|peak| peak.flops),
            mfu: speed.mfu,
            peak_memory: peak_memory(self.peak.as_ref()),
            parameters: self.trainer.parameters(),
            device: device.to_string(),
            corpus: CorpusRecord {
                name: corpus.name.clone(),
                bytes: corpus.bytes,
                sha256: corpus.sha256.clone(),
            },
            unknown_characters: self.dataset.unknown_characters(),
            version: VERSION.to_owned(),
            started,
            finished: Timestamp::now(),
        }
    }
}

/// One process trains in a directory at a time; none where another does.
pub(crate) fn lock(files: &TrialFiles) -> Result<Option<File>, RunError> {
    let path = files.directory().join("lock");
    let file = File::create(&path).map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(source)) => Err(at(&path)(source)),
    }
}

fn describe(recipe: &Recipe, device: DeviceName, dataset: &Dataset, trainer: &Trainer) {
    let corpus = dataset.corpus();
    info!(
        "recipe {} on {device}, {} parameters",
        recipe.hash(),
        trainer.parameters()
    );
    info!(
        "{}: {} bytes, {} training and {} validation tokens, vocabulary {}",
        corpus.name,
        corpus.bytes,
        dataset.train().len(),
        dataset.validation().len(),
        dataset.vocabulary()
    );
    info!(
        "a model must beat the unigram entropy of {:.4} nats per token",
        dataset.unigram_entropy()
    );
    if let Some(entropy) = dataset.true_entropy() {
        info!("no model can beat the source's entropy of {entropy:.4} nats per token");
    }
    if dataset.unknown_characters() > 0 {
        info!(
            "{} validation characters are unknown to the tokenizer",
            dataset.unknown_characters()
        );
    }
    info!(
        "{} steps of {} tokens",
        recipe.training.steps,
        recipe.tokens_per_step()
    );
}

/// `step 100  loss 2.3456  perplexity 10.44  val_loss 2.4000  lr 1.00e-3  grad_norm 0.412  tokens/s 9500`.
///
/// The perplexity of the training loss only where that is the negative log-likelihood.
fn log(row: &CurveRow, likelihood: bool) {
    let mut line = format!("step {:<6}", row.step);
    if let Some(loss) = row.train_loss {
        line += &format!("  loss {loss:.4}");
        if likelihood {
            line += &format!("  perplexity {:<8.2}", losses::perplexity(loss));
        }
    }
    if let (Some(lr), Some(norm)) = (row.lr, row.grad_norm) {
        line += &format!("  lr {lr:.2e}  grad_norm {norm:.3}");
    }
    if let Some(speed) = row.tokens_per_second {
        line += &format!("  tokens/s {speed:.0}");
    }
    if let Some(loss) = row.val_loss {
        line += &format!(
            "  val_loss {loss:.4}  val_perplexity {:.2}",
            losses::perplexity(loss)
        );
    }
    info!("{line}");
}

fn finite(x: f64) -> Option<f64> {
    x.is_finite().then_some(x)
}

pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> RunError + use<> {
    let path = path.display().to_string();
    move |source| RunError::Io {
        path: path.clone(),
        source,
    }
}
