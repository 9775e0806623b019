//! Cross-entropy, perplexity, bits per byte.
