use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// `failure.json`: how a trial's process ended that left no result. A later run of the sweep tries it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// `exit code 1`, `signal 9`.
    pub ended: String,
    /// The last lines that the process printed.
    pub last_lines: Vec<String>,
    /// When it ended.
    pub at: Timestamp,
}

/// Where a trial stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrialStatus {
    /// All its steps were made.
    Completed,
    /// A loss or a gradient was not finite.
    Diverged,
    /// Its process ended without a result.
    Failed,
    /// It has no result yet.
    Pending,
}

/// A row of `trials.csv` behind the id and the varied keys. What a trial without result has not is empty.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrialRow {
    /// The recipe's seed.
    pub seed: u64,
    /// Where the trial stands.
    pub status: TrialStatus,
    /// The lowest validation loss, nats per token.
    pub best_val_loss: Option<f64>,
    /// The updates made when it was reached.
    pub best_step: Option<u64>,
    /// The last validation loss.
    pub last_val_loss: Option<f64>,
    /// `exp(best_val_loss)`.
    pub perplexity: Option<f64>,
    /// The last training loss.
    pub train_loss: Option<f64>,
    /// Tokens learnt from.
    pub tokens: Option<u64>,
    /// Updates made.
    pub steps: Option<u64>,
    /// Seconds of training.
    pub seconds: Option<f64>,
    /// `tokens / seconds`.
    pub tokens_per_second: Option<f64>,
    /// Trainable parameters.
    pub parameters: Option<usize>,
    /// The device.
    pub device: Option<String>,
    /// Cupel's version and commit.
    pub version: Option<String>,
}

/// A row of `comparison.csv` behind the varied keys: a configuration over its seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparisonRow {
    /// The device.
    pub device: Option<String>,
    /// Completed trials: those that the averages are over.
    pub n: usize,
    /// Diverged trials: counted, never averaged in.
    pub diverged: usize,
    /// Failed trials.
    pub failed: usize,
    /// Trials without result.
    pub pending: usize,
    /// The mean over seeds of the lowest validation loss, nats per token.
    pub val_loss: Option<f64>,
    /// Its standard deviation over seeds, with n - 1; empty for one seed.
    pub val_loss_sd: Option<f64>,
    /// `exp` of the mean loss.
    pub perplexity: Option<f64>,
    /// The mean's distance from the base configuration's on the same device.
    pub difference: Option<f64>,
    /// By the mean, from 1; a configuration in which a trial diverged comes behind all in which none did.
    pub rank: usize,
}
