use std::f64::consts::{FRAC_2_SQRT_PI, SQRT_2};

use burn::tensor::Tensor;

/// `x W + b`.
///
/// Shapes: `x` `[tokens, inputs]`, `weight` `[inputs, outputs]`, `bias` `[outputs]`; gives `[tokens, outputs]`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::flex();
/// let x = Tensor::<2>::from_floats([[1.0, 2.0]], &device);
/// let weight = Tensor::from_floats([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]], &device);
/// let bias = Tensor::from_floats([10.0, 20.0, 30.0], &device);
/// let y = kernels::linear(x, weight, Some(bias));
/// assert_eq!(y.into_data().try_to_vec::<f32>().unwrap(), [11.0, 22.0, 33.0]);
/// ```
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let product = x.matmul(weight);
    match bias {
        Some(bias) => product + bias.unsqueeze(),
        None => product,
    }
}

/// `x E^T`: the logits of a head that is tied to the token embedding.
///
/// Shapes: `x` `[tokens, width]`, `embedding` `[vocabulary, width]`; gives `[tokens, vocabulary]`.
pub fn linear_tied(x: Tensor<2>, embedding: Tensor<2>) -> Tensor<2> {
    x.matmul(embedding.transpose())
}

/// GELU in GPT-2's form, `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))` (arXiv 1606.08415), of every element.
pub fn gelu(x: Tensor<2>) -> Tensor<2> {
    const SQRT_2_OVER_PI: f64 = FRAC_2_SQRT_PI / SQRT_2;
    let square = x.clone() * x.clone();
    let inner = x.clone() * (square * (0.044715 * SQRT_2_OVER_PI) + SQRT_2_OVER_PI);
    x * ((inner.tanh() + 1.0) * 0.5)
}
