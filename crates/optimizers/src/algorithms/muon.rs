use std::sync::Arc;

use burn::{
    optim::{DynOptimizer, Optimizer},
    tensor::{Device, Tensor},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AdamW, Elementwise,
    whole::{Whole, norm},
};

/// Muon: momentum, made orthogonal: `m = momentum m + (1 - momentum) g`, `o` the orthogonal factor of `m` (of
/// `(1 - momentum) g + momentum m` with Nesterov's), `theta (1 - lr weight_decay) - lr scale o`.
///
/// The orthogonal factor is approximated by `ns_steps` of Newton and Schulz's iteration in Jordan's quintic form,
/// `x = a x + (b x x^T + c (x x^T)^2) x` with (a, b, c) = (3.4445, -4.775, 2.0315), from `x = m / |m|`, which leaves the
/// singular values near 1, between 0.7 and 1.2.
///
/// Jordan et al., kellerjordan.github.io/posts/muon, 2024; the scale of [`AdjustLr::MatchRmsAdamW`] by Liu et al.,
/// arXiv 2502.16982. Parameters of any other rank than 2 are [`AdamW`]'s; a recipe should give it the embeddings too, by
/// a group. PyTorch iterates in bfloat16, this in the parameter's precision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Muon {
    /// How much of the momentum stays from one update to the next.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub momentum: f64,
    /// Whether the step looks ahead along the momentum.
    pub nesterov: bool,
    /// Iterations towards the orthogonal factor.
    #[schemars(range(min = 1, max = 99))]
    pub ns_steps: u32,
    /// The least norm of a momentum that is divided by it.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub eps: f64,
    /// How the step depends on the matrix's shape.
    pub adjust_lr: AdjustLr,
    /// Each update takes lr * weight_decay * theta from the parameter.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// beta1 of AdamW, for the parameters that are no matrices.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub adamw_beta1: f64,
    /// beta2 of AdamW.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub adamw_beta2: f64,
    /// eps of AdamW.
    #[schemars(range(min = 0.0))]
    pub adamw_eps: f64,
}

/// The scale of Muon's step for a weight `[inputs, outputs]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AdjustLr {
    /// `sqrt(max(1, outputs / inputs))`, Jordan's.
    Original,
    /// `0.2 sqrt(max(inputs, outputs))`: steps as large as AdamW's, so that one learning rate serves both.
    #[default]
    #[serde(rename = "match-rms-adamw")]
    MatchRmsAdamW,
}

/// What Muon remembers of a matrix.
#[derive(Clone, Debug, crate::RecordState)]
pub struct MuonState<const D: usize> {
    momentum: Tensor<D>,
}

impl Default for Muon {
    fn default() -> Self {
        Self {
            momentum: 0.95,
            nesterov: true,
            ns_steps: 5,
            eps: 1e-7,
            adjust_lr: AdjustLr::default(),
            weight_decay: 0.1,
            adamw_beta1: 0.9,
            adamw_beta2: 0.95,
            adamw_eps: 1e-8,
        }
    }
}

/// Of matrices alone: a step of a parameter of another rank is the momentum itself, at its norm.
impl Optimizer for Muon {
    type State<const D: usize> = MuonState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        theta: Tensor<D>,
        g: Tensor<D>,
        state: Option<MuonState<D>>,
    ) -> (Tensor<D>, Option<MuonState<D>>) {
        let lerp = |from: Tensor<D>, to: Tensor<D>| from * self.momentum + to * (1.0 - self.momentum);
        let momentum = match state {
            Some(state) => lerp(state.momentum, g.clone()),
            None => g.clone() * (1.0 - self.momentum),
        };
        let direction = if self.nesterov {
            lerp(momentum.clone(), g)
        } else {
            momentum.clone()
        };
        let scale = self.adjust_lr.scale(&theta.dims());
        let theta = theta * (1.0 - lr * self.weight_decay) - self.orthogonal(direction) * (lr * scale);
        (theta, Some(MuonState { momentum }))
    }

    fn to_device<const D: usize>(state: MuonState<D>, device: &Device) -> MuonState<D> {
        MuonState {
            momentum: state.momentum.to_device(device),
        }
    }
}

impl Muon {
    /// The orthogonal factor of a matrix, nearly.
    fn orthogonal<const D: usize>(&self, matrix: Tensor<D>) -> Tensor<D> {
        const COEFFICIENTS: (f64, f64, f64) = (3.4445, -4.775, 2.0315);
        let length = norm(matrix.clone()).clamp_min(self.eps).unsqueeze();
        let x = matrix / length;
        let &[.., rows, columns] = x.dims().as_slice() else {
            return x;
        };
        // The smaller of the two Gram matrices.
        let tall = rows > columns;
        let mut x = if tall { x.swap_dims(D - 2, D - 1) } else { x };
        let (a, b, c) = COEFFICIENTS;
        for _ in 0..self.ns_steps {
            let gram = x.clone().matmul(x.clone().swap_dims(D - 2, D - 1));
            let polynomial = gram.clone() * b + gram.clone().matmul(gram) * c;
            x = x.clone() * a + polynomial.matmul(x);
        }
        if tall { x.swap_dims(D - 2, D - 1) } else { x }
    }
}

impl Whole for Muon {
    fn for_rank(&self, rank: usize) -> Arc<dyn DynOptimizer> {
        if rank == 2 {
            return Arc::new(self.clone());
        }
        Arc::new(Elementwise::new(AdamW {
            beta1: self.adamw_beta1,
            beta2: self.adamw_beta2,
            eps: self.adamw_eps,
            weight_decay: self.weight_decay,
            cautious: false,
        }))
    }
}

impl AdjustLr {
    fn scale(self, shape: &[usize]) -> f64 {
        let &[inputs, outputs] = shape else {
            return 1.0;
        };
        let (inputs, outputs) = (inputs as f64, outputs as f64);
        match self {
            Self::Original => (outputs / inputs).max(1.0).sqrt(),
            Self::MatchRmsAdamW => 0.2 * inputs.max(outputs).sqrt(),
        }
    }
}
