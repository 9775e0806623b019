use burn::backend::{LibTorch, libtorch::TchTensor};

use super::tensors::{bias, sum_of_rows, writable};
use crate::fused::{BiasGelu, Operation};

/// GPT-2's form.
const APPROXIMATE: &str = "tanh";

/// What the backward pass of a GELU reads.
#[derive(Clone, Debug)]
pub struct SavedGelu {
    /// `x + b`.
    sum: TchTensor,
    has_bias: bool,
}

impl Operation<LibTorch, 2> for BiasGelu {
    type Saved = SavedGelu;

    fn forward(&self, inputs: [TchTensor; 2]) -> (TchTensor, SavedGelu) {
        let [x, offset] = inputs;
        let sum = match bias(&offset) {
            Some(bias) => {
                let mut sum = writable(x);
                let _ = sum.tensor.g_add_(bias);
                sum
            }
            None => x,
        };
        let y = sum.tensor.gelu(APPROXIMATE);
        let has_bias = bias(&offset).is_some();
        (TchTensor::new(y), SavedGelu { sum, has_bias })
    }

    fn backward(&self, saved: SavedGelu, dy: TchTensor, _: [bool; 2]) -> [Option<TchTensor>; 2] {
        let dx = if dy.can_mut() {
            let _ = saved
                .sum
                .tensor
                .gelu_backward_grad_input(&dy.tensor, &dy.tensor, APPROXIMATE);
            dy
        } else {
            TchTensor::new(saved.sum.tensor.gelu_backward(&dy.tensor, APPROXIMATE))
        };
        let d_bias = saved.has_bias.then(|| sum_of_rows(&dx.tensor));
        [Some(dx), d_bias]
    }
}
