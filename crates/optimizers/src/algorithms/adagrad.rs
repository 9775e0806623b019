use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{At, Real, Rule};

/// AdaGrad: `s = s + g^2; theta - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)`.
///
/// Duchi, Hazan and Singer, JMLR 12, 2011, with PyTorch's decay of the learning rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AdaGrad {
    /// How fast the learning rate falls by itself.
    #[schemars(range(min = 0.0))]
    pub lr_decay: f64,
    /// What the sum of squares begins with.
    #[schemars(range(min = 0.0))]
    pub initial_accumulator: f64,
    /// Added to the square root of the sum.
    #[schemars(range(min = 0.0))]
    pub eps: f64,
    /// L2 regularisation: weight_decay * theta is added to the gradient.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Default for AdaGrad {
    fn default() -> Self {
        Self {
            lr_decay: 0.0,
            initial_accumulator: 0.0,
            eps: 1e-10,
            weight_decay: 0.0,
        }
    }
}

impl Rule<1> for AdaGrad {
    const STATE: [&'static str; 1] = ["sum_of_squares"];

    #[inline(always)]
    fn update<R: Real>(&self, at: At, theta: R, g: R, [s]: [R; 1]) -> (R, [R; 1]) {
        let g = g + theta.clone().scale(self.weight_decay);
        let s = if at.t == 1 {
            s.shift(self.initial_accumulator)
        } else {
            s
        };
        let s = s + g.clone() * g.clone();
        let lr = at.lr / (1.0 + (at.t - 1) as f64 * self.lr_decay);
        (theta - (g / s.clone().sqrt().shift(self.eps)).scale(lr), [s])
    }
}
