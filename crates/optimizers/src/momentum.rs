use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{At, Real, Rule};

/// Gradient descent with momentum: `v = beta v + g; theta - lr v`, without dampening (PyTorch's default).
///
/// Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Momentum {
    /// How much of the velocity stays from one update to the next.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub beta: f64,
    /// L2 regularisation: weight_decay * theta is added to the gradient.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Default for Momentum {
    fn default() -> Self {
        Self {
            beta: 0.9,
            weight_decay: 0.0,
        }
    }
}

impl Rule<1> for Momentum {
    const STATE: [&'static str; 1] = ["velocity"];

    #[inline(always)]
    fn update<R: Real>(&self, at: At, theta: R, g: R, [v]: [R; 1]) -> (R, [R; 1]) {
        let g = g + theta.clone().scale(self.weight_decay);
        let v = v.scale(self.beta) + g;
        (theta - v.clone().scale(at.lr), [v])
    }

    fn without_weight_decay(self) -> Self {
        Self {
            weight_decay: 0.0,
            ..self
        }
    }
}
