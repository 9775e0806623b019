//! What goes on inside a forward pass: the size of activations, how attention is spread, and where a number stops being
//! finite.

use std::fmt;

use burn::tensor::{Int, Tensor};

use crate::{Gpt2, Mode};

/// A place of the forward pass, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The sum of the embeddings.
    Embedding,
    /// The residual stream after the attention of that block.
    Attention(usize),
    /// The residual stream after the perceptron of that block, which is the block's output.
    Mlp(usize),
    /// What the head reads: the same again, where the model has no final normalisation.
    FinalNorm,
}

impl fmt::Display for Place {
    /// As paths of parameters begin: `blocks.0.attention`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedding => f.write_str("embedding"),
            Self::Attention(block) => write!(f, "blocks.{block}.attention"),
            Self::Mlp(block) => write!(f, "blocks.{block}.mlp"),
            Self::FinalNorm => f.write_str("final_norm"),
        }
    }
}

/// What one block does with some tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockProbe {
    /// `sqrt(mean x^2)` of the residual stream behind the block, over all tokens and channels.
    pub activation_rms: f64,
    /// `-sum p ln p` of a query's attention weights, the mean over heads, queries and sequences, in nats. Where a query i,
    /// counted from 0, attends to all tokens up to its own alike it is ln(i + 1); where it attends to one alone, 0.
    pub attention_entropy: f64,
}

impl Gpt2 {
    /// What every block does with some tokens, dropout off. To be asked of a model outside of the autodiff graph
    /// (`model.valid()`): the weights of attention are made whole, and the graph would keep them.
    ///
    /// Shapes: `tokens` `[batch, context]`; it takes `batch * heads * context^2` numbers of memory, one block at a time.
    ///
    /// ```
    /// use burn::tensor::{Device, Int, Tensor};
    /// use model::{Gpt2, Preset};
    ///
    /// let model = Gpt2::new(&Preset::Tiny.config(), 65, 0, &Device::flex())?;
    /// let tokens = Tensor::<2, Int>::from_ints([[1, 2, 3, 4]], &Device::flex());
    /// let blocks = model.probe(tokens);
    /// // Fresh weights attend to all alike: the mean of ln 1, ln 2, ln 3 and ln 4.
    /// assert!((blocks[0].attention_entropy - 24f64.ln() / 4.0).abs() < 0.01);
    /// # Ok::<(), model::ModelError>(())
    /// ```
    pub fn probe(&self, tokens: Tensor<2, Int>) -> Vec<BlockProbe> {
        let shape = self.attention_shape(&tokens);
        let mut measured: Vec<Tensor<1>> = Vec::new();
        let mut before: Option<Tensor<2>> = None;
        self.hidden_observed(tokens, Mode::Evaluation, |place, x| {
            match (place, before.take()) {
                (Place::Attention(block), Some(read)) => {
                    let qkv = self.blocks[block].qkv(read, self.operations);
                    measured.push(entropy(self.operations.attention_weights(qkv, shape)));
                }
                (Place::Mlp(_), _) => measured.push(x.clone().square().mean().sqrt()),
                _ => {}
            }
            before = Some(x.clone());
        });
        // One read from the device.
        let numbers: Vec<f64> = Tensor::cat(measured, 0).into_data().iter().collect();
        numbers
            .chunks_exact(2)
            .map(|block| BlockProbe {
                attention_entropy: block[0],
                activation_rms: block[1],
            })
            .collect()
    }

    /// The first place of the forward pass where a number is not finite; none where all are.
    ///
    /// Every place is read from the device: this is for finding a fault after the fact.
    pub fn first_non_finite(&self, tokens: Tensor<2, Int>, mode: Mode) -> Option<Place> {
        let mut first = None;
        self.hidden_observed(tokens, mode, |place, x| {
            if first.is_none() && !x.clone().is_finite().all().into_scalar::<bool>() {
                first = Some(place);
            }
        });
        first
    }
}

/// The mean entropy of the rows: `[1]`.
fn entropy(weights: Tensor<4>) -> Tensor<1> {
    let [batch, heads, context, _] = weights.dims();
    // A weight of 0 adds 0, whatever it is multiplied by.
    let logarithms = weights.clone().clamp_min(f32::MIN_POSITIVE).log();
    (weights * logarithms).sum() / -((batch * heads * context) as f64)
}
