use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Adam, At, Real, Rule,
    algorithms::{average, decayed},
    rule::power,
};

/// RAdam: Adam that waits with its second moment until the variance of it is bounded, and rectifies it then.
///
/// With `rho_inf = 2 / (1 - beta2) - 1` and `rho = rho_inf - 2 t beta2^t / (1 - beta2^t)`: `theta - lr m_hat` while
/// `rho <= 5`, then `theta - lr r m_hat sqrt(1 - beta2^t) / (sqrt(v) + eps)` with
/// `r^2 = (rho - 4)(rho - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho)`.
///
/// Liu et al., arXiv 1908.03265, with the threshold 5 of PyTorch and the authors' code; the paper's is 4.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RAdam {
    /// Decay of the first moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta1: f64,
    /// Decay of the second moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta2: f64,
    /// Added to the square root of the second moment.
    #[schemars(range(min = 0.0))]
    pub eps: f64,
    /// L2 regularisation, weight_decay * theta added to the gradient, unless it is decoupled.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Whether each update takes lr * weight_decay * theta from the parameter instead, as in AdamW.
    pub decoupled_weight_decay: bool,
}

impl Default for RAdam {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled_weight_decay: false,
        }
    }
}

impl Rule<2> for RAdam {
    const STATE: [&'static str; 2] = Adam::STATE;

    #[inline(always)]
    fn update<R: Real>(&self, at: At, theta: R, g: R, [m, v]: [R; 2]) -> (R, [R; 2]) {
        let (theta, g) = decayed(theta, g, self.weight_decay, self.decoupled_weight_decay, at.lr);
        let m = average(self.beta1, m, g.clone());
        let v = average(self.beta2, v, g.clone() * g);
        let m_hat = m.clone().scale(1.0 / at.correction(self.beta1));
        let step = match self.rectification(at) {
            Some(r) => m_hat.scale(r * at.correction(self.beta2).sqrt()) / v.clone().sqrt().shift(self.eps),
            None => m_hat,
        };
        (theta - step.scale(at.lr), [m, v])
    }
}

impl RAdam {
    /// `r`, once the variance is bounded.
    #[inline(always)]
    fn rectification(&self, at: At) -> Option<f64> {
        let rho_inf = 2.0 / (1.0 - self.beta2) - 1.0;
        let rho = rho_inf - 2.0 * at.t as f64 * power(self.beta2, at.t) / at.correction(self.beta2);
        let square = (rho - 4.0) * (rho - 2.0) * rho_inf / ((rho_inf - 4.0) * (rho_inf - 2.0) * rho);
        (rho > 5.0).then(|| square.sqrt())
    }
}
