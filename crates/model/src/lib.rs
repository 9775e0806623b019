//! The GPT-2 decoder: configuration, presets, initialisation, forward pass.
