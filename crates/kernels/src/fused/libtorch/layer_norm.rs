use burn::backend::{LibTorch, libtorch::TchTensor};

use super::{
    script::layer_norm_backward,
    tensors::{bias, contiguous, dimensions},
};
use crate::fused::{LayerNorm, Operation};

/// What the backward pass of a layer normalisation reads.
#[derive(Clone, Debug)]
pub struct SavedLayerNorm {
    x: TchTensor,
    weight: TchTensor,
    bias: TchTensor,
    mean: TchTensor,
    inverse_deviation: TchTensor,
}

impl Operation<LibTorch, 3> for LayerNorm {
    const DROPPED: bool = true;
    type Saved = SavedLayerNorm;

    fn forward(&self, inputs: [TchTensor; 3]) -> (TchTensor, SavedLayerNorm) {
        let [x, weight, offset] = inputs;
        let [_, width] = dimensions(&x);
        let (y, mean, inverse_deviation) =
            x.tensor
                .native_layer_norm(width, Some(&weight.tensor), bias(&offset), self.epsilon);
        let saved = SavedLayerNorm {
            x,
            weight,
            bias: offset,
            mean: TchTensor::new(mean),
            inverse_deviation: TchTensor::new(inverse_deviation),
        };
        (TchTensor::new(y), saved)
    }

    fn backward(
        &self,
        _: [Option<TchTensor>; 3],
        saved: SavedLayerNorm,
        dy: TchTensor,
        _: [bool; 3],
    ) -> [Option<TchTensor>; 3] {
        let has_bias = bias(&saved.bias).is_some();
        let weight = &saved.weight.tensor;
        let [dx, d_weight, d_bias] = layer_norm_backward(
            &contiguous(dy).tensor,
            &saved.x.tensor,
            [&saved.mean.tensor, &saved.inverse_deviation.tensor],
            weight,
            bias(&saved.bias).unwrap_or(weight),
        )
        .map(TchTensor::new);
        [Some(dx), Some(d_weight), has_bias.then_some(d_bias)]
    }
}
