use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ScheduleError,
    error::{not_zero, share},
    span::Span,
};

/// Step decay: lr * gamma^floor(step / every), the step counted from the start of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StepDecay {
    /// The factor of each fall.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gamma: f64,
    /// Steps between two falls.
    #[schemars(range(min = 1))]
    pub every: u64,
}

/// Step decay at chosen steps: lr * gamma^(number of milestones at or before step).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MultiStep {
    /// The factor of each fall.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gamma: f64,
    /// The steps of the falls, counted from the start of the run, each after the one before it.
    pub milestones: Vec<u64>,
}

/// Exponential decay: lr * gamma^(step - warmup).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Exponential {
    /// The factor of each step.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gamma: f64,
}

impl Default for StepDecay {
    fn default() -> Self {
        Self {
            gamma: 0.1,
            every: 30,
        }
    }
}

impl Default for MultiStep {
    fn default() -> Self {
        Self {
            gamma: 0.1,
            milestones: Vec::new(),
        }
    }
}

impl Default for Exponential {
    fn default() -> Self {
        Self { gamma: 0.999 }
    }
}

impl StepDecay {
    pub(crate) fn check(&self) -> Result<(), ScheduleError> {
        not_zero("every", self.every)?;
        share("gamma", self.gamma)
    }

    pub(crate) fn lr(&self, span: &Span, step: u64) -> f64 {
        span.peak * self.gamma.powf((step / self.every) as f64)
    }
}

impl MultiStep {
    pub(crate) fn check(&self) -> Result<(), ScheduleError> {
        for pair in self.milestones.windows(2) {
            if let [before, after] = *pair
                && before >= after
            {
                return Err(ScheduleError::MilestonesDoNotRise { before, after });
            }
        }
        share("gamma", self.gamma)
    }

    pub(crate) fn lr(&self, span: &Span, step: u64) -> f64 {
        let falls = self.milestones.partition_point(|milestone| *milestone <= step);
        span.peak * self.gamma.powf(falls as f64)
    }
}

impl Exponential {
    pub(crate) fn check(&self) -> Result<(), ScheduleError> {
        share("gamma", self.gamma)
    }

    pub(crate) fn lr(&self, span: &Span, step: u64) -> f64 {
        span.peak * self.gamma.powf(step.saturating_sub(span.warmup) as f64)
    }
}
