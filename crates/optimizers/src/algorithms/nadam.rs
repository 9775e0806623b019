use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Adam, At, Real, Rule,
    algorithms::{average, decayed},
};

/// NAdam: Adam with Nesterov's look-ahead, `theta - lr (mu_(t+1) m / (1 - mu_1 ... mu_(t+1)) + (1 - mu_t) g / (1 - mu_1 ... mu_t)) / (sqrt(v_hat) + eps)`.
///
/// Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016, with its schedule of momenta,
/// `mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)`, as in PyTorch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NAdam {
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
    /// How fast the momentum rises towards beta1.
    #[schemars(range(min = 0.0))]
    pub momentum_decay: f64,
}

impl Default for NAdam {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled_weight_decay: false,
            momentum_decay: 0.004,
        }
    }
}

impl Rule<2> for NAdam {
    const STATE: [&'static str; 2] = Adam::STATE;
    const RUNNING: bool = true;

    #[inline(always)]
    fn update<R: Real>(&self, at: At, theta: R, g: R, [m, v]: [R; 2]) -> (R, [R; 2]) {
        let (theta, g) = decayed(theta, g, self.weight_decay, self.decoupled_weight_decay, at.lr);
        let m = average(self.beta1, m, g.clone());
        let v = average(self.beta2, v, g.clone() * g.clone());
        let (now, next) = (self.momentum(at.t), self.momentum(at.t + 1));
        let ahead = m.clone().scale(next / (1.0 - at.running * next));
        let step = ahead + g.scale((1.0 - now) / (1.0 - at.running));
        let v_hat = v.clone().scale(1.0 / at.correction(self.beta2));
        let step = step / v_hat.sqrt().shift(self.eps);
        (theta - step.scale(at.lr), [m, v])
    }

    /// `mu_1 ... mu_t`.
    fn running(&self, at: At) -> f64 {
        let before = if at.t == 1 { 1.0 } else { at.running };
        before * self.momentum(at.t)
    }
}

impl NAdam {
    /// `mu_t`.
    #[inline(always)]
    fn momentum(&self, t: u64) -> f64 {
        self.beta1 * (1.0 - 0.5 * 0.96f64.powf(t as f64 * self.momentum_decay))
    }
}
