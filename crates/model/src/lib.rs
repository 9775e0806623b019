//! The GPT-2 decoder: configuration, presets, initialisation, forward pass.

mod config;

pub use config::{ModelConfig, ModelError, Preset};
