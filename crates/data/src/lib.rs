//! Corpora, tokenizers, and batches as pure functions of (seed, step, micro-step).
