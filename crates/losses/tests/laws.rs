//! What holds of the losses and metrics by their definitions, and the numbers that every textbook prints.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

mod common;

use burn::tensor::{Device, Tensor};
use common::{Bounds, ROUNDING, integers, matrix, numbers};
use kernels::Operations;
use losses::{CrossEntropy, LossConfig, TokenAverage, bits_per_byte, mse, perplexity, top_1_accuracy};
use proptest::prelude::*;

const IGNORED: i64 = -100;

fn token(loss: &CrossEntropy, logits: &[f64], target: i64) -> f64 {
    let device = Device::flex();
    let logits = matrix(logits, [1, logits.len()], &device);
    numbers(loss.per_token(logits, integers(&[target], &device)))[0]
}

fn plain(logits: &[f64], target: i64) -> f64 {
    token(&CrossEntropy::default(), logits, target)
}

/// Cross-entropy with all of its options, whole or chunked.
fn with_everything(chunk: usize) -> CrossEntropy {
    CrossEntropy {
        ignore_index: Some(IGNORED),
        label_smoothing: 0.1,
        z_loss: 1e-4,
        chunk,
        ..CrossEntropy::default()
    }
}

/// Logits that f32 holds, of two to twenty tokens.
fn logits() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((-8.0f32..8.0).prop_map(f64::from), 2..20)
}

#[test]
fn the_probabilities_of_the_textbook() {
    for (p, expected) in [(0.7f64, 0.357), (0.9, 0.11), (0.5, 0.69), (0.1, 2.30)] {
        let actual = plain(&[p.ln(), (1.0 - p).ln()], 0);
        // As many digits as are printed; of 2.30, 2.303 is the third.
        let digits = if expected == 0.357 { 5e-4 } else { 5e-3 };
        assert!((actual - expected).abs() < digits, "p = {p}: {actual}");
    }
    assert_eq!(
        format!("{:.1} {:.1}", perplexity(2.0), perplexity(1.0)),
        "7.4 2.7"
    );
}

#[test]
fn bits_per_byte_do_not_depend_on_the_tokenizer() {
    // A uniform guess over 256 bytes, as one token a byte and as one token of four.
    let guess = 256f64.ln();
    for (nll, bytes_per_token) in [(guess, 1.0), (4.0 * guess, 4.0)] {
        assert!((bits_per_byte(nll, bytes_per_token) - 8.0).abs() <= 8.0 * 2.0 * f64::EPSILON);
    }
}

#[test]
fn only_plain_cross_entropy_has_a_perplexity() {
    let cross_entropy = |label_smoothing, z_loss| {
        LossConfig::CrossEntropy(CrossEntropy {
            label_smoothing,
            z_loss,
            chunk: 7,
            ..CrossEntropy::default()
        })
    };
    assert!(cross_entropy(0.0, 0.0).is_likelihood());
    for loss in [cross_entropy(0.1, 0.0), cross_entropy(0.0, 1e-4), LossConfig::Mse] {
        assert!(!loss.is_likelihood(), "{loss:?}");
    }
}

#[test]
fn huge_logits_stay_finite() {
    assert_eq!(plain(&[1e4, -1e4], 0), 0.0);
    assert_eq!(plain(&[1e4, -1e4], 1), 2e4);
    let device = Device::flex().autodiff();
    // The output is the unit matrix, so that the hidden states are the logits.
    let (hidden, unit) = ([1e4, -1e4, -1e4, 1e4], [1.0, 0.0, 0.0, 1.0]);
    for chunk in [0, 1, 2, 3] {
        for loss in [
            CrossEntropy {
                chunk,
                ..CrossEntropy::default()
            },
            with_everything(chunk),
        ] {
            let hidden = matrix(&hidden, [2, 2], &device).require_grad();
            let output = matrix(&unit, [2, 2], &device).require_grad();
            let sum = loss.sum_from_hidden(hidden.clone(), output.clone(), integers(&[0, 0], &device));
            let (a, z) = (loss.label_smoothing, loss.z_loss);
            // p is one-hot to the last bit: nll is 0 and 2e4, mean(-log p) is 1e4 twice, log-sum-exp is 1e4 twice.
            let expected = (1.0 - a) * 2e4 + a * 2e4 + z * 2e8;
            // Every rounding is of a number of at most 2e4, and each loss takes fewer than 16 of them.
            assert!(
                (numbers(sum.clone())[0] - expected).abs() <= 32.0 * 2e4 * ROUNDING,
                "{loss:?}: {sum}"
            );
            let gradients = sum.backward();
            for gradient in [hidden.grad(&gradients), output.grad(&gradients)] {
                assert!(
                    numbers(gradient.unwrap()).iter().all(|g| g.is_finite()),
                    "{loss:?}"
                );
            }
        }
    }
    let mse = mse(matrix(&hidden, [2, 2], &device), integers(&[0, 0], &device));
    assert_eq!(numbers(mse), [0.0, 2.0]);
}

