//! The losses against `torch.nn.functional`, in values and gradients: crates/xtask/oracle/losses.py wrote the numbers,
//! in f64 from f32 inputs.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that unwraps an error has failed, as it should, and `--nocapture` shows the worst errors"
)]

mod common;

use std::path::Path;

use burn::tensor::Device;
use common::{Bounds, ROUNDING, integers, matrix, numbers, vector};
use losses::{CrossEntropy, mse};
use serde::{Deserialize, de::DeserializeOwned};

#[derive(Deserialize)]
struct Oracle<Case> {
    torch: String,
    cases: Vec<Case>,
}

/// What both losses have.
#[derive(Deserialize)]
struct Batch {
    shape: [usize; 2],
    logits: Vec<f64>,
    targets: Vec<i64>,
    upstream: Vec<f64>,
    none: Vec<f64>,
    gradient_of_none: Vec<f64>,
}

#[derive(Deserialize)]
struct CrossEntropyCase {
    #[serde(flatten)]
    batch: Batch,
    ignore_index: Option<i64>,
    label_smoothing: f64,
    z_loss: f64,
    sum: f64,
    mean: f64,
    gradient_of_mean: Vec<f64>,
}

fn oracle<Case: DeserializeOwned>(name: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/pytorch")
        .join(name);
    let oracle: Oracle<Case> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(oracle.torch, "2.9.0");
    oracle.cases
}

impl Batch {
    fn bounds(&self) -> Bounds {
        let largest = self.logits.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
        Bounds::new(self.shape[1], largest)
    }
}

/// The largest error so far, as a share of its bound and by itself.
#[derive(Default)]
struct Worst {
    share: f64,
    error: f64,
}

impl Worst {
    fn compare(&mut self, actual: &[f64], expected: &[f64], bound: f64) {
        assert_eq!(actual.len(), expected.len());
        for (actual, expected) in actual.iter().zip(expected) {
            let error = (actual - expected).abs();
            assert!(
                error <= bound,
                "{actual} instead of {expected}: off by {error:e}, bound {bound:e}"
            );
            self.share = self.share.max(error / bound);
            // Relative to one where the number is small, in ULPs of f32.
            self.error = self.error.max(error / expected.abs().max(1.0) / (2.0 * ROUNDING));
        }
    }

    /// What the documentation's table states, in the column `column` of the row of `loss`.
    fn is_at_most_what_is_stated(&self, loss: &str, column: usize) {
        let table = include_str!("../PARITY.md");
        let row = table
            .lines()
            .find(|line| line.starts_with(&format!("| `{loss}` |")))
            .unwrap();
        let stated: f64 = row.split('|').nth(column + 1).unwrap().trim().parse().unwrap();
        println!(
            "{loss}: {:.2} ULPs, {:.3} of the derived bound",
            self.error, self.share
        );
        assert!(
            self.error <= stated,
            "{loss}: {} ULPs, stated {stated}",
            self.error
        );
    }
}

#[test]
fn cross_entropy_is_pytorchs() {
    let device = Device::flex().autodiff();
    let (mut values, mut of_gradients) = (Worst::default(), Worst::default());
    let cases = oracle::<CrossEntropyCase>("cross_entropy.json");
    assert_eq!(cases.len(), 20);
    for case in cases {
        let loss = CrossEntropy {
            ignore_index: case.ignore_index,
            label_smoothing: case.label_smoothing,
            z_loss: case.z_loss,
            ..CrossEntropy::default()
        };
        let batch = &case.batch;
        let bounds = batch.bounds();
        let (value, gradient) = (
            bounds.loss(loss.label_smoothing, loss.z_loss),
            bounds.gradient(loss.z_loss),
        );
        let logits = matrix(&batch.logits, batch.shape, &device).require_grad();
        let targets = integers(&batch.targets, &device);

        let none = loss.per_token(logits.clone(), targets.clone());
        values.compare(&numbers(none.clone()), &batch.none, value);
        let gradients = (none * vector(&batch.upstream, &device)).sum().backward();
        // No weight is above 4.
        of_gradients.compare(
            &numbers(logits.grad(&gradients).unwrap()),
            &batch.gradient_of_none,
            4.0 * gradient,
        );

        let mean = loss.mean(logits.clone(), targets.clone());
        // The mean of errors is at most the largest; one division. A sum has the errors of its tokens, and as many
        // roundings of itself.
        values.compare(&numbers(mean.clone()), &[case.mean], 2.0 * value);
        let of_mean = mean.backward();
        of_gradients.compare(
            &numbers(logits.grad(&of_mean).unwrap()),
            &case.gradient_of_mean,
            gradient,
        );
        let tokens = batch.targets.len() as f64;
        let sum = loss.sum(logits, targets);
        values.compare(&numbers(sum), &[case.sum], tokens * (value + case.sum * ROUNDING));
    }
    values.is_at_most_what_is_stated("cross-entropy", 1);
    of_gradients.is_at_most_what_is_stated("cross-entropy", 2);
}

#[test]
fn mse_is_pytorchs() {
    let device = Device::flex().autodiff();
    let (mut values, mut of_gradients) = (Worst::default(), Worst::default());
    let cases = oracle::<Batch>("mse.json");
    assert_eq!(cases.len(), 5);
    for batch in cases {
        let bound = batch.bounds().mse();
        let logits = matrix(&batch.logits, batch.shape, &device).require_grad();
        let none = mse(logits.clone(), integers(&batch.targets, &device));
        values.compare(&numbers(none.clone()), &batch.none, bound);
        let gradients = (none * vector(&batch.upstream, &device)).sum().backward();
        // No weight is above 4.
        of_gradients.compare(
            &numbers(logits.grad(&gradients).unwrap()),
            &batch.gradient_of_none,
            4.0 * bound,
        );
    }
    values.is_at_most_what_is_stated("mse", 1);
    of_gradients.is_at_most_what_is_stated("mse", 2);
}
