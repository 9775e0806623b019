//! An operation with its inputs, as the tests of all operations see it.
#![allow(dead_code, reason = "each test uses its part")]

pub mod cases;
pub mod loops;

use burn::tensor::{Device, Int, Tensor, TensorData};
use kernels::{Activation, AttentionShape, Dropout, Kernels, Operations, Precision};

pub const FUSED: Operations = Operations {
    kernels: Kernels::Fused,
    precision: Precision::F32,
};
pub const EPSILON: f64 = 1e-5;

/// Row-major f64, each an f32 value, so that the loops see exactly what the tensors hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    pub rows: usize,
    pub columns: usize,
    pub elements: Vec<f64>,
}

impl Matrix {
    pub fn row(&self, row: usize) -> &[f64] {
        &self.elements[row * self.columns..][..self.columns]
    }
}

/// An operation and what it does not differentiate.
#[derive(Clone, Debug)]
pub enum Kind {
    Linear,
    LinearTied,
    LayerNorm,
    BiasGelu,
    BiasActivation(Activation),
    BiasDropoutAdd(Dropout),
    BiasDropout(Dropout),
    Embedding {
        tokens: Vec<usize>,
        context: usize,
        dropout: Dropout,
    },
    Attention {
        shape: AttentionShape,
        dropout: Dropout,
    },
    /// Of the last `new` rows of a packed projection.
    CachedAttention {
        new: usize,
        heads: usize,
    },
    CrossEntropy {
        targets: Vec<usize>,
    },
}

/// An operation with its differentiable inputs, in the order of its arguments; vectors are one row, and a bias that is
/// left out comes last where it is there.
#[derive(Clone, Debug)]
pub struct Case {
    pub kind: Kind,
    pub inputs: Vec<Matrix>,
    /// What the outputs are multiplied with in the sum that is differentiated.
    pub weights: Matrix,
    pub layout: Layout,
}

/// How tensors lie in memory.
#[derive(Clone, Copy, Debug)]
pub enum Layout {
    Contiguous,
    /// Columns first.
    Transposed,
    /// Part of a larger tensor.
    Sliced,
}

impl Layout {
    /// The tensor to store.
    fn store(self, matrix: &Matrix, device: &Device) -> Tensor<2> {
        let values: Vec<f32> = matrix.elements.iter().map(|&x| x as f32).collect();
        let tensor = Tensor::from_data(TensorData::new(values, [matrix.rows, matrix.columns]), device);
        match self {
            Self::Contiguous => tensor,
            // Twice, with a copy between, so that the elements are stored by columns.
            Self::Transposed => Tensor::from_data(tensor.transpose().into_data(), device),
            Self::Sliced => {
                let stored = Tensor::full([matrix.rows + 2, matrix.columns + 3], f32::NAN, device);
                stored.slice_assign([1..matrix.rows + 1, 2..matrix.columns + 2], tensor)
            }
        }
    }

    /// The matrix as a view of what is stored.
    fn view(self, stored: Tensor<2>) -> Tensor<2> {
        let [rows, columns] = stored.dims();
        match self {
            Self::Contiguous => stored,
            Self::Transposed => stored.transpose(),
            Self::Sliced => stored.slice([1..rows - 1, 2..columns - 1]),
        }
    }
}

fn ids<const D: usize>(ids: &[usize], shape: [usize; D], device: &Device) -> Tensor<D, Int> {
    let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    Tensor::from_data(TensorData::new(ids, shape), device)
}

impl Case {
    /// The operation on Flex, `[rows, columns]` whatever its rank.
    fn apply(&self, operations: Operations, inputs: &[Tensor<2>]) -> Tensor<2> {
        let device = inputs[0].device();
        let input = |index: usize| inputs[index].clone();
        let vector = |index: usize| -> Option<Tensor<1>> {
            inputs.get(index).map(|vector| {
                let width = vector.dims()[1];
                vector.clone().reshape([width])
            })
        };
        match &self.kind {
            Kind::Linear => operations.linear(input(0), input(1), vector(2)),
            Kind::LinearTied => operations.linear_tied(input(0), input(1)),
            Kind::LayerNorm => {
                let weight = vector(1).expect("a weight");
                operations.layer_norm(input(0), weight, vector(2), EPSILON)
            }
            Kind::BiasGelu => operations.bias_gelu(input(0), vector(1)),
            Kind::BiasActivation(activation) => operations.bias_activation(input(0), vector(1), *activation),
            Kind::BiasDropout(dropout) => operations.bias_dropout(input(0), vector(1), *dropout),
            Kind::BiasDropoutAdd(dropout) => {
                operations.bias_dropout_add(input(0), vector(2), input(1), *dropout)
            }
            Kind::Embedding {
                tokens,
                context,
                dropout,
            } => {
                // By columns, as a batch that was gathered position by position.
                let batch = tokens.len() / context;
                let by_position: Vec<usize> = (0..tokens.len())
                    .map(|i| tokens[i % batch * context + i / batch])
                    .collect();
                let tokens = ids(&by_position, [*context, batch], &device).transpose();
                operations.embedding(tokens, input(0), input(1), *dropout)
            }
            Kind::Attention { shape, dropout } => operations.causal_attention(input(0), *shape, *dropout),
            Kind::CachedAttention { new, heads } => {
                let [tokens, packed] = inputs[0].dims();
                let width = packed / 3;
                let part = |part: usize| input(0).slice([0..tokens, part * width..(part + 1) * width]);
                let queries = part(0).slice(tokens - new..tokens);
                operations.cached_attention(queries, part(1), part(2), *heads)
            }
            Kind::CrossEntropy { targets } => operations
                .cross_entropy(input(0), ids(targets, [targets.len()], &device))
                .unsqueeze_dim(1),
        }
    }

    /// The output.
    pub fn values(&self, operations: Operations) -> Vec<f32> {
        let device = Device::flex();
        let inputs = self
            .inputs
            .iter()
            .map(|input| self.layout.view(self.layout.store(input, &device)));
        floats(self.apply(operations, &inputs.collect::<Vec<_>>()))
    }

    /// The gradients of `sum(weights * output)` by every input, through Burn's graph.
    pub fn gradients(&self, operations: Operations) -> Vec<Vec<f32>> {
        let device = Device::flex().autodiff();
        let stored: Vec<Tensor<2>> = self
            .inputs
            .iter()
            .map(|input| self.layout.store(input, &device).require_grad())
            .collect();
        let views: Vec<Tensor<2>> = stored
            .iter()
            .map(|stored| self.layout.view(stored.clone()))
            .collect();
        let output = self.apply(operations, &views);
        let weights = Layout::Contiguous.store(&self.weights, &device);
        // Through a transposed tensor, the gradient that arrives is one.
        let sum = match self.layout {
            Layout::Transposed => (output.transpose() * weights.transpose()).sum(),
            _ => (output * weights).sum(),
        };
        let gradients = sum.backward();
        stored
            .iter()
            .map(|stored| floats(self.layout.view(stored.grad(&gradients).expect("a gradient"))))
            .collect()
    }
}

fn floats(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("floats")
}
