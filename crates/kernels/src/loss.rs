use burn::tensor::{Int, Tensor, activation::log_softmax};

/// The negative log-likelihood of every target, `-log softmax(logits)[target]` in nats, with the maximum subtracted
/// first, so that no finite logit overflows.
///
/// Shapes: `logits` `[tokens, vocabulary]`, `targets` `[tokens]` of token ids below the vocabulary; gives `[tokens]`.
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let tokens = targets.dims()[0];
    -log_softmax(logits, 1)
        .gather(1, targets.reshape([tokens, 1]))
        .reshape([tokens])
}
