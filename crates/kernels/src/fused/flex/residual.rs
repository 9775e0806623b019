use burn::backend::{Flex, flex::FlexTensor};

use super::{
    memory::Buffer,
    tensors::{bias, contiguous, dimensions, elements, tensor},
};
use crate::{
    cpu::{residual, sums::sum_rows},
    fused::{BiasDropoutAdd, Operation},
};

impl Operation<Flex, 3> for BiasDropoutAdd {
    /// Whether there is a bias.
    type Saved = bool;

    fn forward(&self, inputs: [FlexTensor; 3]) -> (FlexTensor, bool) {
        let [x, offset, stream] = inputs.map(contiguous);
        let shape = dimensions(&x);
        let mut y = Buffer::new(shape[0] * shape[1]);
        residual::forward(
            elements(&x),
            bias(&offset),
            elements(&stream),
            self.dropout,
            &mut y,
        );
        (tensor(y, shape), bias(&offset).is_some())
    }

    fn backward(
        &self,
        _: [Option<FlexTensor>; 3],
        has_bias: bool,
        dy: FlexTensor,
        _: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let dy = contiguous(dy);
        let shape = dimensions(&dy);
        let mut d_bias = has_bias.then(|| Buffer::new(shape[1]));
        let dx = if self.dropout.is_none() {
            if let Some(d_bias) = &mut d_bias {
                sum_rows(elements(&dy), d_bias);
            }
            dy.clone()
        } else {
            let mut dx = Buffer::new(shape[0] * shape[1]);
            residual::backward(
                elements(&dy),
                self.dropout,
                &mut dx,
                d_bias.as_deref_mut(),
                shape[1],
            );
            tensor(dx, shape)
        };
        let d_bias = d_bias.map(|d_bias| tensor(d_bias, [shape[1]]));
        [Some(dx), d_bias, Some(dy)]
    }
}
