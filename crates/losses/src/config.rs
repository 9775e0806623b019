use burn::tensor::{Int, Tensor};
use kernels::Operations;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CrossEntropy, mse};

/// The `[loss]` table of a recipe: what training minimises, averaged over tokens; `name` in TOML.
///
/// ```
/// use losses::LossConfig;
///
/// let loss: LossConfig = serde_json::from_str(r#"{ "name": "cross-entropy", "z_loss": 1e-4 }"#)?;
/// assert_ne!(loss, LossConfig::default());
/// // What is left at its default is left out.
/// assert_eq!(serde_json::to_string(&LossConfig::default())?, r#"{"name":"cross-entropy"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum LossConfig {
    /// `-log softmax(logits)[target]`.
    CrossEntropy(CrossEntropy),
    /// `sum_v (softmax(logits)[v] - one_hot(target)[v])^2`, to be compared with cross-entropy.
    Mse,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self::CrossEntropy(CrossEntropy::default())
    }
}

impl LossConfig {
    /// What training minimises, summed over the tokens, from logits that exist already: `chunk` is without effect.
    ///
    /// Shapes: `logits` `[tokens, vocabulary]`, `targets` `[tokens]`; gives `[1]`.
    pub fn sum(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        match self {
            Self::CrossEntropy(loss) => loss.sum(logits, targets),
            Self::Mse => mse(logits, targets).sum(),
        }
    }

    /// What training minimises, summed over the tokens, from the decoder's last hidden states, computed by
    /// `operations`.
    ///
    /// Shapes: `hidden` `[tokens, width]`; `output` `[vocabulary, width]`, whose product with them is the logits;
    /// `targets` `[tokens]`; gives `[1]`.
    pub fn sum_from_hidden(
        &self,
        hidden: Tensor<2>,
        output: Tensor<2>,
        targets: Tensor<1, Int>,
        operations: Operations,
    ) -> Tensor<1> {
        match self {
            Self::CrossEntropy(loss) => {
                let loss = CrossEntropy {
                    operations,
                    ..loss.clone()
                };
                loss.sum_from_hidden(hidden, output, targets)
            }
            Self::Mse => self.sum(operations.linear_tied(hidden, output), targets),
        }
    }

    /// What evaluation reports whatever training minimises: plain cross-entropy, in training's chunks.
    pub fn reported(&self) -> CrossEntropy {
        CrossEntropy {
            chunk: match self {
                Self::CrossEntropy(loss) => loss.chunk,
                Self::Mse => 0,
            },
            ..CrossEntropy::default()
        }
    }

    /// Whether this is the plain negative log-likelihood, of which the exponential is a perplexity.
    pub fn is_likelihood(&self) -> bool {
        match self {
            Self::CrossEntropy(loss) => loss.label_smoothing == 0.0 && loss.z_loss == 0.0,
            Self::Mse => false,
        }
    }
}
