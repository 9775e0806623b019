//! The training operations that model and losses call: fused kernels with hand-written backward passes, and the
//! reference that they are tested against.
//!
//! [`Operations`] has them all. [`fused`] connects kernels to Burn: each is one operation of the autodiff graph, on
//! Flex made of the functions of [`cpu`].

pub mod cpu;
pub mod fused;
mod operations;
mod reference;

pub use cpu::dropout::Dropout;
pub use fused::{scale, sum_of_squares};
pub use operations::{Activation, AttentionShape, Kernels, Operations, Precision};
