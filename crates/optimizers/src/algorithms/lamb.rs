use std::sync::Arc;

use burn::{
    optim::{DynOptimizer, Optimizer},
    tensor::{Device, Tensor},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Adam, At,
    whole::{Whole, norm, smallest},
};

/// LAMB: AdamW's step `r = m_hat / (sqrt(v_hat) + eps) + weight_decay theta`, of each tensor as long as the tensor is,
/// `theta - lr |theta| / |r| r`; where either norm is 0, the ratio is 1.
///
/// You et al., arXiv 1904.00962, with the identity for phi.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Lamb {
    /// Decay of the first moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta1: f64,
    /// Decay of the second moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta2: f64,
    /// Added to the square root of the second moment.
    #[schemars(range(min = 0.0))]
    pub eps: f64,
    /// weight_decay * theta is added to the step before its length is set.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

/// What LAMB remembers of a parameter; its tensors are flat.
#[derive(Clone, Debug, crate::RecordState)]
pub struct LambState {
    t: u64,
    first_moment: Tensor<1>,
    second_moment: Tensor<1>,
}

impl Default for Lamb {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-6,
            weight_decay: 0.01,
        }
    }
}

impl Optimizer for Lamb {
    type State<const D: usize> = LambState;

    fn step<const D: usize>(
        &self,
        lr: f64,
        theta: Tensor<D>,
        g: Tensor<D>,
        state: Option<LambState>,
    ) -> (Tensor<D>, Option<LambState>) {
        let shape = theta.shape();
        let elements = shape.num_elements();
        let (theta, g) = (theta.reshape([elements]), g.reshape([elements]));
        let (t, moments) = match state {
            Some(state) => (state.t + 1, [state.first_moment, state.second_moment]),
            None => (1, [theta.zeros_like(), theta.zeros_like()]),
        };
        let (step, [first_moment, second_moment]) = self.adam().step(At::new(t, lr), g, moments);
        let step = step + theta.clone() * self.weight_decay;
        let step = trusted(step, &theta);
        let state = LambState {
            t,
            first_moment,
            second_moment,
        };
        ((theta - step * lr).reshape(shape), Some(state))
    }

    fn to_device<const D: usize>(state: LambState, device: &Device) -> LambState {
        LambState {
            t: state.t,
            first_moment: state.first_moment.to_device(device),
            second_moment: state.second_moment.to_device(device),
        }
    }
}

impl Whole for Lamb {
    fn for_rank(&self, _rank: usize) -> Arc<dyn DynOptimizer> {
        Arc::new(self.clone())
    }
}

impl Lamb {
    fn adam(&self) -> Adam {
        Adam {
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            weight_decay: 0.0,
        }
    }
}

/// The step at the length of the parameter, where both have one.
fn trusted(step: Tensor<1>, theta: &Tensor<1>) -> Tensor<1> {
    let (length, wanted) = (norm(step.clone()), norm(theta.clone()));
    let none = length
        .clone()
        .equal_elem(0.0)
        .bool_or(wanted.clone().equal_elem(0.0));
    let unit = step / length.clone().clamp_min(smallest(length.dtype()));
    // Divided first: the ratio of the norms may overflow where the step does not.
    unit * wanted.mask_where(none, length)
}
