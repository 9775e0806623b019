use burn::backend::{Flex, flex::FlexTensor};

use super::{
    memory::Buffer,
    tensors::{bias, contiguous, dimensions, elements, tensor},
};
use crate::{
    cpu::layer_norm,
    fused::{LayerNorm, Operation},
};

/// What the backward pass of a layer normalisation reads.
#[derive(Clone, Debug)]
pub struct SavedLayerNorm {
    x: FlexTensor,
    weight: FlexTensor,
    has_bias: bool,
    mean: Vec<f32>,
    inverse_deviation: Vec<f32>,
}

impl Operation<Flex, 3> for LayerNorm {
    const DROPPED: bool = true;
    type Saved = SavedLayerNorm;

    fn forward(&self, inputs: [FlexTensor; 3]) -> (FlexTensor, SavedLayerNorm) {
        let [x, weight, offset] = inputs.map(contiguous);
        let shape = dimensions(&x);
        let mut y = Buffer::new(shape[0] * shape[1]);
        let mut mean = vec![0.0; shape[0]];
        let mut inverse_deviation = vec![0.0; shape[0]];
        layer_norm::forward(
            elements(&x),
            elements(&weight),
            bias(&offset),
            self.epsilon as f32,
            &mut y,
            &mut mean,
            &mut inverse_deviation,
        );
        let saved = SavedLayerNorm {
            has_bias: bias(&offset).is_some(),
            x,
            weight,
            mean,
            inverse_deviation,
        };
        (tensor(y, shape), saved)
    }

    fn backward(
        &self,
        _: [Option<FlexTensor>; 3],
        saved: SavedLayerNorm,
        dy: FlexTensor,
        _: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let dy = contiguous(dy);
        let shape = dimensions(&dy);
        let width = shape[1];
        let mut dx = Buffer::new(shape[0] * width);
        let mut d_weight = Buffer::new(width);
        let mut d_bias = saved.has_bias.then(|| Buffer::new(width));
        layer_norm::backward(
            elements(&dy),
            layer_norm::Saved {
                x: elements(&saved.x),
                weight: elements(&saved.weight),
                mean: &saved.mean,
                inverse_deviation: &saved.inverse_deviation,
            },
            &mut dx,
            &mut d_weight,
            d_bias.as_deref_mut(),
        );
        [
            Some(tensor(dx, shape)),
            Some(tensor(d_weight, [width])),
            d_bias.map(|d_bias| tensor(d_bias, [width])),
        ]
    }
}
