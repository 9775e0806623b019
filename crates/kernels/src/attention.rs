use burn::tensor::{Bool, Tensor, activation::softmax};

use crate::dropout;

/// How the rows of an activation matrix divide into sequences and its columns into heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Sequences.
    pub batch: usize,
    /// Tokens of a sequence.
    pub context: usize,
    /// Heads; they divide the width.
    pub heads: usize,
}

/// Causal self-attention straight from the packed projection, `dropout(softmax(Q K^T / sqrt(d) + mask)) V` in each head
/// of d = width / heads channels (arXiv 1706.03762); a token attends to itself and to those before it.
///
/// Shapes: `qkv` `[batch * context, 3 * width]`, the queries of all heads first, then the keys, then the values; gives
/// `[batch * context, width]`.
pub fn causal_attention(qkv: Tensor<2>, shape: AttentionShape, dropout_probability: f64) -> Tensor<2> {
    let AttentionShape {
        batch,
        context,
        heads,
    } = shape;
    let [tokens, packed] = qkv.dims();
    let width = packed / 3;
    let channels = width / heads;

    let per_head = |part: usize| -> Tensor<4> {
        let columns = part * width..(part + 1) * width;
        qkv.clone()
            .slice([0..tokens, columns])
            .reshape([batch, context, heads, channels])
            .swap_dims(1, 2)
    };
    let (queries, keys, values) = (per_head(0), per_head(1), per_head(2));

    let scale = 1.0 / (channels as f64).sqrt();
    let scores = (queries * scale).matmul(keys.transpose()); // [batch, heads, context, context]
    let future = Tensor::<2, Bool>::tril_mask([context, context], 0, &scores.device());
    let weights = softmax(scores.mask_fill(future.unsqueeze(), f32::NEG_INFINITY), 3);
    let mixed = dropout(weights, dropout_probability).matmul(values);
    mixed.swap_dims(1, 2).reshape([tokens, width])
}
