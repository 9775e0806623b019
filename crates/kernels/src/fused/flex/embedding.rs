use burn::backend::{Flex, flex::FlexTensor};

use super::{
    memory::Buffer,
    tensors::{contiguous, dimensions, elements, ids, tensor},
};
use crate::{
    cpu::embedding,
    fused::{Embedding, Operation},
};

/// What the backward pass of an embedding reads.
#[derive(Clone, Debug)]
pub struct SavedEmbedding {
    tokens: Vec<u32>,
    context: usize,
    table: [usize; 2],
    positions: [usize; 2],
}

impl Operation<Flex, 2> for Embedding<FlexTensor> {
    type Saved = SavedEmbedding;

    fn forward(&self, inputs: [FlexTensor; 2]) -> (FlexTensor, SavedEmbedding) {
        let [table, positions] = inputs.map(contiguous);
        let saved = SavedEmbedding {
            tokens: ids(&self.tokens),
            context: dimensions(&self.tokens)[1],
            table: dimensions(&table),
            positions: dimensions(&positions),
        };
        let shape = [saved.tokens.len(), saved.table[1]];
        let mut y = Buffer::new(shape[0] * shape[1]);
        embedding::forward(
            &saved.tokens,
            elements(&table),
            elements(&positions),
            saved.context,
            self.dropout,
            &mut y,
        );
        (tensor(y, shape), saved)
    }

    fn backward(
        &self,
        _: [Option<FlexTensor>; 2],
        saved: SavedEmbedding,
        dy: FlexTensor,
        _: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        let mut d_table = Buffer::new(saved.table.iter().product());
        let mut d_positions = Buffer::new(saved.positions.iter().product());
        embedding::backward(
            elements(&contiguous(dy)),
            &saved.tokens,
            saved.context,
            self.dropout,
            &mut d_table,
            &mut d_positions,
        );
        [
            Some(tensor(d_table, saved.table)),
            Some(tensor(d_positions, saved.positions)),
        ]
    }
}
