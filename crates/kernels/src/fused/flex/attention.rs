use burn::backend::{Flex, flex::FlexTensor};

use super::{
    memory::Buffer,
    tensors::{contiguous, dimensions, elements, tensor},
};
use crate::{
    cpu::attention,
    fused::{CausalAttention, Operation},
};

/// What the backward pass of an attention reads.
#[derive(Clone, Debug)]
pub struct SavedAttention {
    qkv: FlexTensor,
    log_sum_exp: Vec<f32>,
}

impl Operation<Flex, 1> for CausalAttention {
    type Saved = SavedAttention;

    fn forward(&self, inputs: [FlexTensor; 1]) -> (FlexTensor, SavedAttention) {
        let [qkv] = inputs.map(contiguous);
        let [tokens, packed] = dimensions(&qkv);
        let shape = [tokens, packed / 3];
        let mut out = Buffer::new(shape[0] * shape[1]);
        let mut log_sum_exp = vec![0.0; tokens * self.shape.heads];
        attention::forward(
            elements(&qkv),
            self.shape,
            self.dropout,
            &mut out,
            &mut log_sum_exp,
        );
        (tensor(out, shape), SavedAttention { qkv, log_sum_exp })
    }

    fn backward(
        &self,
        _: [Option<FlexTensor>; 1],
        saved: SavedAttention,
        d_out: FlexTensor,
        _: [bool; 1],
    ) -> [Option<FlexTensor>; 1] {
        let shape = dimensions(&saved.qkv);
        let mut d_qkv = Buffer::new(shape[0] * shape[1]);
        attention::backward(
            elements(&contiguous(d_out)),
            elements(&saved.qkv),
            &saved.log_sum_exp,
            self.shape,
            self.dropout,
            &mut d_qkv,
        );
        [Some(tensor(d_qkv, shape))]
    }
}
