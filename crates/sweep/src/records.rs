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
    /// The standard error of the mean, `val_loss_sd / sqrt(n)`.
    pub val_loss_se: Option<f64>,
    /// The lower end of the mean's 95% interval: [`t_interval`](crate::statistics::t_interval).
    pub val_loss_low: Option<f64>,
    /// Its upper end.
    pub val_loss_high: Option<f64>,
    /// The lower end of the mean's 95% interval by the studentised bootstrap, from five seeds on:
    /// [`bootstrap_interval`](crate::statistics::bootstrap_interval).
    pub bootstrap_low: Option<f64>,
    /// Its upper end.
    pub bootstrap_high: Option<f64>,
    /// `exp` of the mean loss.
    pub perplexity: Option<f64>,
    /// The mean difference from the baseline on the same device, over the seeds that both have completed.
    pub difference: Option<f64>,
    /// The standard deviation over seeds of this configuration and the baseline, pooled.
    pub noise_floor: Option<f64>,
    /// The seeds that the difference is over; 0 for the baseline itself.
    pub pairs: usize,
    /// The lower end of the difference's 95% interval, of t.
    pub difference_low: Option<f64>,
    /// Its upper end.
    pub difference_high: Option<f64>,
    /// Of the paired t-test of the difference, two-sided; empty for fewer than two pairs, and where all pairs differ alike.
    pub p_value: Option<f64>,
    /// `p_value` after Holm's correction over all tests of the table.
    pub p_holm: Option<f64>,
    /// Of Wilcoxon's signed-rank test, exact, from six pairs on.
    pub p_wilcoxon: Option<f64>,
    /// By the mean, from 1; a configuration in which a trial diverged comes behind all in which none did.
    pub rank: usize,
}

/// A row of `effects.csv`: what a level of a key, or a combination of levels of two, adds to the validation loss, and how much of
/// the variance over all trials the key, or the two of them, explains.
///
/// The analysis of variance takes the trials' losses apart into the effects of the keys, of each two of them together, of more of
/// them, of the seed (all configurations have the same), and noise: what seeds and keys do together. The shares add up to 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EffectRow {
    /// A key; two with ` × ` between them; `three or more keys`; `training.seed`; or `noise`.
    pub effect: String,
    /// The level, or the two; empty where the effect is of no single keys.
    pub level: String,
    /// The mean loss over all trials with this level: the marginal mean.
    pub mean: Option<f64>,
    /// What the level adds to the mean of all trials; of two levels, what both add beyond what each adds.
    pub deviation: Option<f64>,
    /// Of the effect.
    pub degrees_of_freedom: usize,
    /// The effect's share of the variance over all trials.
    pub share: f64,
    /// The effect's mean square over that of noise; empty for a single seed.
    pub f: Option<f64>,
    /// How often an `f` as large comes of noise alone.
    pub p_value: Option<f64>,
}

/// A row of `target.csv` behind the varied keys: what a configuration spent to reach a target loss.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TargetRow {
    /// The device.
    pub device: Option<String>,
    /// The loss to reach, nats per token.
    pub target: f64,
    /// Completed and diverged trials.
    pub trials: usize,
    /// Those of them that evaluated to the target, or below it.
    pub reached: usize,
    /// The median over trials of the updates made by then, the others counted as infinite; empty where half of them are.
    pub steps_to_target: Option<f64>,
    /// The median of the tokens learnt from by then.
    pub tokens_to_target: Option<f64>,
    /// The median of the seconds of training by then, from the curve's `tokens_per_second`; evaluations are not counted.
    pub seconds_to_target: Option<f64>,
}
