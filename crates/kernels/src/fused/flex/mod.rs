//! The operations on Flex: tensors in and out, the work done by [`cpu`](crate::cpu).

mod attention;
mod cross_entropy;
mod embedding;
mod gelu;
mod layer_norm;
mod linear;
mod memory;
mod residual;
mod tensors;

pub(super) use tensors::{scale, sum_of_squares};
