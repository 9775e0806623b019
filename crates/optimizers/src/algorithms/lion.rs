use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{At, Real, Rule, algorithms::average};

/// Lion: `theta - lr (sign(beta1 m + (1 - beta1) g) + weight_decay theta); m = beta2 m + (1 - beta2) g`.
///
/// Chen et al., arXiv 2302.06675.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Lion {
    /// How much of the momentum is in the step.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta1: f64,
    /// Decay of the momentum.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta2: f64,
    /// Each update takes lr * weight_decay * theta from the parameter.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Default for Lion {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.99,
            weight_decay: 0.1,
        }
    }
}

impl Rule<1> for Lion {
    const STATE: [&'static str; 1] = ["momentum"];

    #[inline(always)]
    fn update<R: Real>(&self, at: At, theta: R, g: R, [m]: [R; 1]) -> (R, [R; 1]) {
        let step = average(self.beta1, m.clone(), g.clone()).sign();
        let m = average(self.beta2, m, g);
        let decay = theta.clone().scale(self.weight_decay);
        (theta - (step + decay).scale(at.lr), [m])
    }
}
