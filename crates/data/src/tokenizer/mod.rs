mod characters;
mod decoder;
mod gpt2;

use std::collections::BTreeSet;

pub(crate) use characters::Characters;
pub use decoder::Decoder;

use crate::{DataConfig, DataError, OpenOptions, TokenizerName, dataset};

/// A tokenizer: text to token ids, and back.
#[derive(Clone, Debug)]
pub enum Tokenizer {
    /// Each byte is its own id.
    Byte,
    /// Each character of the training text has an id, in the order of code points.
    Char(Characters),
    /// GPT-2's byte-pair encoding.
    Gpt2,
}

impl Tokenizer {
    /// The tokenizer of that name for a training text.
    pub fn new(name: TokenizerName, training_text: &str) -> Self {
        match name {
            TokenizerName::Byte => Self::Byte,
            TokenizerName::Char => Self::Char(Characters::new(training_text)),
            TokenizerName::Gpt2 => Self::Gpt2,
        }
    }

    /// The tokenizer of a recipe; its corpus is opened only where the vocabulary is that of the training text.
    ///
    /// # Errors
    /// Where the text is needed, and is not there, is no text, or is too short to be split.
    pub fn open(config: &DataConfig, options: &OpenOptions) -> Result<Self, DataError> {
        match config.tokenizer {
            TokenizerName::Byte | TokenizerName::Gpt2 => Ok(Self::new(config.tokenizer, "")),
            TokenizerName::Char => {
                let text = dataset::open_text(config, options)?.text;
                let (training_text, _) = dataset::split(&text, config)?;
                Ok(Self::new(config.tokenizer, training_text))
            }
        }
    }

    /// The number of token ids.
    pub fn vocabulary(&self) -> usize {
        match self {
            Self::Byte => 256,
            Self::Char(characters) => characters.len(),
            Self::Gpt2 => gpt2::VOCABULARY,
        }
    }

    /// The token ids of a text.
    ///
    /// # Errors
    /// Where GPT-2's regular expression gives up on it, as on a run of a million blanks.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        match self {
            Self::Byte => Ok(text.bytes().map(u32::from).collect()),
            Self::Char(characters) => Ok(text.chars().map(|c| characters.encode(c)).collect()),
            Self::Gpt2 => gpt2::encode(text),
        }
    }

    /// The token ids of a text that a model is to go on from, each character as itself.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), and where the vocabulary lacks a character.
    pub fn encode_prompt(&self, prompt: &str) -> Result<Vec<u32>, DataError> {
        if let Self::Char(characters) = self {
            let unknown: BTreeSet<char> = prompt.chars().filter(|c| !characters.knows(*c)).collect();
            if !unknown.is_empty() {
                return Err(DataError::UnknownCharacters {
                    unknown: unknown.into_iter().collect(),
                    known: characters.all(),
                });
            }
        }
        self.encode(prompt)
    }

    /// The text of token ids; bytes that are no text become U+FFFD. See [`Decoder`] for a text that comes in parts.
    ///
    /// # Errors
    /// Where an id is outside the vocabulary.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, DataError> {
        Ok(String::from_utf8_lossy(&self.bytes(tokens)?).into_owned())
    }

    /// The UTF-8 of token ids, which may begin and end within a character.
    fn bytes(&self, tokens: &[u32]) -> Result<Vec<u8>, DataError> {
        let unknown = |token: &u32| DataError::Tokenizer(format!("there is no token {token}"));
        match self {
            Self::Byte => tokens
                .iter()
                .map(|t| u8::try_from(*t).map_err(|_| unknown(t)))
                .collect(),
            Self::Char(characters) => {
                let text: Result<String, _> = tokens
                    .iter()
                    .map(|t| characters.decode(*t).ok_or_else(|| unknown(t)))
                    .collect();
                Ok(text?.into_bytes())
            }
            Self::Gpt2 => gpt2::bytes(tokens),
        }
    }

    /// How many characters of a text the tokenizer has no id for.
    pub fn unknown_characters(&self, text: &str) -> usize {
        match self {
            Self::Char(characters) => text.chars().filter(|c| !characters.knows(*c)).count(),
            Self::Byte | Self::Gpt2 => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [TokenizerName; 3] = [TokenizerName::Byte, TokenizerName::Char, TokenizerName::Gpt2];

    proptest! {
        #[test]
        fn any_text_survives_every_tokenizer(text in any::<String>()) {
            for name in NAMES {
                let tokenizer = Tokenizer::new(name, &text);
                let tokens = tokenizer.encode(&text).unwrap();
                prop_assert!(tokens.iter().all(|token| (*token as usize) < tokenizer.vocabulary()));
                prop_assert_eq!(&tokenizer.decode(&tokens).unwrap(), &text);
            }
        }
    }

    #[test]
    fn the_mark_of_an_end_is_text() {
        let gpt2 = Tokenizer::new(TokenizerName::Gpt2, "");
        let tokens = gpt2.encode("a<|endoftext|>b").unwrap();
        assert!(!tokens.contains(&50_256), "{tokens:?}");
        assert_eq!(gpt2.decode(&tokens).unwrap(), "a<|endoftext|>b");
    }

    #[test]
    fn a_text_that_the_regular_expression_cannot_split_is_an_error() {
        let text = " ".repeat(2 << 20) + "x";
        let error = Tokenizer::new(TokenizerName::Gpt2, "")
            .encode(&text)
            .unwrap_err()
            .to_string();
        assert!(error.contains("blanks") && error.contains("`byte`"), "{error}");
    }
}
