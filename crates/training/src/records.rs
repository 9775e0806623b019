//! What a trial leaves on disk, and where.
//!
//! ```text
//! recipe.toml    the resolved recipe, written first
//! curve.csv      one CurveRow per logged or evaluated step
//! events.jsonl   one Event per spike, skipped update or divergence
//! layers.csv     LayerRows of every step that is diagnosed; not there where none is
//! log.txt        what a person reads
//! checkpoints/   parameters, optimizer state and step
//! result.json    a TrialResult, written last and at once: what has none is not finished
//! ```

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The paths of a trial's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialFiles {
    directory: PathBuf,
}

impl TrialFiles {
    /// The files of the trial in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// The directory itself.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The resolved recipe.
    pub fn recipe(&self) -> PathBuf {
        self.directory.join("recipe.toml")
    }

    /// The curve, one [`CurveRow`] a line.
    pub fn curve(&self) -> PathBuf {
        self.directory.join("curve.csv")
    }

    /// What went wrong, one [`Event`](crate::events::Event) a line.
    pub fn events(&self) -> PathBuf {
        self.directory.join("events.jsonl")
    }

    /// How the layers fare, one [`LayerRow`](crate::LayerRow) a line.
    pub fn layers(&self) -> PathBuf {
        self.directory.join("layers.csv")
    }

    /// The result, a [`TrialResult`].
    pub fn result(&self) -> PathBuf {
        self.directory.join("result.json")
    }

    /// The log.
    pub fn log(&self) -> PathBuf {
        self.directory.join("log.txt")
    }

    /// The checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.directory.join("checkpoints")
    }
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// All its steps were made.
    Completed,
    /// A loss or a gradient was not finite: a result, not a crash.
    Diverged,
}

/// A row of `curve.csv`: the state before the update of `step`, that is after `step` updates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurveRow {
    /// Updates made.
    pub step: u64,
    /// Tokens learnt from.
    pub tokens: u64,
    /// The learning rate of the update that follows; empty after the last.
    pub lr: Option<f64>,
    /// The loss on this step's batch, nats per token; empty after the last step.
    pub train_loss: Option<f64>,
    /// The loss on the validation batches, nats per token; empty where none was evaluated.
    pub val_loss: Option<f64>,
    /// The global norm of the gradient before clipping; empty after the last step.
    pub grad_norm: Option<f64>,
    /// Training speed since the last row, evaluations and checkpoints not counted; empty where no step was made.
    pub tokens_per_second: Option<f64>,
    /// The median of the seconds of a step since the last row.
    pub step_seconds_p50: Option<f64>,
    /// Nine of ten of those steps took no longer.
    pub step_seconds_p90: Option<f64>,
    /// 99 of 100 of those steps took no longer.
    pub step_seconds_p99: Option<f64>,
    /// Model FLOP/s utilisation since the last row: the share of `peak_flops`.
    pub mfu: Option<f64>,
    /// Bytes of the process' memory when it had most, so far; neither a GPU's memory nor what measuring `peak_flops` took is
    /// in it.
    pub peak_memory: Option<u64>,
}

impl CurveRow {
    /// The row without what a clock and the system measured: what another run of the same recipe gives again, bit for bit.
    pub fn reproducible(self) -> Self {
        Self {
            tokens_per_second: None,
            step_seconds_p50: None,
            step_seconds_p90: None,
            step_seconds_p99: None,
            mfu: None,
            peak_memory: None,
            ..self
        }
    }
}

