//! What the methods that work on whole tensors share.

use std::{fmt::Debug, sync::Arc};

use burn::{
    optim::DynOptimizer,
    tensor::{DType, Tensor},
};

/// An algorithm that looks at a parameter as a whole, not at each element by itself.
pub(crate) trait Whole: Clone + Debug {
    /// What updates a parameter of `rank` dimensions: some methods are for matrices alone.
    fn for_rank(&self, rank: usize) -> Arc<dyn DynOptimizer>;
}

/// The Euclidean norm, `[1]`; it neither overflows nor underflows where the numbers themselves do not.
pub(crate) fn norm<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let largest = tensor.clone().max_abs().clamp_min(smallest(tensor.dtype()));
    let unit = tensor / largest.clone().unsqueeze();
    largest * unit.square().sum().sqrt()
}

/// The gradient, each element held where the sum of its square with many others is still finite.
pub(crate) fn square_summable<const D: usize>(g: Tensor<D>) -> Tensor<D> {
    let limit = match g.dtype() {
        DType::F64 => f64::MAX.sqrt() * 1e-4,
        _ => f64::from(f32::MAX).sqrt() * 1e-4,
    };
    g.clamp(-limit, limit)
}

/// The smallest positive normal number.
pub(crate) fn smallest(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => f64::MIN_POSITIVE,
        _ => f64::from(f32::MIN_POSITIVE),
    }
}
