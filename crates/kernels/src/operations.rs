use burn::tensor::{Int, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Dropout, fused, reference};

/// How the rows of an activation matrix divide into sequences and its columns into heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Sequences.
    pub batch: usize,
    /// Tokens of a sequence.
    pub context: usize,
    /// Heads; they divide the width.
    pub heads: usize,
}

/// Which implementation of the operations runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kernels {
    /// Kernels with hand-written backward passes, where the device has them for the tensor's type; the reference
    /// elsewhere.
    #[default]
    Fused,
    /// Burn's own operations, composed.
    Reference,
}

/// What the operands of matrix products are rounded to; weights, sums and everything else are f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Nothing is rounded.
    #[default]
    F32,
    /// bfloat16: 8 bits of precision, the range of f32. With fused kernels only; LibTorch rounds the results of
    /// attention as well, and on a CPU those of all products.
    Bf16,
    /// TensorFloat-32: 11 bits of precision, the range of f32. On GPUs from NVIDIA's Ampere on.
    Tf32,
}

/// What makes a perceptron more than a linear layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `x Phi(x)`, with the normal distribution's Phi (arXiv 1606.08415); nanoGPT's.
    Gelu,
    /// GELU with `Phi(x)` taken to be `(1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2`; GPT-2's.
    #[default]
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)^2` (Primer, arXiv 2109.08668).
    SquaredRelu,
    /// `x / (1 + e^-x)` (arXiv 1702.03118), also called Swish.
    Silu,
}

impl Activation {
    /// Every activation.
    pub const ALL: [Self; 5] = [
        Self::Gelu,
        Self::GeluTanh,
        Self::Relu,
        Self::SquaredRelu,
        Self::Silu,
    ];
}

/// The training operations that model and losses call, and how they are computed.
///
/// Each is differentiable in its floating-point tensors. Activations are matrices of one row per token, `[batch *
/// context, width]`, sequence by sequence: one large matrix product a layer instead of a small one for every sequence.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use kernels::{Kernels, Operations, Precision};
///
/// let device = Device::flex();
/// let x = Tensor::<2>::from_floats([[1.0, 2.0]], &device);
/// let weight = Tensor::from_floats([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]], &device);
/// let bias = Tensor::from_floats([10.0, 20.0, 30.0], &device);
/// for kernels in [Kernels::Fused, Kernels::Reference] {
///     let operations = Operations { kernels, precision: Precision::F32 };
///     let y = operations.linear(x.clone(), weight.clone(), Some(bias.clone()));
///     assert_eq!(y.into_data().try_to_vec::<f32>().unwrap(), [11.0, 22.0, 33.0]);
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Operations {
    /// Fused or composed.
    pub kernels: Kernels,
    /// Of the operands of matrix products.
    pub precision: Precision,
}

impl Operations {
    /// The composed operations.
    pub const REFERENCE: Self = Self {
        kernels: Kernels::Reference,
        precision: Precision::F32,
    };

    /// Whether there is a fused kernel for this tensor.
    fn fused<const D: usize>(self, tensor: &Tensor<D>) -> bool {
        self.kernels == Kernels::Fused && fused::serves(tensor)
    }

    /// `x W + b`.
    ///
    /// Shapes: `x` `[tokens, inputs]`, `weight` `[inputs, outputs]`, `bias` `[outputs]`; gives `[tokens, outputs]`.
    pub fn linear(self, x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
        if self.fused(&x) {
            fused::linear(x, weight, bias, self.precision)
        } else {
            reference::linear(x, weight, bias)
        }
    }

    /// `x E^T`: the logits of a head that is tied to the token embedding.
    ///
    /// Shapes: `x` `[tokens, width]`, `embedding` `[vocabulary, width]`; gives `[tokens, vocabulary]`.
    pub fn linear_tied(self, x: Tensor<2>, embedding: Tensor<2>) -> Tensor<2> {
        if self.fused(&x) {
            fused::linear_tied(x, embedding, self.precision)
        } else {
            reference::linear_tied(x, embedding)
        }
    }

    /// Layer normalisation of each row, `(x - mean) / sqrt(variance + epsilon) * weight + bias` (arXiv 1607.06450),
    /// with the population's variance.
    ///
    /// Shapes: `x` `[tokens, width]`, `weight` and `bias` `[width]`; gives `[tokens, width]`.
    pub fn layer_norm(
        self,
        x: Tensor<2>,
        weight: Tensor<1>,
        bias: Option<Tensor<1>>,
        epsilon: f64,
    ) -> Tensor<2> {
        if self.fused(&x) {
            fused::layer_norm(x, weight, bias, epsilon)
        } else {
            reference::layer_norm(x, weight, bias, epsilon)
        }
    }

    /// `gelu(x + b)` with GELU in GPT-2's form, `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))` (arXiv 1606.08415).
    ///
    /// Shapes: `x` `[tokens, width]`, `bias` `[width]`; gives `[tokens, width]`.
    pub fn bias_gelu(self, x: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
        if self.fused(&x) {
            fused::bias_gelu(x, bias)
        } else {
            reference::bias_activation(x, bias, Activation::GeluTanh)
        }
    }

    /// `f(x + b)`. GPT-2's activation is [`bias_gelu`](Self::bias_gelu); the others are composed of Burn's operations
    /// whichever kernels run.
    ///
    /// Shapes: `x` `[tokens, width]`, `bias` `[width]`; gives `[tokens, width]`.
    pub fn bias_activation(self, x: Tensor<2>, bias: Option<Tensor<1>>, activation: Activation) -> Tensor<2> {
        match activation {
            Activation::GeluTanh => self.bias_gelu(x, bias),
            _ => reference::bias_activation(x, bias, activation),
        }
    }

    /// `residual + dropout(x + b)`: what each branch of a block returns to the residual stream.
    ///
    /// Shapes: `x` and `residual` `[tokens, width]`, `bias` `[width]`; gives `[tokens, width]`.
    pub fn bias_dropout_add(
        self,
        x: Tensor<2>,
        bias: Option<Tensor<1>>,
        residual: Tensor<2>,
        dropout: Dropout,
    ) -> Tensor<2> {
        if self.fused(&x) {
            fused::bias_dropout_add(x, bias, residual, dropout)
        } else {
            reference::bias_dropout_add(x, bias, residual, dropout)
        }
    }

    /// `dropout(x + b)`: what a branch returns where there is no residual stream.
    ///
    /// Shapes: `x` `[tokens, width]`, `bias` `[width]`; gives `[tokens, width]`.
    pub fn bias_dropout(self, x: Tensor<2>, bias: Option<Tensor<1>>, dropout: Dropout) -> Tensor<2> {
        let nothing = x.zeros_like();
        self.bias_dropout_add(x, bias, nothing, dropout)
    }

    /// `dropout(E[token] + P[position])`: what the first block reads.
    ///
    /// Shapes: `tokens` `[batch, context]` of ids below the vocabulary, `table` `[vocabulary, width]`, `positions`
    /// `[at least context, width]`; gives `[batch * context, width]`.
    pub fn embedding(
        self,
        tokens: Tensor<2, Int>,
        table: Tensor<2>,
        positions: Tensor<2>,
        dropout: Dropout,
    ) -> Tensor<2> {
        if self.fused(&table) {
            fused::embedding(tokens, table, positions, dropout)
        } else {
            reference::embedding(tokens, table, positions, dropout)
        }
    }

    /// Causal self-attention straight from the packed projection, `dropout(softmax(Q K^T / sqrt(d) + mask)) V` in each
    /// head of d = width / heads channels (arXiv 1706.03762); a token attends to itself and to those before it. For the
    /// order of the dropout mask see [`cpu::attention`](crate::cpu::attention).
    ///
    /// Shapes: `qkv` `[batch * context, 3 * width]`, the queries of all heads first, then the keys, then the values;
    /// gives `[batch * context, width]`.
    pub fn causal_attention(self, qkv: Tensor<2>, shape: AttentionShape, dropout: Dropout) -> Tensor<2> {
        if self.fused(&qkv) {
            fused::causal_attention(qkv, shape, dropout, self.precision)
        } else {
            reference::causal_attention(qkv, shape, dropout)
        }
    }

    /// The weights of [`causal_attention`](Self::causal_attention) themselves, without dropout: to be looked at, not trained
    /// through. There is no fused kernel for them: those never have them all at a time.
    ///
    /// Shapes: `qkv` `[batch * context, 3 * width]`; gives `[batch, heads, context, context]`, a row for each query.
    pub fn attention_weights(self, qkv: Tensor<2>, shape: AttentionShape) -> Tensor<4> {
        reference::attention_weights(qkv, shape)
    }

    /// [`causal_attention`](Self::causal_attention) of the last tokens of one sequence alone, whose earlier keys and
    /// values were kept; composed of Burn's operations whichever kernels run.
    ///
    /// Shapes: `queries` `[new, width]`, `keys` and `values` `[tokens, width]`, of which the last `new` belong to the
    /// queries; gives `[new, width]`.
    pub fn cached_attention(
        self,
        queries: Tensor<2>,
        keys: Tensor<2>,
        values: Tensor<2>,
        heads: usize,
    ) -> Tensor<2> {
        reference::cached_attention(queries, keys, values, heads)
    }

    /// The negative log-likelihood of every target, `-log softmax(logits)[target]` in nats, with the maximum subtracted
    /// first, so that no finite logit overflows.
    ///
    /// Shapes: `logits` `[tokens, vocabulary]`, `targets` `[tokens]` of ids below the vocabulary; gives `[tokens]`.
    pub fn cross_entropy(self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        if self.fused(&logits) {
            fused::cross_entropy(logits, targets)
        } else {
            reference::cross_entropy(logits, targets)
        }
    }
}
