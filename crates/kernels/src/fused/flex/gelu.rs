use burn::backend::{Flex, flex::FlexTensor};

use super::{
    memory::Buffer,
    tensors::{bias, contiguous, dimensions, elements, tensor},
};
use crate::{
    cpu::gelu,
    fused::{BiasGelu, Operation},
};

impl Operation<Flex, 2> for BiasGelu {
    const DROPPED: bool = true;
    /// `x` and the bias.
    type Saved = [FlexTensor; 2];

    fn forward(&self, inputs: [FlexTensor; 2]) -> (FlexTensor, [FlexTensor; 2]) {
        let inputs = inputs.map(contiguous);
        let [x, offset] = &inputs;
        let shape = dimensions(x);
        let mut y = Buffer::new(shape[0] * shape[1]);
        gelu::forward(elements(x), bias(offset), &mut y);
        (tensor(y, shape), inputs)
    }

    fn backward(
        &self,
        _: [Option<FlexTensor>; 2],
        [x, offset]: [FlexTensor; 2],
        dy: FlexTensor,
        _: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        let dy = contiguous(dy);
        let shape = dimensions(&x);
        let mut dx = Buffer::new(shape[0] * shape[1]);
        let mut d_bias = bias(&offset).map(|_| Buffer::new(shape[1]));
        gelu::backward(
            elements(&dy),
            elements(&x),
            bias(&offset),
            &mut dx,
            d_bias.as_deref_mut(),
        );
        [
            Some(tensor(dx, shape)),
            d_bias.map(|d_bias| tensor(d_bias, [shape[1]])),
        ]
    }
}
