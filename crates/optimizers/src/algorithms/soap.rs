use std::sync::Arc;

use burn::{
    optim::{DynOptimizer, Optimizer},
    tensor::{DType, Device, Tensor, TensorData},
};
use nalgebra::DMatrix;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AdamW, At, Elementwise,
    whole::{Whole, square_summable},
};

/// SOAP: Adam in the eigenbasis of Shampoo's preconditioner.
///
/// `l` and `r` are averages of `g g^T` and `g^T g` with eigenvectors `p` and `q`;
/// `m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) (p^T g q)^2;
/// theta - lr (p (p^T m_hat q / (sqrt(v_hat) + eps)) q^T + weight_decay theta)`. Every `frequency` updates the
/// eigenvectors follow by one step of orthogonal iteration, `p = QR(l p)`.
///
/// Vyas et al., arXiv 2409.11321, algorithm 3. The first gradient only sets the eigenvectors, as in the authors' code; a
/// side longer than `largest_side` keeps the identity; parameters of any other rank than 2 are [`AdamW`]'s.
/// Eigenvectors are computed in f64 on the CPU. Gradients beyond 1e15 (in f32) are held there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Soap {
    /// Decay of the first moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta1: f64,
    /// Decay of the second moment.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta2: f64,
    /// Decay of the preconditioner.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub preconditioner_beta: f64,
    /// Updates between two computations of the eigenvectors.
    #[schemars(range(min = 1))]
    pub frequency: u64,
    /// The longest side of a matrix that is preconditioned.
    pub largest_side: usize,
    /// Added to the square root of the second moment.
    #[schemars(range(min = 0.0))]
    pub eps: f64,
    /// Each update takes lr * weight_decay * theta from the parameter.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

/// What SOAP remembers of a matrix `[m, n]`.
#[derive(Clone, Debug, crate::RecordState)]
pub struct SoapState<const D: usize> {
    t: u64,
    first_moment: Tensor<D>,
    /// In the eigenbasis.
    second_moment: Tensor<D>,
    /// `[m, m]`.
    left: Option<Tensor<D>>,
    left_vectors: Option<Tensor<D>>,
    /// `[n, n]`.
    right: Option<Tensor<D>>,
    right_vectors: Option<Tensor<D>>,
}

impl Default for Soap {
    fn default() -> Self {
        Self {
            beta1: 0.95,
            beta2: 0.95,
            preconditioner_beta: 0.95,
            frequency: 10,
            largest_side: 10_000,
            eps: 1e-8,
            weight_decay: 0.01,
        }
    }
}

/// Of matrices alone.
impl Optimizer for Soap {
    type State<const D: usize> = SoapState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        theta: Tensor<D>,
        g: Tensor<D>,
        state: Option<SoapState<D>>,
    ) -> (Tensor<D>, Option<SoapState<D>>) {
        let g = square_summable(g);
        let Some(mut state) = state else {
            return (theta, Some(self.first(&g)));
        };
        state.t += 1;
        // The first gradient made no step, so Adam counts from the second.
        let at = At::new(state.t - 1, lr);
        let average = |beta: f64, mean: Tensor<D>, value: Tensor<D>| mean * beta + value * (1.0 - beta);
        state.first_moment = average(self.beta1, state.first_moment, g.clone());
        let squares = state.to_eigenbasis(g.clone()).square();
        state.second_moment = average(self.beta2, state.second_moment, squares);

        let m_hat = state.to_eigenbasis(state.first_moment.clone()) / at.correction(self.beta1);
        let v_hat = state.second_moment.clone() / at.correction(self.beta2);
        let step = state.out_of_eigenbasis(m_hat / (v_hat.sqrt() + self.eps));
        let decay = theta.clone() * self.weight_decay;
        let theta = theta - (step + decay) * lr;

        let beta = self.preconditioner_beta;
        state.left = state.left.map(|left| average(beta, left, outer(&g)));
        state.right = state.right.map(|right| average(beta, right, inner(&g)));
        if at.t.is_multiple_of(self.frequency) {
            state.left_vectors = followed(state.left.as_ref(), state.left_vectors);
            state.right_vectors = followed(state.right.as_ref(), state.right_vectors);
        }
        (theta, Some(state))
    }

    fn to_device<const D: usize>(state: SoapState<D>, device: &Device) -> SoapState<D> {
        let moved = |tensor: Option<Tensor<D>>| tensor.map(|tensor| tensor.to_device(device));
        SoapState {
            t: state.t,
            first_moment: state.first_moment.to_device(device),
            second_moment: state.second_moment.to_device(device),
            left: moved(state.left),
            left_vectors: moved(state.left_vectors),
            right: moved(state.right),
            right_vectors: moved(state.right_vectors),
        }
    }
}

