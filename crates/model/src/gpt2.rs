use burn::{
    module::{Module, Param},
    tensor::{Device, Int, Tensor},
};
use kernels::AttentionShape;

use crate::{Block, LayerNorm, ModelConfig, ModelError, block::DEVIATION, init::Initialiser};

/// What a forward pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Dropout is on, its masks drawn from the device's random generator.
    Training,
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
        })
    }

    /// The logits of the next token after every prefix of every sequence.
    ///
    /// Shapes: `tokens` `[batch, context]`, with at most the model's context; gives `[batch * context, vocabulary]`,
    /// sequence by sequence.
    pub fn logits(&self, tokens: Tensor<2, Int>, mode: Mode) -> Tensor<2> {
        kernels::linear_tied(self.hidden(tokens, mode), self.token_embedding.val())
    }

    /// The last hidden states, of which the product with the token embedding is the [`logits`](Self::logits).
    ///
    /// Shapes: `tokens` `[batch, context]`; gives `[batch * context, width]`.
    pub fn hidden(&self, tokens: Tensor<2, Int>, mode: Mode) -> Tensor<2> {
        let [batch, context] = tokens.dims();
        let shape = AttentionShape {
            batch,
            context,
            heads: self.heads,
        };
        let dropout = match mode {
            Mode::Training => self.dropout,
            Mode::Evaluation => 0.0,
        };
        let mut x = kernels::dropout(self.embed(tokens), dropout);
        for block in &self.blocks {
            x = block.forward(x, shape, dropout);
        }
        self.final_norm.forward(x)
    }

    /// Token embedding plus position embedding: `[batch, context]` to `[batch * context, width]`.
    fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        let [batch, context] = tokens.dims();
        let width = self.token_embedding.dims()[1];
        let content = self
            .token_embedding
            .val()
            .select(0, tokens.reshape([batch * context]));
        let position = self.position_embedding.val().slice([0..context, 0..width]);
        (content.reshape([batch, context, width]) + position.unsqueeze()).reshape([batch * context, width])
    }
}
