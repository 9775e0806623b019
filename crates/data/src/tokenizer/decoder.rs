use crate::{DataError, Tokenizer};

/// Turns tokens into text one at a time. A token may end within a character, which comes with the token that completes
/// it; bytes that are no text become U+FFFD, as in [`Tokenizer::decode`].
///
/// ```
/// use data::{Decoder, Tokenizer, TokenizerName};
///
/// let tokenizer = Tokenizer::new(TokenizerName::Byte, "");
/// let mut decoder = Decoder::new(&tokenizer);
/// let parts: Result<Vec<String>, _> = "né".bytes().map(|byte| decoder.push(byte.into())).collect();
/// assert_eq!(parts?, ["n", "", "é"]);
/// # Ok::<(), data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    tokenizer: &'a Tokenizer,
    /// The beginning of a character.
    incomplete: Vec<u8>,
}

impl<'a> Decoder<'a> {
    /// Of the tokens of a tokenizer.
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        Self {
            tokenizer,
            incomplete: Vec::new(),
        }
    }

    /// The text that is complete with the next token.
    ///
    /// # Errors
    /// Where the token is outside the vocabulary.
    pub fn push(&mut self, token: u32) -> Result<String, DataError> {
        self.incomplete.extend(self.tokenizer.bytes(&[token])?);
        let mut text = String::new();
        let mut complete = 0;
        for chunk in self.incomplete.utf8_chunks() {
            let invalid = chunk.invalid();
            complete += chunk.valid().len();
            text += chunk.valid();
            let may_go_on = complete + invalid.len() == self.incomplete.len()
                && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if may_go_on {
                break;
            }
            if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
            complete += invalid.len();
        }
        self.incomplete.drain(..complete);
        Ok(text)
    }

    /// What stands for a character that was begun and is not going to be completed.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.incomplete).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::TokenizerName;

    /// Texts whose tokens begin and end within characters, and what is no text at all.
    fn tokens(name: TokenizerName) -> BoxedStrategy<Vec<u32>> {
        let tokenizer = Tokenizer::new(name, "aé—🦀");
        let vocabulary = tokenizer.vocabulary() as u32;
        let text = any::<String>().prop_map(move |text| tokenizer.encode(&text).unwrap());
        prop_oneof![text, prop::collection::vec(0..vocabulary, 0..40)].boxed()
    }

    proptest! {
        #[test]
        fn the_parts_are_the_whole_and_no_character_is_split(
            (name, tokens) in prop_oneof![
                (Just(TokenizerName::Byte), tokens(TokenizerName::Byte)),
                (Just(TokenizerName::Char), tokens(TokenizerName::Char)),
                (Just(TokenizerName::Gpt2), tokens(TokenizerName::Gpt2)),
            ],
        ) {
            let tokenizer = Tokenizer::new(name, "aé—🦀");
            let mut decoder = Decoder::new(&tokenizer);
            let mut parts = String::new();
            for token in &tokens {
                parts += &decoder.push(*token).unwrap();
                // Never more than the beginning of one character is held back.
                prop_assert!(decoder.incomplete.len() < 4);
            }
            parts += &decoder.finish();
            prop_assert_eq!(parts, tokenizer.decode(&tokens).unwrap());
        }
    }

    #[test]
    fn a_token_that_is_none_is_an_error() {
        for name in [TokenizerName::Byte, TokenizerName::Char, TokenizerName::Gpt2] {
            let tokenizer = Tokenizer::new(name, "ab");
            let mut decoder = Decoder::new(&tokenizer);
            let error = decoder.push(1 << 20).unwrap_err().to_string();
            assert!(error.contains("1048576"), "{error}");
        }
    }
}
