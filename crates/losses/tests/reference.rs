//! Every loss against plain f64 loops written from its formula: values, gradients, and the loops' own gradients against
//! central differences. Chunked cross-entropy against the same loops.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

mod common;

use burn::tensor::{Device, Int, Tensor};
use common::{Bounds, ROUNDING, integers, matrix, numbers, vector};
use losses::{CrossEntropy, mse};
use proptest::prelude::*;

const IGNORED: i64 = -100;

/// The largest logit, and the largest entry of hidden states and output rows.
const LARGEST: f64 = 8.0;

/// Logits (or what they are products of) of `targets.len()` tokens, and what flows back into every token's loss.
#[derive(Clone, Debug)]
struct Batch {
    vocabulary: usize,
    logits: Vec<f64>,
    targets: Vec<i64>,
    upstream: Vec<f64>,
}

/// f32 values, so that the reference sees exactly what the tensor holds.
fn values(count: usize, largest: f64) -> impl Strategy<Value = Vec<f64>> {
    let largest = largest as f32;
    prop::collection::vec((-largest..largest).prop_map(f64::from), count)
}

fn batches(ignoring: bool) -> impl Strategy<Value = Batch> {
    (1..6usize, 2..24usize).prop_flat_map(move |(tokens, vocabulary)| {
        let target = prop_oneof![
            3 => 0..vocabulary as i64,
            u32::from(ignoring) => Just(IGNORED),
        ];
        (
            values(tokens * vocabulary, LARGEST),
            prop::collection::vec(target, tokens),
            values(tokens, 2.0),
        )
            .prop_map(move |(logits, targets, upstream)| Batch {
                vocabulary,
                logits,
                targets,
                upstream,
            })
    })
}

/// Cross-entropy with and without each of its options.
fn options() -> impl Strategy<Value = CrossEntropy> {
    (
        any::<bool>(),
        any::<bool>(),
        0.0..=1.0f64,
        any::<bool>(),
        0.0..0.1f64,
    )
        .prop_map(
            |(ignoring, smoothed, label_smoothing, with_z, z_loss)| CrossEntropy {
                ignore_index: ignoring.then_some(IGNORED),
                label_smoothing: if smoothed { label_smoothing } else { 0.0 },
                z_loss: if with_z { z_loss } else { 0.0 },
                ..CrossEntropy::default()
            },
        )
}

/// The loss of one token and its gradient with respect to the token's logits.
type Reference<'a> = &'a dyn Fn(&[f64], i64) -> (f64, Vec<f64>);

fn softmax(logits: &[f64]) -> (Vec<f64>, f64) {
    let maximum = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exps: Vec<f64> = logits.iter().map(|x| (x - maximum).exp()).collect();
    let sum: f64 = exps.iter().sum();
    (exps.iter().map(|e| e / sum).collect(), maximum + sum.ln())
}

fn one_hot(v: usize, target: i64) -> f64 {
    f64::from(u8::from(v as i64 == target))
}

fn cross_entropy_reference(options: &CrossEntropy, logits: &[f64], target: i64) -> (f64, Vec<f64>) {
    if options.ignore_index == Some(target) {
        return (0.0, vec![0.0; logits.len()]);
    }
    let (a, z) = (options.label_smoothing, options.z_loss);
    let (p, log_sum_exp) = softmax(logits);
    let vocabulary = logits.len() as f64;
    let nll = log_sum_exp - logits[target as usize];
    let mean_nll = logits.iter().map(|x| log_sum_exp - x).sum::<f64>() / vocabulary;
    let loss = (1.0 - a) * nll + a * mean_nll + z * log_sum_exp.powi(2);
    let gradient = |(v, p): (usize, &f64)| {
        (1.0 - a) * (p - one_hot(v, target)) + a * (p - 1.0 / vocabulary) + 2.0 * z * log_sum_exp * p
    };
    (loss, p.iter().enumerate().map(gradient).collect())
}

