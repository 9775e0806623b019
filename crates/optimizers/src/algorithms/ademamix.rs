use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{At, Real, Rule, algorithms::average};

/// AdEMAMix: AdamW with a second, slow average of the gradients,
/// `theta - lr ((m_hat + alpha m_slow) / (sqrt(v_hat) + eps) + weight_decay theta)`; the slow one is not bias-corrected.
///
/// Pagliardini, Ablin and Grangier, arXiv 2409.03137. Over `warmup` updates alpha rises linearly from 0, and beta3 from
/// beta1 so that its half-life rises linearly, as the paper's schedulers do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AdEmaMix {
    /// Decay of the first moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta1: f64,
    /// Decay of the second moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta2: f64,
    /// Decay of the slow average.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta3: f64,
    /// The weight of the slow average.
    #[schemars(range(min = 0.0))]
    pub alpha: f64,
    /// Updates over which alpha and beta3 rise; 0 means none.
    pub warmup: u64,
    /// Added to the square root of the second moment.
    #[schemars(range(min = 0.0))]
    pub eps: f64,
    /// Each update takes lr * weight_decay * theta from the parameter.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Default for AdEmaMix {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            beta3: 0.9999,
            alpha: 5.0,
            warmup: 0,
            eps: 1e-8,
            weight_decay: 0.1,
        }
    }
}

impl Rule<3> for AdEmaMix {
    const STATE: [&'static str; 3] = ["first_moment", "slow_first_moment", "second_moment"];

    #[inline(always)]
    fn update<R: Real>(&self, at: At, theta: R, g: R, [m, slow, v]: [R; 3]) -> (R, [R; 3]) {
        let (alpha, beta3) = self.warmed_up(at.t);
        let m = average(self.beta1, m, g.clone());
        let slow = average(beta3, slow, g.clone());
        let v = average(self.beta2, v, g.clone() * g);
        let m_hat = m.clone().scale(1.0 / at.correction(self.beta1));
        let v_hat = v.clone().scale(1.0 / at.correction(self.beta2));
        let step = (m_hat + slow.clone().scale(alpha)) / v_hat.sqrt().shift(self.eps);
        let decay = theta.clone().scale(self.weight_decay);
        (theta - (step + decay).scale(at.lr), [m, slow, v])
    }
}

impl AdEmaMix {
    /// alpha and beta3 of the update `t`.
    #[inline(always)]
    fn warmed_up(&self, t: u64) -> (f64, f64) {
        if t >= self.warmup {
            return (self.alpha, self.beta3);
        }
        let share = t as f64 / self.warmup as f64;
        let (from, to) = (self.beta1.ln(), self.beta3.ln());
        let beta3 = (from * to / ((1.0 - share) * to + share * from)).exp();
        (share * self.alpha, beta3.min(self.beta3))
    }
}
