//! What training minimises and what evaluation reports.
//!
//! Losses are in nats per token. Averages are over tokens, never over means of batches of unequal size: sum first,
//! divide once.

mod config;
mod metrics;

use burn::tensor::{Int, Tensor};

pub use config::{LossConfig, LossName};
pub use metrics::{bits_per_byte, perplexity};

/// The sum over all tokens of the negative log-likelihood of the next token, `-sum_i log P(x_i | x_<i)`, in nats.
///
/// Shapes: `logits` `[tokens, vocabulary]`, `targets` `[tokens]`; gives `[1]`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::flex();
/// let logits = Tensor::<2>::from_floats([[0.7f32.ln(), 0.2f32.ln(), 0.1f32.ln()]], &device);
/// let loss: f32 = losses::cross_entropy_sum(logits, Tensor::from_ints([0], &device)).into_scalar();
/// assert!((loss - 0.357).abs() < 5e-4); // -ln 0.7
/// ```
pub fn cross_entropy_sum(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    kernels::cross_entropy(logits, targets).sum()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    use super::*;

    fn loss(logits: &[f32], target: i32) -> f32 {
        let device = Device::flex();
        let logits = Tensor::<1>::from_floats(logits, &device).unsqueeze();
        cross_entropy_sum(logits, Tensor::from_ints([target], &device)).into_scalar()
    }

    #[test]
    fn the_chapters_probabilities() {
        for (p, expected) in [(0.9f32, 0.11), (0.5, 0.69), (0.1, 2.30)] {
            let actual = loss(&[p.ln(), (1.0 - p).ln()], 0);
            assert!((actual - expected).abs() < 5e-3, "p = {p}: {actual}");
        }
    }

    #[test]
    fn huge_logits_stay_finite() {
        assert_eq!(loss(&[1e4, -1e4], 0), 0.0);
        assert_eq!(loss(&[1e4, -1e4], 1), 2e4);
    }

    proptest! {
        #[test]
        fn a_shift_of_all_logits_changes_nothing(
            logits in prop::collection::vec(-8.0f32..8.0, 2..20),
            shift in -64.0f32..64.0,
        ) {
            let shifted: Vec<f32> = logits.iter().map(|x| x + shift).collect();
            // Each shifted logit, at most 72, is rounded once; the loss moves by at most twice that.
            let bound = 2.0 * 72.0 * f32::EPSILON + 1e-6 * loss(&logits, 0);
            prop_assert!((loss(&logits, 0) - loss(&shifted, 0)).abs() <= bound);
        }

        #[test]
        fn the_gradient_is_softmax_minus_one_hot(logits in prop::collection::vec(-8.0f32..8.0, 2..20)) {
            let device = Device::flex().autodiff();
            let n = logits.len();
            let input = Tensor::<2>::from_data(TensorData::new(logits.clone(), [1, n]), &device).require_grad();
            let gradients = cross_entropy_sum(input.clone(), Tensor::from_ints([0], &device)).backward();
            let gradient = input.grad(&gradients).unwrap().into_data().try_to_vec::<f32>().unwrap();
            let sum: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
            for (i, (&g, &x)) in gradient.iter().zip(&logits).enumerate() {
                let expected = f64::from(x).exp() / sum - f64::from(u8::from(i == 0));
                // exp of an argument of up to 16 that is itself rounded: 16 ULPs, and the sum's n.
                let bound = (16 + n) as f64 * f64::from(f32::EPSILON);
                prop_assert!((f64::from(g) - expected).abs() <= bound);
            }
        }
    }
}
