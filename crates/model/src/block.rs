use burn::{module::Module, tensor::Tensor};
use kernels::{AttentionShape, Dropout, Operations};

use crate::{
    ModelConfig,
    init::Initialiser,
    layers::{LayerNorm, Linear},
};

/// The deviation of GPT-2's initial weights.
pub(crate) const DEVIATION: f64 = 0.02;

/// The places of a block's dropout masks.
const ATTENTION_WEIGHTS: u64 = 0;
const ATTENTION_BRANCH: u64 = 1;
const MLP_BRANCH: u64 = 2;

/// One block of the decoder: `x + attention(norm(x))`, then `x + mlp(norm(x))`.
#[derive(Module, Debug)]
pub struct Block {
    /// Before the attention.
    pub attention_norm: LayerNorm,
    /// Mixes tokens.
    pub attention: Attention,
    /// Before the perceptron.
    pub mlp_norm: LayerNorm,
    /// Mixes channels.
    pub mlp: Mlp,
}

/// Causal self-attention.
#[derive(Module, Debug)]
pub struct Attention {
    /// The packed projection to queries, keys and values, `[width, 3 * width]`.
    pub qkv: Linear,
    /// The projection back to the residual stream, `[width, width]`.
    pub output: Linear,
}

/// The perceptron of a block.
#[derive(Module, Debug)]
pub struct Mlp {
    /// `[width, 4 * width]`.
    pub input: Linear,
    /// The projection back to the residual stream, `[4 * width, width]`.
    pub output: Linear,
}

impl Block {
    pub(crate) fn new(config: &ModelConfig, init: &mut Initialiser) -> Self {
        let ModelConfig {
            layers, width, bias, ..
        } = *config;
        // The residual stream sums 2 * layers branches; their projections start smaller, so that it does not grow.
        let residual = DEVIATION / ((2 * layers) as f64).sqrt();
        Self {
            attention_norm: LayerNorm::new(width, bias, init.device()),
            attention: Attention {
                qkv: Linear::new([width, 3 * width], DEVIATION, bias, init),
                output: Linear::new([width, width], residual, bias, init),
            },
            mlp_norm: LayerNorm::new(width, bias, init.device()),
            mlp: Mlp {
                input: Linear::new([width, 4 * width], DEVIATION, bias, init),
                output: Linear::new([4 * width, width], residual, bias, init),
            },
        }
    }

    /// `x + attention(norm(x))`. Shapes: `[batch * context, width]` to the same.
    pub(crate) fn attend(
        &self,
        x: Tensor<2>,
        shape: AttentionShape,
        dropout: Dropout,
        operations: Operations,
    ) -> Tensor<2> {
        let output = &self.attention.output;
        let qkv = self.qkv(x.clone(), operations);
        let mixed = operations.causal_attention(qkv, shape, dropout.at(ATTENTION_WEIGHTS));
        let branch = output.forward_without_bias(mixed, operations);
        operations.bias_dropout_add(branch, output.bias(), x, dropout.at(ATTENTION_BRANCH))
    }

    /// Queries, keys and values, `[batch * context, 3 * width]`.
    pub(crate) fn qkv(&self, x: Tensor<2>, operations: Operations) -> Tensor<2> {
        let x = self.attention_norm.forward(x, operations);
        self.attention.qkv.forward(x, operations)
    }

    /// `x + mlp(norm(x))`. Shapes: `[batch * context, width]` to the same.
    pub(crate) fn perceive(&self, x: Tensor<2>, dropout: Dropout, operations: Operations) -> Tensor<2> {
        let Mlp { input, output } = &self.mlp;
        let hidden = input.forward_without_bias(self.mlp_norm.forward(x.clone(), operations), operations);
        let hidden = operations.bias_gelu(hidden, input.bias());
        let branch = output.forward_without_bias(hidden, operations);
        operations.bias_dropout_add(branch, output.bias(), x, dropout.at(MLP_BRANCH))
    }
}
