//! What training minimises and what evaluation reports.
//!
//! Losses are in nats per token. Averages are over tokens, never over means of batches of unequal size: sum first,
//! divide once.

mod average;
mod chunked;
mod config;
mod cross_entropy;
mod metrics;
mod mse;

use burn::tensor::{Int, Tensor};

pub use average::TokenAverage;
pub use config::LossConfig;
pub use cross_entropy::CrossEntropy;
pub use metrics::{bits_per_byte, perplexity, top_1_accuracy};
pub use mse::mse;

/// The sum over all tokens of the negative log-likelihood of the next token, `-sum_i log P(x_i | x_<i)`, in nats.
///
/// Shapes: `logits` `[tokens, vocabulary]`, `targets` `[tokens]`; gives `[1]`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::flex();
/// let logits = Tensor::<2>::from_floats([[0.7f32.ln(), 0.2f32.ln(), 0.1f32.ln()]], &device);
/// let loss: f32 = losses::cross_entropy_sum(logits, Tensor::from_ints([0], &device)).into_scalar();
/// assert!((loss - 0.357).abs() < 5e-4); // -ln 0.7
/// ```
pub fn cross_entropy_sum(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    CrossEntropy::default().sum(logits, targets)
}
