use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ScheduleError,
    error::positive,
    span::{Span, between, progress},
};

/// Where a decay ends, and when.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Floor {
    /// The floor; a tenth of `lr` where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub min_lr: Option<f64>,
    /// The step at which the floor is reached; the whole run where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub decay_steps: Option<u64>,
}

/// Polynomial decay: min_lr + (lr - min_lr) * (1 - p)^power, with p the share of the decay that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Polynomial {
    /// The power; 1 is a straight line.
    #[schemars(range(min = 0.0))]
    pub power: f64,
    /// Where the decay ends, and when.
    #[serde(flatten)]
    pub floor: Floor,
}

impl Floor {
    pub(crate) fn resolve(&mut self, span: &Span) {
        (self.min_lr, self.decay_steps) = (Some(self.min_lr(span)), Some(self.end(span)));
    }

    pub(crate) fn check(&self, span: &Span) -> Result<(), ScheduleError> {
        span.check_floor(self.min_lr(span))?;
        let (warmup, decay_steps) = (span.warmup, self.end(span));
        if decay_steps < warmup {
            return Err(ScheduleError::DecayEndsInWarmup { warmup, decay_steps });
        }
        Ok(())
    }

    /// Down from the peak to the floor as `shape` falls from 1 to 0.
    pub(crate) fn lr(&self, span: &Span, step: u64, shape: impl Fn(f64) -> f64) -> f64 {
        let share = shape(progress(step, span.warmup, self.end(span)));
        between(self.min_lr(span), span.peak, share)
    }

    fn min_lr(&self, span: &Span) -> f64 {
        self.min_lr.unwrap_or(span.peak / 10.0)
    }

    fn end(&self, span: &Span) -> u64 {
        self.decay_steps.unwrap_or(span.steps)
    }
}

impl Default for Polynomial {
    /// Of the first power, as PyTorch's.
    fn default() -> Self {
        Self {
            power: 1.0,
            floor: Floor::default(),
        }
    }
}

impl Polynomial {
    pub(crate) fn check(&self, span: &Span) -> Result<(), ScheduleError> {
        // With a power of 0 the floor would never be reached.
        positive("power", self.power)?;
        self.floor.check(span)
    }

    pub(crate) fn lr(&self, span: &Span, step: u64) -> f64 {
        self.floor.lr(span, step, |p| (1.0 - p).powf(self.power))
    }
}
