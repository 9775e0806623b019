use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ScheduleError,
    error::{at_least_one, share},
    span::{Span, between, half_cosine},
};

/// The 1cycle policy (arXiv 1708.07120) as PyTorch's `OneCycleLR` reads it, with cosine annealing: a rise from
/// lr / div_factor to lr at step r = rise_fraction * steps - 1, then a fall to lr / div_factor / final_div_factor
/// at the last step of the run, which is held. `warmup` must be 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OneCycle {
    /// The share of the run's steps in which the learning rate rises.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub rise_fraction: f64,
    /// How many times as high as the beginning the peak is.
    #[schemars(range(min = 1.0))]
    pub div_factor: f64,
    /// How many times as high as the end the beginning is.
    #[schemars(range(min = 1.0))]
    pub final_div_factor: f64,
}

impl Default for OneCycle {
    /// PyTorch's.
    fn default() -> Self {
        Self {
            rise_fraction: 0.3,
            div_factor: 25.0,
            final_div_factor: 1e4,
        }
    }
}

impl OneCycle {
    pub(crate) fn check(&self, span: &Span) -> Result<(), ScheduleError> {
        span.check_no_warmup("one-cycle")?;
        share("rise_fraction", self.rise_fraction)?;
        at_least_one("div_factor", self.div_factor)?;
        at_least_one("final_div_factor", self.final_div_factor)
    }

    pub(crate) fn lr(&self, span: &Span, step: u64) -> f64 {
        let begin = span.peak / self.div_factor;
        let end = begin / self.final_div_factor;
        let last = span.steps.saturating_sub(1);
        // The top of the cycle, which may lie between two steps; without room for a rise it is the first step.
        let top = (self.rise_fraction * span.steps as f64 - 1.0).max(0.0);
        let now = step as f64;
        if now < top {
            between(begin, span.peak, 1.0 - half_cosine(now / top))
        } else if now == top {
            span.peak
        } else if step >= last {
            end
        } else {
            between(end, span.peak, half_cosine((now - top) / (last as f64 - top)))
        }
    }
}
