use crate::DataError;

pub(super) const VOCABULARY: usize = 50_257;

/// Encodes text as text: `<|endoftext|>` in it has no special meaning.
pub(super) fn encode(text: &str) -> Vec<u32> {
    tiktoken_rs::r50k_base_singleton().encode_ordinary(text)
}

pub(super) fn decode(tokens: &[u32]) -> Result<String, DataError> {
    let bytes = tiktoken_rs::r50k_base_singleton()
        .decode_bytes(tokens)
        .map_err(|error| DataError::Tokenizer(error.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