fn mse_reference(logits: &[f64], target: i64) -> (f64, Vec<f64>) {
    let (p, _) = softmax(logits);
    let errors: Vec<f64> = (0..p.len()).map(|v| p[v] - one_hot(v, target)).collect();
    let mixed: f64 = errors.iter().zip(&p).map(|(e, p)| e * p).sum();
    let gradient = p.iter().zip(&errors).map(|(p, e)| 2.0 * p * (e - mixed));
    (errors.iter().map(|e| e * e).sum(), gradient.collect())
}

fn close(actual: f64, expected: f64, bound: f64) -> Result<(), TestCaseError> {
    let error = (actual - expected).abs();
    prop_assert!(
        error <= bound,
        "{actual} instead of {expected}: off by {error:e}, bound {bound:e}"
    );
    Ok(())
}

fn all_close(actual: &[f64], expected: &[f64], bound: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(actual.len(), expected.len());
    actual
        .iter()
        .zip(expected)
        .try_for_each(|(&a, &e)| close(a, e, bound))
}

/// `loss` against `reference` on every token, within `value`, and in the gradient of their weighted sum, within
/// `gradient` for a weight of one.
fn check(
    batch: &Batch,
    value: f64,
    gradient: f64,
    loss: impl Fn(Tensor<2>, Tensor<1, Int>) -> Tensor<1>,
    reference: Reference,
) -> Result<(), TestCaseError> {
    let device = Device::flex().autodiff();
    let shape = [batch.targets.len(), batch.vocabulary];
    let logits = matrix(&batch.logits, shape, &device).require_grad();
    let losses = loss(logits.clone(), integers(&batch.targets, &device));
    let gradients = (losses.clone() * vector(&batch.upstream, &device))
        .sum()
        .backward();
    let actual = numbers(logits.grad(&gradients).unwrap());
    let rows = batch.logits.chunks(batch.vocabulary);
    for (token, (row, actual)) in rows.zip(actual.chunks(batch.vocabulary)).enumerate() {
        let (target, upstream) = (batch.targets[token], batch.upstream[token]);
        let (expected_loss, expected) = reference(row, target);
        close(numbers(losses.clone())[token], expected_loss, value)?;
        let weighted: Vec<f64> = expected.iter().map(|g| g * upstream).collect();
        all_close(actual, &weighted, gradient * upstream.abs())?;
        all_close(
            &expected,
            &central_differences(row, |row| reference(row, target).0),
            DIFFERENCES,
        )?;
    }
    Ok(())
}

const H: f64 = 1e-5;

/// Central differences are off by h^2/6 times the third derivative, of order one: 2e-11; and by the f64 rounding of
/// losses below 100 over h: 100 * 2e-16 / 1e-5 = 2e-9.
const DIFFERENCES: f64 = 1e-8;

fn central_differences(x: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let shifted = |at: usize, by: f64| {
        let mut x = x.to_vec();
        x[at] += by;
        f(&x)
    };
    (0..x.len())
        .map(|at| (shifted(at, H) - shifted(at, -H)) / (2.0 * H))
        .collect()
}

/// Hidden states and output rows; the logits of the batch are not used.
#[derive(Clone, Debug)]
struct HiddenBatch {
    width: usize,
    hidden: Vec<f64>,
    output: Vec<f64>,
    batch: Batch,
}

/// The largest entry of hidden states and rows.
const ENTRY: f64 = 2.0;

fn hidden_batches() -> impl Strategy<Value = HiddenBatch> {
    (batches(true), 1..6usize).prop_flat_map(|(batch, width)| {
        let (tokens, vocabulary) = (batch.targets.len(), batch.vocabulary);
        (values(tokens * width, ENTRY), values(vocabulary * width, ENTRY)).prop_map(
            move |(hidden, output)| HiddenBatch {
                width,
                hidden,
                output,
                batch: batch.clone(),
            },
        )
    })
}

impl HiddenBatch {
    fn tensors(&self, device: &Device) -> (Tensor<2>, Tensor<2>, Tensor<1, Int>) {
        (
            matrix(&self.hidden, [self.batch.targets.len(), self.width], device),
            matrix(&self.output, [self.batch.vocabulary, self.width], device),
            integers(&self.batch.targets, device),
        )
    }

