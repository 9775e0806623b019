use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};
use kernels::Operations;

use crate::{ModelConfig, Norm, init::Initialiser};

/// The epsilon of GPT-2's layer normalisation.
const EPSILON: f64 = 1e-5;

/// A linear layer, `x W + b`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[inputs, outputs]`.
    pub weight: Param<Tensor<2>>,
    /// `[outputs]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    pub(crate) fn new(shape: [usize; 2], deviation: f64, bias: bool, init: &mut Initialiser) -> Self {
        Self {
            weight: init.normal(shape, deviation),
            bias: bias.then(|| Param::from_tensor(Tensor::zeros([shape[1]], init.device()))),
        }
    }

    /// Shapes: `[tokens, inputs]` to `[tokens, outputs]`.
    pub fn forward(&self, x: Tensor<2>, operations: Operations) -> Tensor<2> {
        operations.linear(x, self.weight.val(), self.bias())
    }

    /// `x W`, for an operation that adds the bias itself.
    pub fn forward_without_bias(&self, x: Tensor<2>, operations: Operations) -> Tensor<2> {
        operations.linear(x, self.weight.val(), None)
    }

    /// `[outputs]`.
    pub fn bias(&self) -> Option<Tensor<1>> {
        self.bias.as_ref().map(Param::val)
    }
}

/// Layer normalisation with a learned scale and shift.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// The scale, `[width]`.
    pub weight: Param<Tensor<1>>,
    /// The shift, `[width]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl LayerNorm {
    /// One of the model's, if it has any.
    pub(crate) fn new(config: &ModelConfig, device: &Device) -> Option<Self> {
        let ModelConfig {
            width, bias, norm, ..
        } = *config;
        (norm != Norm::None).then(|| Self {
            weight: Param::from_tensor(Tensor::ones([width], device)),
            bias: bias.then(|| Param::from_tensor(Tensor::zeros([width], device))),
        })
    }

    /// Shapes: `[tokens, width]` to the same.
    pub fn forward(&self, x: Tensor<2>, operations: Operations) -> Tensor<2> {
        operations.layer_norm(x, self.weight.val(), self.bias.as_ref().map(Param::val), EPSILON)
    }
}
