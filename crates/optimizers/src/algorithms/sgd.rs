use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{At, Real, Rule};

/// Stochastic gradient descent: `theta - lr g`.
///
/// Robbins and Monro, "A stochastic approximation method", 1951.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Sgd {
    /// L2 regularisation: weight_decay * theta is added to the gradient.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Rule<0> for Sgd {
    const STATE: [&'static str; 0] = [];

    #[inline(always)]
    fn update<R: Real>(&self, at: At, theta: R, g: R, []: [R; 0]) -> (R, [R; 0]) {
        let g = g + theta.clone().scale(self.weight_decay);
        (theta - g.scale(at.lr), [])
    }
}
