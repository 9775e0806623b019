use burn::backend::{LibTorch, libtorch::TchTensor};

use super::tensors::{bias, sum_of_rows};
use crate::fused::{BiasGelu, Operation};

/// GPT-2's form.
const APPROXIMATE: &str = "tanh";

/// What the backward pass of a GELU reads.
#[derive(Clone, Debug)]
pub struct SavedGelu {
    x: TchTensor,
    /// Where it is not in `x` yet.
    bias: Option<TchTensor>,
    has_bias: bool,
}

impl Operation<LibTorch, 2> for BiasGelu {
    const DROPPED: bool = true;
    type Saved = SavedGelu;

    fn forward(&self, inputs: [TchTensor; 2]) -> (TchTensor, SavedGelu) {
        let [mut x, offset] = inputs;
        let has_bias = bias(&offset).is_some();
        let (y, bias) = match bias(&offset) {
            Some(bias) if x.can_mut() => {
                let _ = x.tensor.g_add_(bias);
                (x.tensor.gelu(APPROXIMATE), None)
            }
            // What something else holds as well costs least if it is kept, and not a sum beside it.
            Some(bias) => ((&x.tensor + bias).gelu(APPROXIMATE), Some(offset)),
            None => (x.tensor.gelu(APPROXIMATE), None),
        };
        (TchTensor::new(y), SavedGelu { x, bias, has_bias })
    }

    fn backward(
        &self,
        _: [Option<TchTensor>; 2],
        saved: SavedGelu,
        dy: TchTensor,
        _: [bool; 2],
    ) -> [Option<TchTensor>; 2] {
        let sum = match saved.bias {
            Some(bias) => saved.x.tensor + bias.tensor,
            None => saved.x.tensor,
        };
        let dx = if dy.can_mut() {
            let _ = sum.gelu_backward_grad_input(&dy.tensor, &dy.tensor, APPROXIMATE);
            dy
        } else {
            TchTensor::new(sum.gelu_backward(&dy.tensor, APPROXIMATE))
        };
        let d_bias = saved.has_bias.then(|| sum_of_rows(&dx.tensor));
        [Some(dx), d_bias]
    }
}