    /// The sum of the losses and its gradients with respect to `hidden` and `output`, in f64.
    fn reference(&self, options: &CrossEntropy) -> (f64, Vec<f64>, Vec<f64>) {
        let mut sum = 0.0;
        let mut of_hidden = Vec::new();
        let mut of_output = vec![0.0; self.output.len()];
        for (h, &target) in self.hidden.chunks(self.width).zip(&self.batch.targets) {
            let rows = || self.output.chunks(self.width);
            let logits: Vec<f64> = rows()
                .map(|row| row.iter().zip(h).map(|(w, h)| w * h).sum())
                .collect();
            let (loss, gradient) = cross_entropy_reference(options, &logits, target);
            sum += loss;
            of_hidden.extend(
                (0..self.width).map(|c| rows().zip(&gradient).map(|(row, g)| row[c] * g).sum::<f64>()),
            );
            for (row, g) in of_output.chunks_mut(self.width).zip(&gradient) {
                row.iter_mut().zip(h).for_each(|(w, h)| *w += g * h);
            }
        }
        (sum, of_hidden, of_output)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cross_entropy_of_tokens(options in options(), batch in batches(true)) {
        // Without ignore_index every target is a token.
        let mut batch = batch;
        if options.ignore_index.is_none() {
            batch.targets.iter_mut().for_each(|target| *target = (*target).max(0));
        }
        let bounds = Bounds::new(batch.vocabulary, LARGEST);
        let (a, z) = (options.label_smoothing, options.z_loss);
        check(&batch, bounds.loss(a, z), bounds.gradient(z), |x, y| options.per_token(x, y), &|x, y| {
            cross_entropy_reference(&options, x, y)
        })?;
    }

    #[test]
    fn mse_of_tokens(batch in batches(false)) {
        let bound = Bounds::new(batch.vocabulary, LARGEST).mse();
        check(&batch, bound, bound, mse, &mse_reference)?;
    }

    #[test]
    fn chunked_from_hidden_states(
        options in options(),
        batch in hidden_batches(),
        chunk in prop_oneof![Just(0usize), Just(1), Just(2), Just(7), Just(13), 1..30usize, Just(1000)],
        scale in 0.25f32..4.0,
    ) {
        let options = CrossEntropy { ignore_index: Some(IGNORED), chunk, ..options };
        let (a, z) = (options.label_smoothing, options.z_loss);
        let (tokens, vocabulary) = (batch.batch.targets.len(), batch.batch.vocabulary);
        let (sum, of_hidden, of_output) = batch.reference(&options);

        let device = Device::flex().autodiff();
        let (hidden, output, targets) = batch.tensors(&device);
        let (hidden, output) = (hidden.require_grad(), output.require_grad());
        let loss = options.sum_from_hidden(hidden.clone(), output.clone(), targets);
        let gradients = (loss.clone() * scale).backward();

        let bounds = Bounds::new(vocabulary, batch.width as f64 * ENTRY * ENTRY).of_products(batch.width);
        // The tokens' errors and the roundings of their sum.
        let tokens = tokens as f64;
        let value = tokens * (bounds.loss(a, z) + tokens * bounds.size(a, z) * ROUNDING);
        close(numbers(loss)[0], sum, value)?;
        // A gradient is a sum of products of the logits' gradient with entries, and that many roundings of it; the
        // logits' gradient is below 2 + 2 z log-sum-exp < 8, for z < 0.1 and logits of at most 20.
        let sum_of = |terms: f64| {
            let terms = terms + 2.0;
            f64::from(scale) * terms * ENTRY * (bounds.gradient(z) + 8.0 * terms * ROUNDING)
        };
        let expected = |gradient: &[f64]| -> Vec<f64> { gradient.iter().map(|g| g * f64::from(scale)).collect() };
        let actual = numbers(hidden.grad(&gradients).unwrap());
        all_close(&actual, &expected(&of_hidden), sum_of(vocabulary as f64))?;
        let actual = numbers(output.grad(&gradients).unwrap());
        all_close(&actual, &expected(&of_output), sum_of(tokens))?;

        // Without autodiff there is the same value.
        let (hidden, output, targets) = batch.tensors(&Device::flex());
        close(numbers(options.sum_from_hidden(hidden, output, targets))[0], sum, value)?;
    }
}
