use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `[data]` table of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DataConfig {
    /// The text: `burn-source` (embedded), `tinyshakespeare`, `synthetic`, or a path to a text file, to a directory of
    /// them, or a glob.
    pub corpus: String,
    /// How text becomes tokens: `byte`, `char` or `gpt2`.
    pub tokenizer: TokenizerName,
    /// The last share of the characters, which validates; the rest trains.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub validation_fraction: f64,
}

/// The tokenizers that a recipe can name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TokenizerName {
    /// Bytes; a vocabulary of 256.
    Byte,
    /// The characters of the training text.
    Char,
    /// GPT-2's byte-pair encoding; a vocabulary of 50,257.
    #[default]
    Gpt2,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            corpus: "burn-source".to_owned(),
            tokenizer: TokenizerName::default(),
            validation_fraction: 0.1,
        }
    }
}

/// A `validation_fraction` that leaves nothing to train on, or nothing to validate on.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("validation_fraction = {0} must be above 0 and below 1")]
pub struct InvalidFraction(f64);

impl DataConfig {
    /// Whether the keys make sense; whether the text is there shows when it is opened.
    ///
    /// # Errors
    /// A `validation_fraction` that is no fraction.
    pub fn validate(&self) -> Result<(), InvalidFraction> {
        let fraction = self.validation_fraction;
        if fraction > 0.0 && fraction < 1.0 {
            Ok(())
        } else {
            Err(InvalidFraction(fraction))
        }
    }
}
