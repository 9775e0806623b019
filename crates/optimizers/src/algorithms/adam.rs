use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{At, Real, Rule, algorithms::average};

/// Adam: `m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; theta - lr m_hat / (sqrt(v_hat) + eps)`, where a
/// hat divides by `1 - beta^t`.
///
/// Kingma and Ba, arXiv 1412.6980. Its weight decay is L2 regularisation, part of the gradient and so of its moments,
/// as in PyTorch; [`AdamW`](crate::AdamW) decouples it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Adam {
    /// Decay of the first moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta1: f64,
    /// Decay of the second moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta2: f64,
    /// Added to the square root of the second moment.
    #[schemars(range(min = 0.0))]
    pub eps: f64,
    /// L2 regularisation: weight_decay * theta is added to the gradient.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }
}

impl Rule<2> for Adam {
    const STATE: [&'static str; 2] = ["first_moment", "second_moment"];

    #[inline(always)]
    fn update<R: Real>(&self, at: At, theta: R, g: R, moments: [R; 2]) -> (R, [R; 2]) {
        let g = g + theta.clone().scale(self.weight_decay);
        let (step, moments) = self.step(at, g, moments);
        (theta - step.scale(at.lr), moments)
    }
}

impl Adam {
    /// `m_hat / (sqrt(v_hat) + eps)`, and the moments that follow.
    #[inline(always)]
    pub(crate) fn step<R: Real>(&self, at: At, g: R, [m, v]: [R; 2]) -> (R, [R; 2]) {
        let m = average(self.beta1, m, g.clone());
        let v = average(self.beta2, v, g.clone() * g);
        let m_hat = m.clone().scale(1.0 / at.correction(self.beta1));
        let v_hat = v.clone().scale(1.0 / at.correction(self.beta2));
        (m_hat / v_hat.sqrt().shift(self.eps), [m, v])
    }
}
