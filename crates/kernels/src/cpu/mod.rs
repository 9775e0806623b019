//! The operations on slices of `f32`: row-major, contiguous, without Burn.
//!
//! What the fused operations on Flex are made of. SIMD is chosen at run time, work is shared by rayon's current pool, and
//! every result is the same bits in every run, since work is split by shape and summed in a fixed order.

pub mod attention;
mod bias;
pub mod cross_entropy;
pub mod dropout;
pub mod embedding;
pub mod gelu;
mod lanes;
pub mod layer_norm;
mod math;
pub mod matmul;
pub mod matrix;
pub mod pool;
#[cfg(test)]
mod portable;
mod product;
pub mod residual;
pub mod simd;
pub mod sums;
mod tasks;
