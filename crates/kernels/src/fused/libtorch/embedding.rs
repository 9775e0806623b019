use burn::backend::{LibTorch, libtorch::TchTensor};
use tch::Tensor;

use super::tensors::{dimensions, dropped, dropped_backward};
use crate::fused::{Embedding, Operation};

/// What the backward pass of an embedding reads.
#[derive(Clone, Debug)]
pub struct SavedEmbedding {
    vocabulary: i64,
    /// Of the table of positions.
    positions: i64,
    mask: Option<TchTensor>,
}

impl Operation<LibTorch, 2> for Embedding<TchTensor> {
    type Saved = SavedEmbedding;

    fn forward(&self, inputs: [TchTensor; 2]) -> (TchTensor, SavedEmbedding) {
        let [table, positions] = inputs;
        let [batch, context] = dimensions(&self.tokens);
        let [vocabulary, width] = dimensions(&table);
        let mut y = table.tensor.index_select(0, &self.tokens.tensor.reshape(-1));
        let _ = y
            .view([batch, context, width])
            .g_add_(&positions.tensor.narrow(0, 0, context));
        let mut mask = None;
        if !self.dropout.is_none() {
            let (product, drawn) = dropped(&y, self.dropout);
            y = product;
            mask = Some(TchTensor::new(drawn));
        }
        let saved = SavedEmbedding {
            vocabulary,
            positions: dimensions(&positions)[0],
            mask,
        };
        (TchTensor::new(y), saved)
    }

    fn backward(
        &self,
        _: [Option<TchTensor>; 2],
        saved: SavedEmbedding,
        dy: TchTensor,
        wanted: [bool; 2],
    ) -> [Option<TchTensor>; 2] {
        let [batch, context] = dimensions(&self.tokens);
        let [_, width] = dimensions(&dy);
        let dy = match saved.mask {
            Some(mask) => dropped_backward(&dy.tensor, &mask.tensor, self.dropout),
            None => dy.tensor,
        };
        let dy = dy.reshape([batch, context, width]);
        let d_table = wanted[0].then(|| {
            const NO_PADDING: i64 = -1;
            let tokens = &self.tokens.tensor;
            Tensor::embedding_dense_backward(&dy, tokens, saved.vocabulary, NO_PADDING, false)
        });
        let d_positions = wanted[1].then(|| {
            let used = dy.sum_dim_intlist(0, false, None);
            // The positions behind the context had no part in it.
            used.constant_pad_nd([0, 0, 0, saved.positions - context])
        });
        [d_table, d_positions].map(|gradient| gradient.map(TchTensor::new))
    }
}
