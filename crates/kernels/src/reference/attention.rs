use burn::tensor::{Bool, Tensor, activation::softmax};

use super::dropout::dropout;
use crate::{AttentionShape, Dropout};

pub(crate) fn causal_attention(qkv: Tensor<2>, shape: AttentionShape, probability: Dropout) -> Tensor<2> {
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
    let mixed = dropout(weights, probability).matmul(values);
    mixed.swap_dims(1, 2).reshape([tokens, width])
}
