use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Algorithm, Optimizer, ParameterGroup};

/// The `[optimizer]` table of a recipe. The learning rate is the schedule's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OptimizerConfig {
    /// The largest global norm of the gradients; larger ones are scaled down to it. 0 never clips.
    #[schemars(range(min = 0.0))]
    pub clip: f64,
    /// What weight decay applies to: `matrices` (tensors of two or more dimensions, embeddings among them) or `all`.
    pub weight_decay_on: WeightDecayOn,
    /// The algorithm, chosen by `name`.
    #[serde(flatten)]
    pub algorithm: Algorithm,
}

/// The parameters that weight decay applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WeightDecayOn {
    /// Tensors of two or more dimensions; not biases, and not the scales of layer normalisation.
    #[default]
    Matrices,
    /// Every parameter.
    All,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            clip: 1.0,
            weight_decay_on: WeightDecayOn::default(),
            algorithm: Algorithm::default(),
        }
    }
}

impl OptimizerConfig {
    /// The optimizer of this configuration, with an empty state.
    pub fn init(&self) -> Optimizer {
        let all = ParameterGroup {
            ranks: 0..=usize::MAX,
            algorithm: self.algorithm.clone(),
        };
        match self.weight_decay_on {
            WeightDecayOn::All => Optimizer::new(vec![all]),
            WeightDecayOn::Matrices => {
                let algorithm = self.algorithm.clone().without_weight_decay();
                Optimizer::new(vec![
                    ParameterGroup {
                        ranks: 0..=1,
                        algorithm,
                    },
                    all,
                ])
            }
        }
    }
}
