use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ScheduleError,
    error::share,
    span::{Span, between, half_cosine, progress},
};

/// Warm-up, stable, decay (arXiv 2405.18392): the peak up to the last D = round(decay_fraction * steps) steps of
/// the run, then min_lr + (lr - min_lr) * shape(p), with p = (step - steps + D) / D, and `min_lr` from the end on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Wsd {
    /// The share of the run's steps, at its end, in which the learning rate falls.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub decay_fraction: f64,
    /// How it falls.
    pub shape: DecayShape,
    /// Where it ends.
    #[schemars(range(min = 0.0))]
    pub min_lr: f64,
}

/// How a learning rate falls from 1 to 0 as p goes from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DecayShape {
    /// 1 - p.
    #[default]
    Linear,
    /// (1 + cos(pi p)) / 2.
    Cosine,
    /// 1 - sqrt(p), the best of arXiv 2405.18392.
    OneMinusSqrt,
}

impl Default for Wsd {
    fn default() -> Self {
        Self {
            decay_fraction: 0.2,
            shape: DecayShape::Linear,
            min_lr: 0.0,
        }
    }
}

impl Wsd {
    pub(crate) fn check(&self, span: &Span) -> Result<(), ScheduleError> {
        share("decay_fraction", self.decay_fraction)?;
        let (warmup, begin) = (span.warmup, self.begin(span));
        if begin < warmup {
            return Err(ScheduleError::DecayBeginsInWarmup { warmup, begin });
        }
        span.check_floor(self.min_lr)
    }

    pub(crate) fn lr(&self, span: &Span, step: u64) -> f64 {
        let p = progress(step, self.begin(span), span.steps);
        between(self.min_lr, span.peak, self.shape.share(p))
    }

    /// The last step of the stable phase, from which the fall is counted.
    fn begin(&self, span: &Span) -> u64 {
        // The cast saturates, and so does the difference, where f64 has rounded the steps up.
        let falling = (self.decay_fraction * span.steps as f64).round() as u64;
        span.steps.saturating_sub(falling)
    }
}

impl DecayShape {
    fn share(self, p: f64) -> f64 {
        match self {
            Self::Linear => 1.0 - p,
            Self::Cosine => half_cosine(p),
            Self::OneMinusSqrt => 1.0 - p.sqrt(),
        }
    }
}
