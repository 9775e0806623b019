use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{At, Real, Rule, algorithms::average};

/// RMSprop: `v = alpha v + (1 - alpha) g^2; b = momentum b + g / (sqrt(v) + eps); theta - lr b`.
///
/// Tieleman and Hinton, lecture 6.5 of "Neural networks for machine learning", 2012, as in PyTorch, which adds eps outside
/// of the root.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RmsProp {
    /// Decay of the second moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub alpha: f64,
    /// Added to the square root of the second moment.
    #[schemars(range(min = 0.0))]
    pub eps: f64,
    /// How much of the last step the next one keeps.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub momentum: f64,
    /// L2 regularisation: weight_decay * theta is added to the gradient.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Default for RmsProp {
    fn default() -> Self {
        Self {
            alpha: 0.99,
            eps: 1e-8,
            momentum: 0.0,
            weight_decay: 0.0,
        }
    }
}

impl Rule<2> for RmsProp {
    const STATE: [&'static str; 2] = ["second_moment", "velocity"];

    #[inline(always)]
    fn update<R: Real>(&self, at: At, theta: R, g: R, [v, b]: [R; 2]) -> (R, [R; 2]) {
        let g = g + theta.clone().scale(self.weight_decay);
        let v = average(self.alpha, v, g.clone() * g.clone());
        let b = b.scale(self.momentum) + g / v.clone().sqrt().shift(self.eps);
        (theta - b.clone().scale(at.lr), [v, b])
    }
}