#[test]
fn a_batch_of_ignored_tokens_is_zero() {
    let device = Device::flex().autodiff();
    let targets = || integers(&[IGNORED, IGNORED], &device);
    for chunk in [0, 2] {
        let loss = with_everything(chunk);
        let hidden = matrix(&[1.0, 2.0, 3.0, 4.0], [2, 2], &device).require_grad();
        let output = matrix(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [3, 2], &device).require_grad();
        let sum = loss.sum_from_hidden(hidden.clone(), output.clone(), targets());
        assert_eq!(numbers(sum.clone()), [0.0]);
        let gradients = sum.backward();
        assert_eq!(numbers(hidden.grad(&gradients).unwrap()), [0.0; 4]);
        assert_eq!(numbers(output.grad(&gradients).unwrap()), [0.0; 6]);
    }
    let logits = matrix(&[1.0, 2.0, 3.0, 4.0], [2, 2], &device).require_grad();
    let loss = with_everything(0);
    assert_eq!(loss.tokens(&targets()), 0);
    let mean = loss.mean(logits.clone(), targets());
    assert_eq!(numbers(mean.clone()), [0.0]);
    assert_eq!(numbers(logits.grad(&mean.backward()).unwrap()), [0.0; 4]);
    assert_eq!(TokenAverage::default().mean(), 0.0);
}

#[test]
fn the_hit_is_the_first_of_the_largest() {
    let device = Device::flex();
    let logits = || {
        let rows = [
            [3.0, 1.0, 2.0],
            [1.0, 2.0, 2.0],
            [1.0, 2.0, 2.0],
            [0.0, 0.0, 0.0],
            [-3.0, -2.0, -1.0],
        ];
        Tensor::<2>::from_floats(rows, &device)
    };
    for (targets, expected) in [
        ([0, 1, 1, 0, 2], 1.0),
        ([0, 2, 2, 0, 2], 0.6),
        ([0, 1, 2, 1, 0], 0.4),
        ([1, 2, 0, 2, 0], 0.0),
    ] {
        assert_eq!(
            top_1_accuracy(logits(), integers(&targets, &device)),
            expected,
            "{targets:?}"
        );
    }
}

