//! The operations composed of Burn's own: what they mean, on any device.
//!
//! The fused ones are tested against these, and these stand in for them where a device or a type of number has none.

mod activation;
mod attention;
mod cross_entropy;
mod dropout;
mod embedding;
mod layer_norm;
mod linear;

pub(crate) use activation::bias_activation;
pub(crate) use attention::{attention_weights, cached_attention, causal_attention};
pub(crate) use cross_entropy::cross_entropy;
pub(crate) use dropout::bias_dropout_add;
pub(crate) use embedding::embedding;
pub(crate) use layer_norm::layer_norm;
pub(crate) use linear::{linear, linear_tied};
