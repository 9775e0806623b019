use burn::{
    module::{Module, Param},
    tensor::{Device, Int, Tensor},
};
use kernels::{AttentionShape, Operations};

use crate::{
    Block, DropoutRates, LayerNorm, ModelConfig, ModelError, Norm, Place, block::DEVIATION,
    dropout::Dropouts, init::Initialiser,
};

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
    /// `[vocabulary, width]`; where it is tied, the head's weight as well.
    pub token_embedding: Param<Tensor<2>>,
    /// `[context, width]`.
    pub position_embedding: Param<Tensor<2>>,
    /// One behind the other.
    pub blocks: Vec<Block>,
    /// Before the head, in a pre-norm model.
    pub final_norm: Option<LayerNorm>,
    /// The head's weight where it is not tied, `[vocabulary, width]`.
    pub head: Option<Param<Tensor<2>>>,
    /// Attention heads of each block.
    #[module(skip)]
    pub(crate) heads: usize,
    /// Dropout probabilities, in training.
    #[module(skip)]
    dropout: DropoutRates,
    /// How the operations are computed.
    #[module(skip)]
    pub(crate) operations: Operations,
}

impl Gpt2 {
    /// A model with initial weights: N(0, 0.02^2), the projections back to the residual stream, if there is one, divided
    /// by sqrt(2 * layers), biases zero, scales one. The same seed gives the same weights on every device, and models that
    /// differ in a switch have in common what both have.
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
            norm,
            tied,
            dropout,
            ..
        } = *config;
        let init = &mut Initialiser::new(seed, device);
        // The head is drawn last: a tied model has the same weights but for it.
        Ok(Self {
            token_embedding: init.normal([vocabulary, width], DEVIATION),
            position_embedding: init.normal([context, width], DEVIATION),
            blocks: (0..layers).map(|_| Block::new(config, init)).collect(),
            final_norm: LayerNorm::new(config, device).filter(|_| norm == Norm::Pre),
            head: (!tied).then(|| init.normal([vocabulary, width], DEVIATION)),
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
        self.operations.linear_tied(hidden, self.head_weight())
    }

    /// The head's weight, `[vocabulary, width]`: the token embedding, where they are tied.
    pub fn head_weight(&self) -> Tensor<2> {
        self.head.as_ref().unwrap_or(&self.token_embedding).val()
    }

    /// The last hidden states, of which the product with the [`head_weight`](Self::head_weight) is the [`logits`](Self::logits).
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
        let dropouts = Dropouts::new(self.dropout, mode);
        let mut x = self.operations.embedding(
            tokens,
            self.token_embedding.val(),
            self.position_embedding.val(),
            dropouts.embedding().at(0),
        );
        see(Place::Embedding, &x);
        for (i, block) in self.blocks.iter().enumerate() {
            let dropouts = dropouts.at(i as u64 + 1);
            x = block.attend(x, shape, dropouts, self.operations);
            see(Place::Attention(i), &x);
            x = block.perceive(x, dropouts, self.operations);
            see(Place::Mlp(i), &x);
        }
        x = self.normalised(x);
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

    /// What the head reads of what the last block returns.
    pub(crate) fn normalised(&self, x: Tensor<2>) -> Tensor<2> {
        match &self.final_norm {
            Some(norm) => norm.forward(x, self.operations),
            None => x,
        }
    }
}
