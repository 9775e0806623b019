use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, SQRT_2};

use burn::tensor::{
    Tensor,
    activation::{relu, sigmoid},
};

use crate::Activation;

pub(crate) fn bias_activation(x: Tensor<2>, bias: Option<Tensor<1>>, activation: Activation) -> Tensor<2> {
    let x = match bias {
        Some(bias) => x + bias.unsqueeze(),
        None => x,
    };
    match activation {
        Activation::Gelu => {
            let erf = (x.clone() * FRAC_1_SQRT_2).erf();
            x * ((erf + 1.0) * 0.5)
        }
        Activation::GeluTanh => gelu_tanh(x),
        Activation::Relu => relu(x),
        Activation::SquaredRelu => relu(x).square(),
        Activation::Silu => x.clone() * sigmoid(x),
    }
}

fn gelu_tanh(x: Tensor<2>) -> Tensor<2> {
    const SQRT_2_OVER_PI: f64 = FRAC_2_SQRT_PI / SQRT_2;
    let square = x.clone() * x.clone();
    let inner = x.clone() * (square * (0.044715 * SQRT_2_OVER_PI) + SQRT_2_OVER_PI);
    x * ((inner.tanh() + 1.0) * 0.5)
}