/// `result.json`: how a trial ended and what it reached. Losses are in nats per token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialResult {
    /// How it ended.
    pub status: Status,
    /// The step whose loss or gradient was not finite.
    pub diverged_at: Option<u64>,
    /// Where it began: the first place of the forward pass whose numbers were not finite (`embedding`,
    /// `blocks.0.attention`, `blocks.0.mlp`, `final_norm`, `head`), or if the loss was finite the parameter whose gradient
    /// was the first in the order of the backward pass.
    #[serde(default)]
    pub diverged_in: Option<String>,
    /// Steps whose loss was a spike, by `training.spike_threshold`.
    #[serde(default)]
    pub loss_spikes: u64,
    /// Steps whose gradient norm was a spike.
    #[serde(default)]
    pub grad_norm_spikes: u64,
    /// Updates that were skipped for a spike.
    #[serde(default)]
    pub skipped_updates: u64,
    /// Steps made, those whose update was skipped among them.
    pub steps: u64,
    /// Tokens learnt from.
    pub tokens: u64,
    /// The last training loss.
    pub train_loss: Option<f64>,
    /// The lowest validation loss.
    pub best_val_loss: Option<f64>,
    /// The updates made when it was reached.
    pub best_step: Option<u64>,
    /// The last validation loss.
    pub last_val_loss: Option<f64>,
    /// `exp(best_val_loss)`.
    pub perplexity: Option<f64>,
    /// `best_val_loss` in bits per byte of the validation text.
    pub bits_per_byte: Option<f64>,
    /// The loss of the training tokens' frequencies on the validation tokens: what a model must beat.
    pub unigram_entropy: f64,
    /// The entropy rate of the source, where it is known: what no model can beat.
    pub true_entropy: Option<f64>,
    /// Seconds of training, evaluation and checkpoints not counted, over all runs of the trial.
    pub seconds: f64,
    /// `tokens / seconds`.
    pub tokens_per_second: f64,
    /// The median of the seconds of a step, over the last run of the trial.
    pub step_seconds_p50: Option<f64>,
    /// Nine of ten of those steps took no longer.
    pub step_seconds_p90: Option<f64>,
    /// 99 of 100 of those steps took no longer.
    pub step_seconds_p99: Option<f64>,
    /// FLOP/s of the device's fastest product, measured in the run.
    pub peak_flops: Option<f64>,
    /// Model FLOP/s utilisation over the last run: the share that the model's products are of `peak_flops`.
    pub mfu: Option<f64>,
    /// Bytes of the process' memory when it had most, in the last run; neither a GPU's memory nor what measuring `peak_flops`
    /// took is in it.
    pub peak_memory: Option<u64>,
    /// Trainable parameters; the tied head counts once.
    pub parameters: usize,
    /// The device, as `--device` names it.
    pub device: String,
    /// The text.
    pub corpus: CorpusRecord,
    /// Validation characters that the tokenizer had never seen.
    pub unknown_characters: usize,
    /// Cupel's version and commit.
    pub version: String,
    /// When the last run of the trial began.
    pub started: Timestamp,
    /// When the result was written.
    pub finished: Timestamp,
}

impl TrialResult {
    /// The result without what a clock and the system measured, as [`CurveRow::reproducible`].
    pub fn reproducible(self) -> Self {
        Self {
            seconds: 0.0,
            tokens_per_second: 0.0,
            step_seconds_p50: None,
            step_seconds_p90: None,
            step_seconds_p99: None,
            peak_flops: None,
            mfu: None,
            peak_memory: None,
            started: Timestamp::UNIX_EPOCH,
            finished: Timestamp::UNIX_EPOCH,
            ..self
        }
    }
}

/// Which text a trial learnt from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorpusRecord {
    /// As `data.corpus` names it.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
}

/// Writes a file at once: to a temporary name in the same directory, synced, then renamed.
///
/// # Errors
/// Where the directory cannot be written to.
pub fn write_atomically(path: &Path, contents: &[u8]) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".cupel-")
        .suffix(".tmp")
        .tempfile_in(directory)?;
    file.write_all(contents)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    /// serde_json is off by a bit here unless its feature `float_roundtrip` is on.
    #[test]
    fn a_float_is_read_back_as_it_was_written() {
        let written = 58_886.676_532_127_436_f64;
        let read: f64 =
            serde_json::from_str(&serde_json::to_string(&written).unwrap_or_default()).unwrap_or_default();
        assert_eq!(read, written);
    }
}
