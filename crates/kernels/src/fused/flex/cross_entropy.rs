use burn::backend::{Flex, flex::FlexTensor};

use super::{
    memory::Buffer,
    tensors::{contiguous, elements, ids, tensor},
};
use crate::{
    cpu::cross_entropy::{self, Softmax},
    fused::{CrossEntropy, Operation},
};

/// What the backward pass of a cross-entropy reads.
#[derive(Clone, Debug)]
pub struct SavedCrossEntropy {
    logits: FlexTensor,
    targets: Vec<u32>,
    softmax: Vec<Softmax>,
}

impl Operation<Flex, 1> for CrossEntropy<FlexTensor> {
    type Saved = SavedCrossEntropy;

    fn forward(&self, inputs: [FlexTensor; 1]) -> (FlexTensor, SavedCrossEntropy) {
        let [logits] = inputs.map(contiguous);
        let targets = ids(&self.targets);
        let tokens = targets.len();
        let mut nll = Buffer::new(tokens);
        let mut softmax = vec![Softmax::default(); tokens];
        cross_entropy::forward(elements(&logits), &targets, &mut nll, &mut softmax);
        let saved = SavedCrossEntropy {
            logits,
            targets,
            softmax,
        };
        (tensor(nll, [tokens]), saved)
    }

    fn backward(
        &self,
        _: [Option<FlexTensor>; 1],
        saved: SavedCrossEntropy,
        d_nll: FlexTensor,
        _: [bool; 1],
    ) -> [Option<FlexTensor>; 1] {
        // The logits become their gradient, in place where nothing else holds them.
        let mut logits = saved.logits;
        cross_entropy::backward(
            logits.storage_mut(),
            &saved.targets,
            &saved.softmax,
            elements(&contiguous(d_nll)),
        );
        [Some(logits)]
    }
}
