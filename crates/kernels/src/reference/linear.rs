use std::f64::consts::{FRAC_2_SQRT_PI, SQRT_2};

use burn::tensor::Tensor;

pub(crate) fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let product = x.matmul(weight);
    match bias {
        Some(bias) => product + bias.unsqueeze(),
        None => product,
    }
}

pub(crate) fn linear_tied(x: Tensor<2>, embedding: Tensor<2>) -> Tensor<2> {
    x.matmul(embedding.transpose())
}

pub(crate) fn bias_gelu(x: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    const SQRT_2_OVER_PI: f64 = FRAC_2_SQRT_PI / SQRT_2;
    let x = match bias {
        Some(bias) => x + bias.unsqueeze(),
        None => x,
    };
    let square = x.clone() * x.clone();
    let inner = x.clone() * (square * (0.044715 * SQRT_2_OVER_PI) + SQRT_2_OVER_PI);
    x * ((inner.tanh() + 1.0) * 0.5)
}
