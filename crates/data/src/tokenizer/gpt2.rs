use std::collections::HashSet;

use crate::DataError;

pub(super) const VOCABULARY: usize = 50_257;

/// Encodes text as text: `<|endoftext|>` in it has no special meaning.
pub(super) fn encode(text: &str) -> Result<Vec<u32>, DataError> {
    // `encode_ordinary` does the same, but panics where the regular expression gives up.
    tiktoken_rs::r50k_base_singleton()
        .encode(text, &HashSet::new())
        .map(|(tokens, _)| tokens)
        .map_err(|error| {
            DataError::Tokenizer(format!(
                "{error}; break up runs of about a million blanks in the text, or take the tokenizer `byte`"
            ))
        })
}

pub(super) fn bytes(tokens: &[u32]) -> Result<Vec<u8>, DataError> {
    tiktoken_rs::r50k_base_singleton()
        .decode_bytes(tokens)
        .map_err(|error| DataError::Tokenizer(error.to_string()))
}
