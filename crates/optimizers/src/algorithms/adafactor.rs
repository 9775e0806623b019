use std::sync::Arc;

use burn::{
    optim::{DynOptimizer, Optimizer},
    tensor::{Device, Tensor},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::whole::{Whole, norm, square_summable};

/// Adafactor: a second moment kept as a row and a column, `v = r c / mean(r)`, and steps relative to the parameter.
///
/// With `b = t^beta2_decay`: `r` and `c` are averages, of weight `b`, of the row and column means of `g^2 + eps1`;
/// `u = g / sqrt(v)`, `u = u / max(1, rms(u) / clip_threshold)`;
/// `theta (1 - lr weight_decay) - max(eps2, rms(theta)) min(lr, 1 / sqrt(t)) u`. Vectors keep their second moment whole.
///
/// Shazeer and Stern, arXiv 1804.04235, algorithms 4 and 5, with PyTorch's decoupled decay and its learning rate in
/// place of the paper's constant 0.01. PyTorch holds `v` above `eps1^2`, where the paper adds `eps1` to `g^2`; ours does.
/// Gradients beyond 1e15 (in f32) are held there, since their squares would overflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Adafactor {
    /// The exponent of the second moment's averaging, negative.
    #[schemars(range(max = 0.0))]
    pub beta2_decay: f64,
    /// Added to the squares of the gradients.
    #[schemars(range(min = 0.0))]
    pub eps1: f64,
    /// The least root mean square of a parameter that its step is relative to.
    #[schemars(range(min = 0.0))]
    pub eps2: f64,
    /// The largest root mean square of a step, before the learning rate.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub clip_threshold: f64,
    /// Each update takes lr * weight_decay * theta from the parameter.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

/// What Adafactor remembers of a parameter of rank `D`.
#[derive(Clone, Debug, crate::RecordState)]
pub struct AdafactorState<const D: usize> {
    t: u64,
    /// The mean of each row of a matrix, or the whole second moment of a vector.
    rows: Tensor<D>,
    /// The mean of each column of a matrix.
    columns: Option<Tensor<D>>,
}

impl Default for Adafactor {
    fn default() -> Self {
        Self {
            beta2_decay: -0.8,
            eps1: 1e-30,
            eps2: 1e-3,
            clip_threshold: 1.0,
            weight_decay: 0.0,
        }
    }
}

impl Optimizer for Adafactor {
    type State<const D: usize> = AdafactorState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        theta: Tensor<D>,
        g: Tensor<D>,
        state: Option<AdafactorState<D>>,
    ) -> (Tensor<D>, Option<AdafactorState<D>>) {
        let g = square_summable(g);
        let state = self.averaged(g.clone().square() + self.eps1, state);
        let step = match &state.columns {
            Some(columns) => {
                // One root after the other: products and quotients of the means may leave f32's range.
                let mean = state.rows.clone().mean_dim(D - 2);
                g / state.rows.clone().sqrt() * mean.sqrt() / columns.clone().sqrt()
            }
            None => g / state.rows.clone().sqrt(),
        };
        let excess = (root_mean_square(step.clone()) / self.clip_threshold).clamp_min(1.0);
        let relative = root_mean_square(theta.clone()).clamp_min(self.eps2) / excess;
        let rate = lr.min(1.0 / (state.t as f64).sqrt());
        let theta = theta * (1.0 - lr * self.weight_decay) - step * relative.unsqueeze() * rate;
        (theta, Some(state))
    }

    fn to_device<const D: usize>(state: AdafactorState<D>, device: &Device) -> AdafactorState<D> {
        AdafactorState {
            t: state.t,
            rows: state.rows.to_device(device),
            columns: state.columns.map(|columns| columns.to_device(device)),
        }
    }
}

impl Adafactor {
    /// The moments with another gradient's squares in them.
    fn averaged<const D: usize>(
        &self,
        squares: Tensor<D>,
        state: Option<AdafactorState<D>>,
    ) -> AdafactorState<D> {
        let (rows, columns) = if D >= 2 {
            (squares.clone().mean_dim(D - 1), Some(squares.mean_dim(D - 2)))
        } else {
            (squares, None)
        };
        let Some(before) = state else {
            return AdafactorState { t: 1, rows, columns };
        };
        let t = before.t + 1;
        let weight = (t as f64).powf(self.beta2_decay);
        let average = |mean: Tensor<D>, value: Tensor<D>| mean * (1.0 - weight) + value * weight;
        AdafactorState {
            t,
            rows: average(before.rows, rows),
            columns: before
                .columns
                .zip(columns)
                .map(|(mean, value)| average(mean, value)),
        }
    }
}

impl Whole for Adafactor {
    fn for_rank(&self, _rank: usize) -> Arc<dyn DynOptimizer> {
        Arc::new(self.clone())
    }
}

fn root_mean_square<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let elements = tensor.shape().num_elements() as f64;
    norm(tensor) / elements.sqrt()
}
