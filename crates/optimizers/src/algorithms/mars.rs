use std::sync::Arc;

use burn::{
    optim::{DynOptimizer, Optimizer},
    tensor::{Device, Tensor},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Adam, At,
    whole::{Whole, norm},
};

/// MARS: AdamW on a gradient whose variance is reduced by the last one,
/// `c = g + gamma beta1 / (1 - beta1) (g - g_before)`, and whose norm is clipped to 1 in each tensor.
///
/// Yuan et al., arXiv 2411.10438, MARS-AdamW in its approximate form, which takes the last step's gradient where the
/// exact form computes another one. The first change is zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Mars {
    /// Decay of the first moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta1: f64,
    /// Decay of the second moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta2: f64,
    /// How much of the change corrects the gradient.
    #[schemars(range(min = 0.0))]
    pub gamma: f64,
    /// Added to the square root of the second moment.
    #[schemars(range(min = 0.0))]
    pub eps: f64,
    /// Each update takes lr * weight_decay * theta from the parameter.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

/// What MARS remembers of a parameter; its tensors are flat.
#[derive(Clone, Debug, crate::RecordState)]
pub struct MarsState {
    t: u64,
    first_moment: Tensor<1>,
    second_moment: Tensor<1>,
    gradient: Tensor<1>,
}

impl Default for Mars {
    fn default() -> Self {
        Self {
            beta1: 0.95,
            beta2: 0.99,
            gamma: 0.025,
            eps: 1e-8,
            weight_decay: 0.1,
        }
    }
}

impl Optimizer for Mars {
    type State<const D: usize> = MarsState;

    fn step<const D: usize>(
        &self,
        lr: f64,
        theta: Tensor<D>,
        g: Tensor<D>,
        state: Option<MarsState>,
    ) -> (Tensor<D>, Option<MarsState>) {
        let shape = theta.shape();
        let elements = shape.num_elements();
        let (theta, g) = (theta.reshape([elements]), g.reshape([elements]));
        let (t, moments, before) = match state {
            Some(state) => (
                state.t + 1,
                [state.first_moment, state.second_moment],
                state.gradient,
            ),
            None => (1, [theta.zeros_like(), theta.zeros_like()], g.clone()),
        };
        let factor = self.gamma * self.beta1 / (1.0 - self.beta1);
        let corrected = g.clone() + (g.clone() - before) * factor;
        let corrected = corrected.clone() / norm(corrected).clamp_min(1.0);
        let (step, [first_moment, second_moment]) = self.adam().step(At::new(t, lr), corrected, moments);
        let decay = theta.clone() * self.weight_decay;
        let state = MarsState {
            t,
            first_moment,
            second_moment,
            gradient: g,
        };
        ((theta - (step + decay) * lr).reshape(shape), Some(state))
    }

    fn to_device<const D: usize>(state: MarsState, device: &Device) -> MarsState {
        MarsState {
            t: state.t,
            first_moment: state.first_moment.to_device(device),
            second_moment: state.second_moment.to_device(device),
            gradient: state.gradient.to_device(device),
        }
    }
}

impl Whole for Mars {
    fn for_rank(&self, _rank: usize) -> Arc<dyn DynOptimizer> {
        Arc::new(self.clone())
    }
}

impl Mars {
    fn adam(&self) -> Adam {
        Adam {
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            weight_decay: 0.0,
        }
    }
}
