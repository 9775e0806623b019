use burn::{module::Module, tensor::Tensor};
use kernels::AttentionShape;

use crate::{
    ModelConfig,
    init::Initialiser,
    layers::{LayerNorm, Linear},
};

/// The deviation of GPT-2's initial weights.
pub(crate) const DEVIATION: f64 = 0.02;

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

    /// Shapes: `[batch * context, width]` to the same.
    pub fn forward(&self, x: Tensor<2>, shape: AttentionShape, dropout: f64) -> Tensor<2> {
        let qkv = self.attention.qkv.forward(self.attention_norm.forward(x.clone()));
        let mixed = kernels::causal_attention(qkv, shape, dropout);
        let x = kernels::dropout_add(self.attention.output.forward(mixed), x, dropout);

        let hidden = kernels::gelu(self.mlp.input.forward(self.mlp_norm.forward(x.clone())));
        kernels::dropout_add(self.mlp.output.forward(hidden), x, dropout)
    }
}
