use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Adam, At, Real, Rule};

/// Adam with decoupled weight decay: `theta - lr (m_hat / (sqrt(v_hat) + eps) + weight_decay theta)`.
///
/// Loshchilov and Hutter, arXiv 1711.05101, in PyTorch's reading, where the decay is multiplied by the learning rate.
/// Cautious decay (arXiv 2510.12402) decays an element only where that goes the way of its step, `step theta > 0`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AdamW {
    /// Decay of the first moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta1: f64,
    /// Decay of the second moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta2: f64,
    /// Added to the square root of the second moment.
    #[schemars(range(min = 0.0))]
    pub eps: f64,
    /// Each update takes lr * weight_decay * theta from the parameter.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Whether an element decays only where its step shrinks it too.
    pub cautious: bool,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.1,
            cautious: false,
        }
    }
}

impl Rule<2> for AdamW {
    const STATE: [&'static str; 2] = Adam::STATE;

    #[inline(always)]
    fn update<R: Real>(&self, at: At, theta: R, g: R, moments: [R; 2]) -> (R, [R; 2]) {
        let (step, moments) = self.adam().step(at, g, moments);
        let mut decay = theta.clone().scale(self.weight_decay);
        if self.cautious {
            decay = decay.where_positive(step.clone().sign() * theta.clone().sign());
        }
        (theta - (step + decay).scale(at.lr), moments)
    }

    fn as_adamw(&self) -> Option<AdamW> {
        (!self.cautious).then(|| self.clone())
    }
}

impl AdamW {
    /// The same without weight decay.
    #[inline(always)]
    fn adam(&self) -> Adam {
        Adam {
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            weight_decay: 0.0,
        }
    }
}
