use burn::tensor::{Int, Tensor, activation::log_softmax};

pub(crate) fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let tokens = targets.dims()[0];
    -log_softmax(logits, 1)
        .gather(1, targets.reshape([tokens, 1]))
        .reshape([tokens])
}
