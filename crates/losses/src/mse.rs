use burn::tensor::{IndexingUpdateOp, Int, Tensor, activation::softmax};

/// The squared error between the probabilities and the one-hot target, `sum_v (softmax(logits)[v] - one_hot(y)[v])^2`,
/// of every token: summed over the vocabulary (Brier 1950), for a mean over it would vanish as the vocabulary grows.
///
/// It exists to be compared with cross-entropy. Its gradient carries the softmax's own derivative as a factor, so that
/// a token that the model gets confidently wrong, where cross-entropy pulls hardest, teaches next to nothing.
///
/// Shapes: `logits` `[tokens, vocabulary]`, `targets` `[tokens]`; gives `[tokens]`, each between 0 and 2.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::flex();
/// let logits = Tensor::<2>::from_floats([[0.7f32.ln(), 0.2f32.ln(), 0.1f32.ln()]], &device);
/// let loss: f32 = losses::mse(logits, Tensor::from_ints([0], &device)).into_scalar();
/// assert!((loss - 0.14).abs() < 1e-6); // 0.3^2 + 0.2^2 + 0.1^2
/// ```
pub fn mse(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let tokens = targets.dims()[0];
    let minus_one = -Tensor::<2>::ones([tokens, 1], &logits.device());
    softmax(logits, 1)
        .scatter(1, targets.reshape([tokens, 1]), minus_one, IndexingUpdateOp::Add)
        .square()
        .sum_dim(1)
        .reshape([tokens])
}
