use burn::tensor::{Distribution, Tensor};

/// Inverted dropout: each element is zero with probability `p`, otherwise divided by `1 - p` (JMLR 15:1929).
///
/// The mask comes from the device's random generator, which the training loop seeds from (seed, step, micro-step).
/// With `p = 0` it is the identity and draws nothing.
pub fn dropout<const D: usize>(x: Tensor<D>, p: f64) -> Tensor<D> {
    if p == 0.0 {
        return x;
    }
    let keep = 1.0 - p;
    // The mask and its scale are one tensor, so that the backward pass is one product.
    let mask = x.clone().detach().random_like(Distribution::Bernoulli(keep)) * (1.0 / keep);
    x * mask
}

/// `residual + dropout(x, p)`: what each branch of a block returns to the residual stream.
pub fn dropout_add(x: Tensor<2>, residual: Tensor<2>, p: f64) -> Tensor<2> {
    residual + dropout(x, p)
}