#[test]
fn a_recipe_says_only_what_differs_from_the_default() {
    for (json, config) in [
        (r#"{"name":"cross-entropy"}"#, LossConfig::default()),
        (
            r#"{"name":"cross-entropy","label_smoothing":0.1,"z_loss":0.0001,"chunk":512}"#,
            LossConfig::CrossEntropy(CrossEntropy {
                ignore_index: None,
                ..with_everything(512)
            }),
        ),
        (r#"{"name":"mse"}"#, LossConfig::Mse),
    ] {
        assert_eq!(serde_json::to_string(&config).unwrap(), json);
        assert_eq!(serde_json::from_str::<LossConfig>(json).unwrap(), config);
    }
    assert_eq!(LossConfig::Mse.reported(), CrossEntropy::default());
    let reported = LossConfig::CrossEntropy(with_everything(512)).reported();
    assert_eq!(
        reported,
        CrossEntropy {
            chunk: 512,
            ..CrossEntropy::default()
        }
    );
}

#[test]
fn the_configured_loss_is_the_one_that_it_names() {
    let device = Device::flex();
    let hidden = || matrix(&[0.5, -1.0, 2.0, 0.25], [2, 2], &device);
    let unit = || matrix(&[1.0, 0.0, 0.0, 1.0], [2, 2], &device);
    let targets = || integers(&[0, 1], &device);
    for (config, expected) in [
        (LossConfig::Mse, mse(hidden(), targets()).sum()),
        (
            LossConfig::CrossEntropy(with_everything(0)),
            with_everything(0).sum(hidden(), targets()),
        ),
    ] {
        let expected = numbers(expected);
        assert_eq!(numbers(config.sum(hidden(), targets())), expected);
        assert_eq!(
            numbers(config.sum_from_hidden(hidden(), unit(), targets(), Operations::default())),
            expected
        );
    }
}

proptest! {
    #[test]
    fn a_shift_of_all_logits_changes_nothing(logits in logits(), shift in -64.0f32..64.0) {
        let shifted: Vec<f64> = logits.iter().map(|x| x + f64::from(shift)).collect();
        // Each shifted logit, below 72, is rounded once, which moves the difference of two by at most twice that.
        let bounds = Bounds::new(logits.len(), 8.0);
        let bound = 2.0 * 72.0 * ROUNDING + 2.0 * bounds.log_probability();
        prop_assert!((plain(&logits, 0) - plain(&shifted, 0)).abs() <= bound);

        let device = Device::flex();
        let squared = |logits: &[f64]| {
            numbers(mse(matrix(logits, [1, logits.len()], &device), integers(&[0], &device)))[0]
        };
        // The error is at most 2 and its derivative with respect to log p at most 4.
        prop_assert!((squared(&logits) - squared(&shifted)).abs() <= 4.0 * 2.0 * 72.0 * ROUNDING + 2.0 * bounds.mse());
    }

    #[test]
    fn the_gradient_is_softmax_minus_one_hot(logits in logits()) {
        let device = Device::flex().autodiff();
        let input = matrix(&logits, [1, logits.len()], &device).require_grad();
        let sum = CrossEntropy::default().sum(input.clone(), integers(&[0], &device));
        let gradient = numbers(input.grad(&sum.backward()).unwrap());
        let denominator: f64 = logits.iter().map(|x| x.exp()).sum();
        for (i, (g, x)) in gradient.iter().zip(&logits).enumerate() {
            let expected = x.exp() / denominator - f64::from(u8::from(i == 0));
            prop_assert!((g - expected).abs() <= Bounds::new(logits.len(), 8.0).gradient(0.0));
        }
    }

    #[test]
    fn smoothing_and_z_loss_of_zero_are_the_plain_loss(logits in logits()) {
        let loss = CrossEntropy { label_smoothing: 0.0, z_loss: 0.0, ..with_everything(0) };
        prop_assert_eq!(token(&loss, &logits, 1), plain(&logits, 1));
    }

    /// The tokens of two micro-batches, some of them ignored: sum = mean * count, and the average over unequal parts is
    /// the average over the whole.
    #[test]
    fn averages_are_over_tokens(
        rows in prop::collection::vec((prop::collection::vec(-8.0f64..8.0, 5), -1..5i64), 2..12),
        cut in 1..11usize,
    ) {
        let device = Device::flex();
        let loss = CrossEntropy { ignore_index: Some(-1), ..with_everything(0) };
        let part = |rows: &[(Vec<f64>, i64)]| {
            let logits: Vec<f64> = rows.iter().flat_map(|(logits, _)| logits.clone()).collect();
            let targets: Vec<i64> = rows.iter().map(|(_, target)| *target).collect();
            (matrix(&logits, [rows.len(), 5], &device), integers(&targets, &device))
        };
        let sum_and_tokens = |rows: &[(Vec<f64>, i64)]| {
            let (logits, targets) = part(rows);
            (numbers(loss.sum(logits, targets.clone()))[0], loss.tokens(&targets))
        };
        let (sum, tokens) = sum_and_tokens(&rows);
        prop_assert_eq!(tokens, rows.iter().filter(|(_, target)| *target != -1).count());

        let (logits, targets) = part(&rows);
        let mean = numbers(loss.mean(logits, targets))[0];
        // One division, rounded to f32.
        prop_assert!((mean * tokens as f64 - sum).abs() <= sum * 2.0 * ROUNDING);

        let cut = cut.min(rows.len() - 1);
        let mut average = TokenAverage::default();
        for rows in [&rows[..cut], &rows[cut..]] {
            let (sum, tokens) = sum_and_tokens(rows);
            average.add(sum, tokens);
        }
        prop_assert_eq!(average.tokens, tokens);
        // The losses are positive, so that each order of summing them rounds at most once a token.
        let bound = 2.0 * rows.len() as f64 * ROUNDING * mean;
        prop_assert!((average.mean() - mean).abs() <= bound + mean * 2.0 * ROUNDING);
    }
}
