use burn::{
    module::{Module, Param},
    tensor::{Device, Int, Tensor},
};
use kernels::{AttentionShape, Dropout, Operations};

use crate::{Block, LayerNorm, ModelConfig, ModelError, Place, block::DEVIATION, init::Initialiser};

/// What a forward pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Dropout is on.
    Training {
        /// What its masks are drawn with; another key for every forward pass.
        dropout_key: u64,
    },
    /// Dropout is off.
    Evaluation,
}

/// The GPT-2 decoder.
#[derive(Module, Debug)]
pub struct Gpt2 {
    /// `[vocabulary, width]`; the head's weight as well.
    pub token_embedding: Param<Tensor<2>>,
    /// `[context, width]`.
    pub position_embedding: Param<Tensor<2>>,
    /// One behind the other.
    pub blocks: Vec<Block>,
    /// Before the head.
    pub final_norm: LayerNorm,
    /// Attention heads of each block.
    #[module(skip)]
    heads: usize,
    /// Dropout probability, in training.
    #[module(skip)]
    dropout: f64,
    /// How the operations are computed.
    #[module(skip)]
    operations: Operations,
}

impl Gpt2 {
    /// A model with initial weights: N(0, 0.02^2), the projections back to the residual stream divided by
    /// sqrt(2 * layers), biases zero, scales one. The same seed gives the same weights on every device.
    ///
    /// # Errors
    /// Where the configuration is no model.
    pub fn new(
        config: &ModelConfig,
        vocabulary: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self, ModelError> {
        config.validate()?;
        let ModelConfig {
            layers,
            heads,
            width,
            context,
            bias,
            dropout,
        } = *config;
        let init = &mut Initialiser::new(seed, device);
        Ok(Self {
            token_embedding: init.normal([vocabulary, width], DEVIATION),
            position_embedding: init.normal([context, width], DEVIATION),
            blocks: (0..layers).map(|_| Block::new(config, init)).collect(),
            final_norm: LayerNorm::new(width, bias, device),
            heads,
            dropout,
            operations: Operations::default(),
        })
    }

    /// The same model, computed by these operations.
    pub fn with_operations(self, operations: Operations) -> Self {
        Self { operations, ..self }
    }

    /// The logits of the next token after every prefix of every sequence.
    ///
    /// Shapes: `tokens` `[batch, context]`, with at most the model's context; gives `[batch * context, vocabulary]`,
    /// sequence by sequence.
    pub fn logits(&self, tokens: Tensor<2, Int>, mode: Mode) -> Tensor<2> {
        let hidden = self.hidden(tokens, mode);
        self.operations.linear_tied(hidden, self.token_embedding.val())
    }

    /// The last hidden states, of which the product with the token embedding is the [`logits`](Self::logits).
    ///
    /// Shapes: `tokens` `[batch, context]`; gives `[batch * context, width]`.
    pub fn hidden(&self, tokens: Tensor<2, Int>, mode: Mode) -> Tensor<2> {
        self.hidden_observed(tokens, mode, |_, _| {})
    }

    /// [`hidden`](Self::hidden), with `see` shown the residual stream at every [`Place`] on the way, and the result.
    pub fn hidden_observed(
        &self,
        tokens: Tensor<2, Int>,
        mode: Mode,
        mut see: impl FnMut(Place, &Tensor<2>),
    ) -> Tensor<2> {
        let shape = self.attention_shape(&tokens);
        let dropout = match mode {
            Mode::Training { dropout_key } => Dropout {
                probability: self.dropout,
                key: dropout_key,
            },
            Mode::Evaluation => Dropout::NONE,
        };
        let mut x = self.operations.embedding(
            tokens,
            self.token_embedding.val(),
            self.position_embedding.val(),
            dropout.at(0),
        );
        see(Place::Embedding, &x);
        for (i, block) in self.blocks.iter().enumerate() {
            let dropout = dropout.at(i as u64 + 1);
            x = block.attend(x, shape, dropout, self.operations);
            see(Place::Attention(i), &x);
            x = block.perceive(x, dropout, self.operations);
            see(Place::Mlp(i), &x);
        }
        x = self.final_norm.forward(x, self.operations);
        see(Place::FinalNorm, &x);
        x
    }

    pub(crate) fn attention_shape(&self, tokens: &Tensor<2, Int>) -> AttentionShape {
        let [batch, context] = tokens.dims();
        AttentionShape {
            batch,
            context,
            heads: self.heads,
        }
    }

    pub(crate) fn operations(&self) -> Operations {
        self.operations
    }
}
