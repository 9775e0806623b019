//! What training minimises and what evaluation reports.
//!
//! Losses are in nats per token. Averages are over tokens, never over means of batches of unequal size: sum first,
//! divide once.
#![doc = include_str!("../PARITY.md")]

mod average;
mod chunked;
mod config;
mod cross_entropy;
mod metrics;
mod mse;

pub use average::TokenAverage;
pub use config::LossConfig;
pub use cross_entropy::CrossEntropy;
pub use metrics::{bits_per_byte, perplexity, top_1_accuracy};
pub use mse::mse;
