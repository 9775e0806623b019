use burn::tensor::{Bool, Tensor, activation::softmax};

use super::dropout::mask;
use crate::{AttentionShape, Dropout, cpu::attention::BLOCK};

pub(crate) fn causal_attention(qkv: Tensor<2>, shape: AttentionShape, probability: Dropout) -> Tensor<2> {
    let [tokens, packed] = qkv.dims();
    let [queries, keys, values] = per_head(qkv, shape);
    let weights = weights(queries, keys);
    let mixed = drop_weights(weights, probability).matmul(values);
    mixed.swap_dims(1, 2).reshape([tokens, packed / 3])
}

pub(crate) fn attention_weights(qkv: Tensor<2>, shape: AttentionShape) -> Tensor<4> {
    let [queries, keys, _] = per_head(qkv, shape);
    weights(queries, keys)
}

/// Queries, keys and values, `[batch, heads, context, channels]` each.
fn per_head(qkv: Tensor<2>, shape: AttentionShape) -> [Tensor<4>; 3] {
    let AttentionShape {
        batch,
        context,
        heads,
    } = shape;
    let [tokens, packed] = qkv.dims();
    let width = packed / 3;
    [0, 1, 2].map(|part| {
        let columns = part * width..(part + 1) * width;
        qkv.clone()
            .slice([0..tokens, columns])
            .reshape([batch, context, heads, width / heads])
            .swap_dims(1, 2)
    })
}

/// `softmax(Q K^T / sqrt(d) + mask)`, `[batch, heads, context, context]`.
fn weights(queries: Tensor<4>, keys: Tensor<4>) -> Tensor<4> {
    let [_, _, context, channels] = queries.dims();
    let scale = 1.0 / (channels as f64).sqrt();
    let scores = (queries * scale).matmul(keys.transpose());
    let future = Tensor::<2, Bool>::tril_mask([context, context], 0, &scores.device());
    softmax(scores.mask_fill(future.unsqueeze(), f32::NEG_INFINITY), 3)
}

pub(crate) fn cached_attention(
    queries: Tensor<2>,
    keys: Tensor<2>,
    values: Tensor<2>,
    heads: usize,
) -> Tensor<2> {
    let ([new, width], [tokens, _]) = (queries.dims(), keys.dims());
    let channels = width / heads;
    let per_head = |part: Tensor<2>| -> Tensor<3> {
        let [rows, _] = part.dims();
        part.reshape([rows, heads, channels]).swap_dims(0, 1)
    };
    let scale = 1.0 / (channels as f64).sqrt();
    let scores = (per_head(queries) * scale).matmul(per_head(keys).transpose()); // [heads, new, tokens]
    let past = (tokens - new) as i64;
    let future = Tensor::<2, Bool>::tril_mask([new, tokens], past, &scores.device());
    let weights = softmax(scores.mask_fill(future.unsqueeze(), f32::NEG_INFINITY), 2);
    let mixed = weights.matmul(per_head(values));
    mixed.swap_dims(0, 1).reshape([new, width])
}

/// The mask is that of the weights stored as `[batch, heads, blocks, context, BLOCK]`: by blocks of queries, and in a block
/// key by key.
fn drop_weights(weights: Tensor<4>, dropout: Dropout) -> Tensor<4> {
    if dropout.is_none() {
        return weights;
    }
    let [batch, heads, context, _] = weights.dims();
    let blocks = context.div_ceil(BLOCK);
    let mask: Tensor<5> = mask(dropout, [batch, heads, blocks, context, BLOCK], &weights);
    let mask = mask
        .swap_dims(3, 4)
        .reshape([batch, heads, blocks * BLOCK, context])
        .slice([0..batch, 0..heads, 0..context]);
    weights * mask
}
