use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{At, Real, Rule};

/// Gradient descent with momentum: `v = beta v + g; theta - lr v`, and with Nesterov's `theta - lr (g + beta v)`.
///
/// Polyak, "Some methods of speeding up the convergence of iteration methods", 1964; Nesterov's in the form of Sutskever
/// et al., ICML 2013. Without dampening, as PyTorch's default; Burn's default dampens by 0.1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Momentum {
    /// How much of the velocity stays from one update to the next.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta: f64,
    /// Whether the step looks ahead along the velocity, as Nesterov's does.
    pub nesterov: bool,
    /// L2 regularisation: weight_decay * theta is added to the gradient.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Default for Momentum {
    fn default() -> Self {
        Self {
            beta: 0.9,
            nesterov: false,
            weight_decay: 0.0,
        }
    }
}

impl Rule<1> for Momentum {
    const STATE: [&'static str; 1] = ["velocity"];

    #[inline(always)]
    fn update<R: Real>(&self, at: At, theta: R, g: R, [v]: [R; 1]) -> (R, [R; 1]) {
        let g = g + theta.clone().scale(self.weight_decay);
        let v = v.scale(self.beta) + g.clone();
        let step = if self.nesterov {
            g + v.clone().scale(self.beta)
        } else {
            v.clone()
        };
        (theta - step.scale(at.lr), [v])
    }
}
