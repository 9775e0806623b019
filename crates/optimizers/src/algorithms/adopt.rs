use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Adam, At, Real, Rule, algorithms::average};

/// ADOPT: Adam that normalises by the second moment before the gradient enters it,
/// `m = beta1 m + (1 - beta1) clip(g / max(sqrt(v), eps)); theta - lr (m + weight_decay theta); v = beta2 v + (1 - beta2) g^2`.
///
/// Taniguchi et al., arXiv 2411.02853, algorithm 2: the first gradient only sets `v = g^2`, and the clip is to
/// `(t - 1)^(1/4)`. The decay is decoupled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Adopt {
    /// Decay of the first moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta1: f64,
    /// Decay of the second moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta2: f64,
    /// The least square root of the second moment.
    #[schemars(range(min = 0.0))]
    pub eps: f64,
    /// Each update takes lr * weight_decay * theta from the parameter.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Default for Adopt {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.9999,
            eps: 1e-6,
            weight_decay: 0.1,
        }
    }
}

impl Rule<2> for Adopt {
    const STATE: [&'static str; 2] = Adam::STATE;

    #[inline(always)]
    fn update<R: Real>(&self, at: At, theta: R, g: R, [m, v]: [R; 2]) -> (R, [R; 2]) {
        if at.t == 1 {
            return (theta, [m, v + g.clone() * g]);
        }
        let normalised = g.clone() / v.clone().sqrt().at_least(self.eps);
        let m = average(self.beta1, m, normalised.clamp(((at.t - 1) as f64).powf(0.25)));
        let v = average(self.beta2, v, g.clone() * g);
        let decay = theta.clone().scale(self.weight_decay);
        (theta - (m.clone() + decay).scale(at.lr), [m, v])
    }
}
