use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{At, Real, Rule, algorithms::average};

/// Signum: `m = beta m + (1 - beta) g; theta - lr (sign(m) + weight_decay theta)`.
///
/// Bernstein et al., arXiv 1802.04434.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Signum {
    /// Decay of the momentum; 0 is signSGD.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta: f64,
    /// Each update takes lr * weight_decay * theta from the parameter.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Default for Signum {
    fn default() -> Self {
        Self {
            beta: 0.9,
            weight_decay: 0.0,
        }
    }
}

impl Rule<1> for Signum {
    const STATE: [&'static str; 1] = ["momentum"];

    #[inline(always)]
    fn update<R: Real>(&self, at: At, theta: R, g: R, [m]: [R; 1]) -> (R, [R; 1]) {
        let m = average(self.beta, m, g);
        let decay = theta.clone().scale(self.weight_decay);
        (theta - (m.clone().sign() + decay).scale(at.lr), [m])
    }
}
