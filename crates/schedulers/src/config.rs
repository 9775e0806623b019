use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Decay, Floor, Schedule, ScheduleError, WarmupShape, error::not_zero, span::Span};

/// The `[schedule]` table of a recipe: the peak learning rate, the warm-up towards it and the decay after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ScheduleConfig {
    /// The peak learning rate, reached at the end of the warm-up.
    #[schemars(range(min = 0.0))]
    pub lr: f64,
    /// Steps of warm-up, which reaches the peak at its last step. 0 means none.
    pub warmup: u64,
    /// How the warm-up rises.
    pub warmup_shape: WarmupShape,
    /// How every learning rate of the schedule grows with the batch.
    pub lr_scaling: LrScaling,
    /// The tokens of a step for which `lr` is meant, where `lr_scaling` asks for it.
    #[schemars(range(min = 1))]
    pub reference_batch_tokens: u64,
    /// The decay after the warm-up, chosen by `name`.
    #[serde(flatten)]
    pub decay: Decay,
}

/// How the learning rates of a schedule grow with the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LrScaling {
    /// They do not.
    #[default]
    None,
    /// By batch_tokens / reference_batch_tokens (arXiv 1706.02677).
    Linear,
    /// By sqrt(batch_tokens / reference_batch_tokens).
    SquareRoot,
}

/// The run that a schedule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Optimizer updates.
    pub steps: u64,
    /// Tokens that one step learns from.
    pub batch_tokens: u64,
}

impl Default for ScheduleConfig {
    /// The standard GPT-2 recipe: 6e-4 at half a million tokens, 2000 steps of warm-up, cosine to a tenth.
    fn default() -> Self {
        Self {
            lr: 6e-4,
            warmup: 2000,
            warmup_shape: WarmupShape::Linear,
            lr_scaling: LrScaling::None,
            reference_batch_tokens: 1 << 19,
            decay: Decay::Cosine(Floor::default()),
        }
    }
}

impl ScheduleConfig {
    /// The schedule of a run.
    ///
    /// # Errors
    /// Where a number is outside its range, or the keys contradict each other: a warm-up that does not end before
    /// the decay or the run does, a floor above the peak, parts that do not fit into the run.
    pub fn build(&self, run: Run) -> Result<Schedule, ScheduleError> {
        not_zero("reference_batch_tokens", self.reference_batch_tokens)?;
        let scale = self
            .lr_scaling
            .factor(run.batch_tokens, self.reference_batch_tokens);
        Schedule::new(scale, self.span(run), self.resolved(run).decay)
    }

    /// The same configuration with every default that depends on another key written out.
    pub fn resolved(&self, run: Run) -> Self {
        let mut resolved = self.clone();
        resolved.decay.resolve(&self.span(run));
        resolved
    }

    fn span(&self, run: Run) -> Span {
        Span {
            peak: self.lr,
            warmup: self.warmup,
            warmup_shape: self.warmup_shape,
            steps: run.steps,
        }
    }
}

impl LrScaling {
    fn factor(self, batch_tokens: u64, reference: u64) -> f64 {
        let ratio = batch_tokens as f64 / reference as f64;
        match self {
            Self::None => 1.0,
            Self::Linear => ratio,
            Self::SquareRoot => ratio.sqrt(),
        }
    }
}
