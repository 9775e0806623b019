use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{At, Real, Rule, algorithms::average};

/// Adan: moments of the gradient, of its change `d = g - g_before` and of their sum,
/// `theta = (theta - lr (m_hat + beta2 v_hat) / (sqrt(n_hat) + eps)) / (1 + lr weight_decay)` with
/// `m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) d; n = beta3 n + (1 - beta3) (g + beta2 d)^2`.
///
/// Xie et al., arXiv 2208.06677, algorithm 1, in the authors' code's notation: the paper's betas are one minus these. The
/// first change is zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Adan {
    /// Decay of the first moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta1: f64,
    /// Decay of the moment of the change.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta2: f64,
    /// Decay of the second moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta3: f64,
    /// Added to the square root of the second moment.
    #[schemars(range(min = 0.0))]
    pub eps: f64,
    /// The proximal decay: each update divides by 1 + lr * weight_decay.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Default for Adan {
    fn default() -> Self {
        Self {
            beta1: 0.98,
            beta2: 0.92,
            beta3: 0.99,
            eps: 1e-8,
            weight_decay: 0.02,
        }
    }
}

impl Rule<4> for Adan {
    const STATE: [&'static str; 4] = ["first_moment", "change_moment", "second_moment", "gradient"];

    #[inline(always)]
    fn update<R: Real>(&self, at: At, theta: R, g: R, [m, v, n, before]: [R; 4]) -> (R, [R; 4]) {
        let change = if at.t == 1 {
            before // zeros
        } else {
            g.clone() - before
        };
        let ahead = g.clone() + change.clone().scale(self.beta2);
        let m = average(self.beta1, m, g.clone());
        let v = average(self.beta2, v, change);
        let n = average(self.beta3, n, ahead.clone() * ahead);
        let m_hat = m.clone().scale(1.0 / at.correction(self.beta1));
        let v_hat = v.clone().scale(self.beta2 / at.correction(self.beta2));
        let n_hat = n.clone().scale(1.0 / at.correction(self.beta3));
        let step = (m_hat + v_hat) / n_hat.sqrt().shift(self.eps);
        let theta = (theta - step.scale(at.lr)).scale(1.0 / (1.0 + at.lr * self.weight_decay));
        (theta, [m, v, n, g])
    }
}
