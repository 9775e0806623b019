use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ScheduleError,
    error::not_zero,
    span::{Span, between, half_cosine},
};

/// Cosine cycles from the peak towards `min_lr` (SGDR, arXiv 1608.03983, equation 5), from the end of the
/// warm-up on: min_lr + (lr - min_lr) * (1 + cos(pi * c / T)) / 2, c steps into a cycle of T steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CosineRestarts {
    /// Steps of the first cycle; the paper's T_0.
    #[schemars(range(min = 1))]
    pub period: u64,
    /// How many times as long as the cycle before it a cycle is; the paper's T_mult.
    #[schemars(range(min = 1))]
    pub period_factor: u64,
    /// The floor that every cycle falls towards; a tenth of `lr` where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub min_lr: Option<f64>,
}

impl Default for CosineRestarts {
    /// Cycles of 1000, 2000, 4000, ... steps: the paper recommends to double them.
    fn default() -> Self {
        Self {
            period: 1000,
            period_factor: 2,
            min_lr: None,
        }
    }
}

impl CosineRestarts {
    pub(crate) fn resolve(&mut self, span: &Span) {
        self.min_lr = Some(self.min_lr(span));
    }

    pub(crate) fn check(&self, span: &Span) -> Result<(), ScheduleError> {
        not_zero("period", self.period)?;
        not_zero("period_factor", self.period_factor)?;
        span.check_floor(self.min_lr(span))
    }

    pub(crate) fn lr(&self, span: &Span, step: u64) -> f64 {
        let (into, cycle) = self.cycle(step.saturating_sub(span.warmup));
        between(
            self.min_lr(span),
            span.peak,
            half_cosine(into as f64 / cycle as f64),
        )
    }

    /// How far into its cycle the step `t` after the warm-up is, and how long that cycle is.
    fn cycle(&self, t: u64) -> (u128, u128) {
        let (mut into, mut cycle) = (u128::from(t), u128::from(self.period));
        if self.period_factor == 1 {
            return (into % cycle, cycle);
        }
        // At most 64 rounds. Only a cycle that is over, and so is shorter than 2^64, is multiplied: no overflow.
        while into >= cycle {
            into -= cycle;
            cycle *= u128::from(self.period_factor);
        }
        (into, cycle)
    }

    fn min_lr(&self, span: &Span) -> f64 {
        self.min_lr.unwrap_or(span.peak / 10.0)
    }
}
