//! The training operations that model and losses call.
//!
//! Each is a function from tensors to a tensor, differentiable where its inputs are. What is here is composed of
//! Burn's own operations and is the reference; it serves every device.
//!
//! Activations are matrices of one row per token, `[batch * context, width]`, sequence by sequence: one large
//! matrix product a layer instead of a small one for every sequence.

mod attention;
pub mod cpu;
mod dropout;
mod linear;
mod loss;
mod normalisation;

pub use attention::{AttentionShape, causal_attention};
pub use cpu::dropout::Dropout;
pub use dropout::{dropout, dropout_add};
pub use linear::{gelu, linear, linear_tied};
pub use loss::cross_entropy;
pub use normalisation::layer_norm;
