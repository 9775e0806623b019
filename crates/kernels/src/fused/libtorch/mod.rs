//! The operations on LibTorch: its own kernels, forward and backward.
//!
//! None of these tensors requires a gradient of LibTorch's own, so its autograd records nothing, but in the attention.
//! Random masks are drawn by the device's generator, seeded with the operation's key: another mask than on Flex, from the
//! same distribution, and as much a function of the key.

mod adamw;
mod attention;
mod cross_entropy;
mod embedding;
mod gelu;
mod layer_norm;
mod linear;
mod residual;
mod script;
mod tensors;

pub use adamw::{AdamWStep, adamw};
