use burn::{module::Module, tensor::Tensor};
use kernels::{Activation, AttentionShape, Dropout, Operations};

use crate::{
    ModelConfig, Norm,
    cache::BlockCache,
    dropout::Dropouts,
    init::Initialiser,
    layers::{LayerNorm, Linear},
};

/// The deviation of GPT-2's initial weights.
pub(crate) const DEVIATION: f64 = 0.02;

/// The places of a block's dropout masks.
const ATTENTION_WEIGHTS: u64 = 0;
const ATTENTION_BRANCH: u64 = 1;
const MLP_BRANCH: u64 = 2;

/// One block of the decoder: `x + attention(norm(x))`, then `x + mlp(norm(x))`, unless its configuration says otherwise.
#[derive(Module, Debug)]
pub struct Block {
    /// Of the attention; none where the model has no normalisation.
    pub attention_norm: Option<LayerNorm>,
    /// Mixes tokens.
    pub attention: Attention,
    /// Of the perceptron; none where the model has no normalisation.
    pub mlp_norm: Option<LayerNorm>,
    /// Mixes channels.
    pub mlp: Mlp,
    /// Where the normalisations stand.
    #[module(skip)]
    norm: Norm,
    /// Whether the branches are added to their input.
    #[module(skip)]
    residual: bool,
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
    /// Between the two.
    #[module(skip)]
    activation: Activation,
}

impl Block {
    pub(crate) fn new(config: &ModelConfig, init: &mut Initialiser) -> Self {
        let ModelConfig {
            layers,
            width,
            bias,
            residual,
            norm,
            activation,
            ..
        } = *config;
        // The residual stream sums 2 * layers branches; their projections start smaller, so that it does not grow.
        let branches = if residual { 2 * layers } else { 1 };
        let output = DEVIATION / (branches as f64).sqrt();
        Self {
            attention_norm: LayerNorm::new(config, init.device()),
            attention: Attention {
                qkv: Linear::new([width, 3 * width], DEVIATION, bias, init),
                output: Linear::new([width, width], output, bias, init),
            },
            mlp_norm: LayerNorm::new(config, init.device()),
            mlp: Mlp {
                input: Linear::new([width, 4 * width], DEVIATION, bias, init),
                output: Linear::new([4 * width, width], output, bias, init),
                activation,
            },
            norm,
            residual,
        }
    }

    /// Shapes: `[batch * context, width]` to the same.
    pub fn forward(
        &self,
        x: Tensor<2>,
        shape: AttentionShape,
        dropouts: Dropouts,
        operations: Operations,
    ) -> Tensor<2> {
        let x = self.attend(x, shape, dropouts, operations);
        self.perceive(x, dropouts, operations)
    }

    /// The tokens that come next in one sequence, whose earlier keys and values are in the cache; dropout is off.
    ///
    /// Shapes: `[new, width]` to the same.
    pub(crate) fn forward_cached(
        &self,
        x: Tensor<2>,
        cache: &mut BlockCache,
        heads: usize,
        operations: Operations,
    ) -> Tensor<2> {
        let x = self.attend_by(x, Dropouts::NONE, operations, |qkv| {
            cache.attend(qkv, heads, operations)
        });
        self.perceive(x, Dropouts::NONE, operations)
    }

    /// `x + attention(norm(x))`. Shapes: `[batch * context, width]` to the same.
    pub(crate) fn attend(
        &self,
        x: Tensor<2>,
        shape: AttentionShape,
        dropouts: Dropouts,
        operations: Operations,
    ) -> Tensor<2> {
        let weights = dropouts.attention().at(ATTENTION_WEIGHTS);
        self.attend_by(x, dropouts, operations, |qkv| {
            operations.causal_attention(qkv, shape, weights)
        })
    }

    /// [`attend`](Self::attend) with the attention itself computed by `mix`.
    fn attend_by(
        &self,
        x: Tensor<2>,
        dropouts: Dropouts,
        operations: Operations,
        mix: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let Attention { qkv, output } = &self.attention;
        let norm = self.attention_norm.as_ref();
        let mixed = mix(qkv.forward(self.enter(norm, x.clone(), operations), operations));
        let branch = output.forward_without_bias(mixed, operations);
        let dropout = dropouts.residual().at(ATTENTION_BRANCH);
        self.join(branch, output.bias(), x, dropout, norm, operations)
    }

    /// Queries, keys and values, `[batch * context, 3 * width]`.
    pub(crate) fn qkv(&self, x: Tensor<2>, operations: Operations) -> Tensor<2> {
        let x = self.enter(self.attention_norm.as_ref(), x, operations);
        self.attention.qkv.forward(x, operations)
    }

    /// `x + mlp(norm(x))`. Shapes: `[batch * context, width]` to the same.
    pub(crate) fn perceive(&self, x: Tensor<2>, dropouts: Dropouts, operations: Operations) -> Tensor<2> {
        let Mlp {
            input,
            output,
            activation,
        } = &self.mlp;
        let norm = self.mlp_norm.as_ref();
        let hidden = input.forward_without_bias(self.enter(norm, x.clone(), operations), operations);
        let hidden = operations.bias_activation(hidden, input.bias(), *activation);
        let branch = output.forward_without_bias(hidden, operations);
        let dropout = dropouts.residual().at(MLP_BRANCH);
        self.join(branch, output.bias(), x, dropout, norm, operations)
    }

    /// What a branch reads of `x`.
    fn enter(&self, norm: Option<&LayerNorm>, x: Tensor<2>, operations: Operations) -> Tensor<2> {
        match (self.norm, norm) {
            (Norm::Pre, Some(norm)) => norm.forward(x, operations),
            _ => x,
        }
    }

    /// What becomes of `x` by a branch of it, before the branch's bias.
    fn join(
        &self,
        branch: Tensor<2>,
        bias: Option<Tensor<1>>,
        x: Tensor<2>,
        dropout: Dropout,
        norm: Option<&LayerNorm>,
        operations: Operations,
    ) -> Tensor<2> {
        let sum = if self.residual {
            operations.bias_dropout_add(branch, bias, x, dropout)
        } else {
            operations.bias_dropout(branch, bias, dropout)
        };
        match (self.norm, norm) {
            (Norm::Post, Some(norm)) => norm.forward(sum, operations),
            _ => sum,
        }
    }
}
