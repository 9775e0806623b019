//! The operations composed of Burn's own: what they mean, on any device.
//!
//! The fused ones are tested against these, and these stand in for them where a device or a type of number has none.

mod attention;
mod cross_entropy;
mod dropout;
mod embedding;
mod layer_norm;
mod linear;

pub(crate) use attention::{attention_weights, causal_attention};
pub(crate) use cross_entropy::cross_entropy;
pub(crate) use dropout::bias_dropout_add;
pub(crate) use embedding::embedding;
pub(crate) use layer_norm::layer_norm;
pub(crate) use linear::{bias_gelu, linear, linear_tied};
