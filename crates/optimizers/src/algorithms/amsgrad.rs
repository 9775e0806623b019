use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{At, Real, Rule, algorithms::average};

/// AMSGrad: Adam whose second moment never falls, `v_max = max(v_max, v)`; `theta - lr m_hat / (sqrt(v_max_hat) + eps)`.
///
/// Reddi, Kale and Kumar, arXiv 1904.09237, with Adam's bias correction and with L2 regularisation, as PyTorch's
/// `Adam(amsgrad=True)`; the paper has no bias correction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AmsGrad {
    /// Decay of the first moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta1: f64,
    /// Decay of the second moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta2: f64,
    /// Added to the square root of the largest second moment.
    #[schemars(range(min = 0.0))]
    pub eps: f64,
    /// L2 regularisation: weight_decay * theta is added to the gradient.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Default for AmsGrad {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }
}

impl Rule<3> for AmsGrad {
    const STATE: [&'static str; 3] = ["first_moment", "second_moment", "largest_second_moment"];

    #[inline(always)]
    fn update<R: Real>(&self, at: At, theta: R, g: R, [m, v, v_max]: [R; 3]) -> (R, [R; 3]) {
        let g = g + theta.clone().scale(self.weight_decay);
        let m = average(self.beta1, m, g.clone());
        let v = average(self.beta2, v, g.clone() * g);
        let v_max = v_max.max(v.clone());
        let m_hat = m.clone().scale(1.0 / at.correction(self.beta1));
        let v_hat = v_max.clone().scale(1.0 / at.correction(self.beta2));
        let step = m_hat / v_hat.sqrt().shift(self.eps);
        (theta - step.scale(at.lr), [m, v, v_max])
    }
}