impl Soap {
    /// The state after the first gradient.
    fn first<const D: usize>(&self, g: &Tensor<D>) -> SoapState<D> {
        let weight = 1.0 - self.preconditioner_beta;
        let dims = g.dims();
        let (rows, columns) = (dims[D - 2], dims[D - 1]);
        let left = (rows <= self.largest_side).then(|| outer(g) * weight);
        let right = (columns <= self.largest_side).then(|| inner(g) * weight);
        SoapState {
            t: 1,
            first_moment: g.zeros_like(),
            second_moment: g.zeros_like(),
            left_vectors: left.as_ref().map(eigenvectors),
            left,
            right_vectors: right.as_ref().map(eigenvectors),
            right,
        }
    }
}

impl<const D: usize> SoapState<D> {
    /// `p^T x q`.
    fn to_eigenbasis(&self, x: Tensor<D>) -> Tensor<D> {
        let x = match &self.left_vectors {
            Some(p) => p.clone().swap_dims(D - 2, D - 1).matmul(x),
            None => x,
        };
        match &self.right_vectors {
            Some(q) => x.matmul(q.clone()),
            None => x,
        }
    }

    /// `p x q^T`.
    fn out_of_eigenbasis(&self, x: Tensor<D>) -> Tensor<D> {
        let x = match &self.left_vectors {
            Some(p) => p.clone().matmul(x),
            None => x,
        };
        match &self.right_vectors {
            Some(q) => x.matmul(q.clone().swap_dims(D - 2, D - 1)),
            None => x,
        }
    }
}

impl Whole for Soap {
    fn for_rank(&self, rank: usize) -> Arc<dyn DynOptimizer> {
        if rank == 2 {
            return Arc::new(self.clone());
        }
        Arc::new(Elementwise::new(AdamW {
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            weight_decay: self.weight_decay,
            cautious: false,
        }))
    }
}

/// `g g^T`.
fn outer<const D: usize>(g: &Tensor<D>) -> Tensor<D> {
    g.clone().matmul(g.clone().swap_dims(D - 2, D - 1))
}

/// `g^T g`.
fn inner<const D: usize>(g: &Tensor<D>) -> Tensor<D> {
    g.clone().swap_dims(D - 2, D - 1).matmul(g.clone())
}

/// The eigenvectors of a symmetric matrix, by falling eigenvalue.
fn eigenvectors<const D: usize>(matrix: &Tensor<D>) -> Tensor<D> {
    on_host(matrix, matrix, |matrix, _| {
        let eigen = matrix.symmetric_eigen();
        let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        eigen.eigenvectors.select_columns(&order)
    })
}

/// The eigenvectors after one step of orthogonal iteration.
fn followed<const D: usize>(matrix: Option<&Tensor<D>>, vectors: Option<Tensor<D>>) -> Option<Tensor<D>> {
    let vectors = vectors?;
    Some(on_host(matrix?, &vectors, |matrix, vectors| {
        let largest = matrix.amax();
        if largest == 0.0 {
            return vectors; // no gradient yet
        }
        (matrix / largest * vectors).qr().q()
    }))
}

/// A square matrix of two others, computed in f64 on the CPU.
fn on_host<const D: usize>(
    a: &Tensor<D>,
    b: &Tensor<D>,
    compute: impl Fn(DMatrix<f64>, DMatrix<f64>) -> DMatrix<f64>,
) -> Tensor<D> {
    let side = a.dims()[D - 1];
    // Both are read row by row.
    let read = |tensor: &Tensor<D>| {
        let numbers: Vec<f64> = tensor.to_data().iter::<f64>().collect();
        DMatrix::from_row_slice(side, side, &numbers)
    };
    let result = compute(read(a), read(b)).transpose();
    let data = TensorData::new(result.as_slice().to_vec(), a.shape());
    let dtype: DType = a.dtype();
    Tensor::from_data(data.convert_dtype(dtype), (&a.device(), dtype))
}
