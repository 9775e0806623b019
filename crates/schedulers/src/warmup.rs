use std::f64::consts::PI;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the learning rate rises in the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WarmupShape {
    /// A straight line: lr * (step + 1) / warmup.
    #[default]
    Linear,
    /// Half a cosine: lr * (1 - cos(pi * (step + 1) / warmup)) / 2.
    Cosine,
    /// By the same factor at every step, from a thousandth of lr one step before the first:
    /// lr * 1000^((step + 1) / warmup - 1).
    Exponential,
}

impl WarmupShape {
    /// The share of the peak at `step`, in a warm-up of `warmup` steps; 1 from its last step on.
    pub(crate) fn share(self, step: u64, warmup: u64) -> f64 {
        if step >= warmup {
            return 1.0;
        }
        let done = (step + 1) as f64 / warmup as f64;
        match self {
            Self::Linear => done,
            Self::Cosine => 0.5 * (1.0 - (PI * done).cos()),
            Self::Exponential => 1000f64.powf(done - 1.0),
        }
    }
}
