use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Schedule, ScheduleError};

/// The `[schedule]` table of a recipe: the peak learning rate, the warm-up towards it and the decay after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ScheduleConfig {
    /// The peak learning rate, reached at the end of the warm-up.
    #[schemars(range(min = 0.0))]
    pub lr: f64,
    /// Steps of linear warm-up: lr * min((step + 1) / warmup, 1). 0 means none.
    pub warmup: u64,
    /// The decay after the warm-up, chosen by `name`.
    #[serde(flatten)]
    pub decay: Decay,
}

/// How the learning rate falls after the warm-up; `name` in TOML.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Decay {
    /// The peak for ever.
    Constant(Constant),
    /// A straight line from the peak to `min_lr`, which is then held.
    Linear(Floor),
    /// Half a cosine from the peak to `min_lr`, which is then held (SGDR without restarts, arXiv 1608.03983).
    Cosine(Floor),
    /// The peak times `gamma` for every `every` steps gone by.
    Step(StepDecay),
}

/// No decay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Constant {}

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

impl Default for ScheduleConfig {
    /// The standard GPT-2 recipe: 6e-4, 2000 steps of warm-up, cosine to a tenth.
    fn default() -> Self {
        Self {
            lr: 6e-4,
            warmup: 2000,
            decay: Decay::Cosine(Floor::default()),
        }
    }
}

impl Default for StepDecay {
    fn default() -> Self {
        Self {
            gamma: 0.1,
            every: 30,
        }
    }
}

impl ScheduleConfig {
    /// The schedule of a run of `steps` steps.
    ///
    /// # Errors
    /// Where the keys contradict each other: a warm-up that does not end before the decay or the run does, a floor
    /// above the peak, a number that is not finite.
    pub fn build(&self, steps: u64) -> Result<Schedule, ScheduleError> {
        Schedule::new(self, steps)
    }

    /// The same configuration with every default that depends on another key written out.
    pub fn resolved(&self, steps: u64) -> Self {
        let mut resolved = self.clone();
        if let Decay::Linear(Floor { min_lr, decay_steps }) | Decay::Cosine(Floor { min_lr, decay_steps }) =
            &mut resolved.decay
        {
            min_lr.get_or_insert(self.lr / 10.0);
            decay_steps.get_or_insert(steps);
        }
        resolved
    }
}
