use std::f64::consts::LN_2;

use burn::tensor::{Int, Tensor};

/// Perplexity, `exp(nll)`, of a mean negative log-likelihood in nats per token.
///
/// ```
/// assert_eq!((losses::perplexity(2.0) * 10.0).round() / 10.0, 7.4);
/// assert_eq!((losses::perplexity(1.0) * 10.0).round() / 10.0, 2.7);
/// ```
pub fn perplexity(nll: f64) -> f64 {
    nll.exp()
}

/// Bits per byte, `nll / (ln 2 * bytes_per_token)`: the figure that compares models with different tokenizers.
///
/// `nll` is in nats per token, `bytes_per_token` the bytes of text over the tokens that encode it.
///
/// ```
/// // A byte-level model that guesses uniformly needs all 8 bits.
/// assert!((losses::bits_per_byte(256f64.ln(), 1.0) - 8.0).abs() < 1e-12);
/// ```
pub fn bits_per_byte(nll: f64, bytes_per_token: f64) -> f64 {
    nll / (LN_2 * bytes_per_token)
}

/// The share of the tokens whose target has the largest logit; of equal logits the first is the largest.
///
/// Shapes: `logits` `[tokens, vocabulary]`, `targets` `[tokens]`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::flex();
/// let logits = Tensor::<2>::from_floats([[2.0, 1.0], [2.0, 1.0], [0.0, 0.0], [0.0, 3.0]], &device);
/// let targets = Tensor::from_ints([0, 1, 0, 1], &device);
/// assert_eq!(losses::top_1_accuracy(logits, targets), 0.75);
/// ```
pub fn top_1_accuracy(logits: Tensor<2>, targets: Tensor<1, Int>) -> f64 {
    let tokens = targets.dims()[0];
    let guesses = logits.argmax(1).reshape([tokens]);
    let hits: i64 = guesses.equal(targets).int().sum().into_scalar();
    hits as f64 / tokens as f64
}
