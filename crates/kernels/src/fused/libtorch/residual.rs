use burn::backend::{LibTorch, libtorch::TchTensor};

use super::tensors::{bias, dropped, dropped_backward, sum_of_rows, writable};
use crate::fused::{BiasDropoutAdd, Operation};

/// What the backward pass of a branch reads.
#[derive(Clone, Debug)]
pub struct SavedBranch {
    mask: Option<TchTensor>,
    has_bias: bool,
}

impl Operation<LibTorch, 3> for BiasDropoutAdd {
    type Saved = SavedBranch;

    fn forward(&self, inputs: [TchTensor; 3]) -> (TchTensor, SavedBranch) {
        let [x, offset, stream] = inputs;
        let mut y = writable(x);
        if let Some(bias) = bias(&offset) {
            let _ = y.tensor.g_add_(bias);
        }
        let mut mask = None;
        if !self.dropout.is_none() {
            let (product, drawn) = dropped(&y.tensor, self.dropout);
            y = TchTensor::new(product);
            mask = Some(TchTensor::new(drawn));
        }
        let _ = y.tensor.g_add_(&stream.tensor);
        let has_bias = bias(&offset).is_some();
        (y, SavedBranch { mask, has_bias })
    }

    fn backward(
        &self,
        _: [Option<TchTensor>; 3],
        saved: SavedBranch,
        dy: TchTensor,
        _: [bool; 3],
    ) -> [Option<TchTensor>; 3] {
        let dx = match saved.mask {
            Some(mask) => TchTensor::new(dropped_backward(&dy.tensor, &mask.tensor, self.dropout)),
            None => dy.clone(),
        };
        let d_bias = saved.has_bias.then(|| sum_of_rows(&dx.tensor));
        [Some(dx), d_bias, Some(dy)]
    }
}
