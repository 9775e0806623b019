use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{At, Real, Rule, algorithms::average};

/// Schedule-Free AdamW: takes gradients at `y`, steps `z`, and promises their average `x`, in place of a decay.
///
/// `v = beta2 v + (1 - beta2) g^2; gamma = lr sqrt(1 - beta2^t); d = g / (sqrt(v) + eps) + weight_decay y;
/// z = z - gamma d; c = gamma^2 / sum gamma^2; x = (1 - c) x + c z; y = (1 - beta1) z + beta1 x`. The parameter is `y`; its
/// evaluation, [`averaged`](Rule::averaged), is `x`. Meant for a constant learning rate after a warm-up.
///
/// Defazio et al., arXiv 2405.15682, algorithm 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ScheduleFreeAdamW {
    /// How near to the average the gradients are taken.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub beta1: f64,
    /// Decay of the second moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta2: f64,
    /// Added to the square root of the second moment.
    #[schemars(range(min = 0.0))]
    pub eps: f64,
    /// Each step takes gamma * weight_decay * y.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Default for ScheduleFreeAdamW {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.1,
        }
    }
}

impl Rule<2> for ScheduleFreeAdamW {
    const STATE: [&'static str; 2] = ["z", "second_moment"];
    const RUNNING: bool = true;

    #[inline(always)]
    fn update<R: Real>(&self, at: At, y: R, g: R, [z, v]: [R; 2]) -> (R, [R; 2]) {
        let z = if at.t == 1 { y.clone() } else { z };
        let v = average(self.beta2, v, g.clone() * g.clone());
        let gamma = self.gamma(at);
        let c = if at.running > 0.0 {
            gamma * gamma / at.running
        } else {
            0.0 // every learning rate so far was 0
        };
        let d = g / v.clone().sqrt().shift(self.eps) + y.clone().scale(self.weight_decay);
        // x = (y - (1 - beta1) z) / beta1, put into the y that follows, so that x needs no memory.
        let moved =
            (z.clone() - y.clone()).scale(c) + d.clone().scale(gamma * (self.beta1 * (1.0 - c) - 1.0));
        (y + moved, [z - d.scale(gamma), v])
    }

    /// The sum of `gamma^2`.
    fn running(&self, at: At) -> f64 {
        at.running + self.gamma(at).powi(2)
    }

    fn averaged<R: Real>(&self, y: R, [z, _]: [R; 2]) -> R {
        y.clone() + (y - z).scale(1.0 / self.beta1 - 1.0)
    }
}

impl ScheduleFreeAdamW {
    #[inline(always)]
    fn gamma(&self, at: At) -> f64 {
        at.lr * at.correction(self.beta2).sqrt()
    }
}
