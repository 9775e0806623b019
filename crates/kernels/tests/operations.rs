//! The operations, fused and reference, against plain f64 loops written from their formulas, their gradients against
//! central differences of those loops, and the two against each other.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use burn::tensor::{Device, Int, Tensor, TensorData};
use kernels::{AttentionShape, Dropout, Kernels, Operations, Precision};
use proptest::prelude::*;

type Matrix = Vec<Vec<f64>>;

fn tensor(matrix: &Matrix, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = matrix.iter().flatten().map(|&x| x as f32).collect();
    Tensor::from_data(TensorData::new(values, [matrix.len(), matrix[0].len()]), device)
}

fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Matrix> {
    // f32 values, so that the reference sees exactly what the tensor holds.
    let value = (-2.0f32..2.0).prop_map(f64::from);
    prop::collection::vec(prop::collection::vec(value, columns), rows)
}

/// Every entry within `bound` of its reference, relative to the larger of the reference and one.
fn assert_close(actual: Tensor<2>, expected: &Matrix, bound: f64) -> Result<(), TestCaseError> {
    let actual = actual.into_data().try_to_vec::<f32>().unwrap();
    for (a, e) in actual.iter().zip(expected.iter().flatten()) {
        let error = (f64::from(*a) - e).abs() / e.abs().max(1.0);
        prop_assert!(
            error <= bound,
            "{a} instead of {e}: off by {error:e}, bound {bound:e}"
        );
    }
    Ok(())
}

/// The f32 bound for a chain of `operations` roundings on values of order one, with a factor of 4 for growth.
fn bound(operations: usize) -> f64 {
    4.0 * operations as f64 * f64::from(f32::EPSILON)
}

/// The gradient of `sum(weights * f(x))` by central differences in f64.
fn numerical_gradient(x: &Matrix, weights: &Matrix, f: impl Fn(&Matrix) -> Matrix) -> Matrix {
    const H: f64 = 1e-5;
    let weighted_sum = |x: &Matrix| -> f64 {
        f(x).iter()
            .flatten()
            .zip(weights.iter().flatten())
            .map(|(y, w)| y * w)
            .sum()
    };
    let mut gradient = x.clone();
    for row in 0..x.len() {
        for column in 0..x[0].len() {
            let shifted = |by: f64| {
                let mut x = x.clone();
                x[row][column] += by;
                weighted_sum(&x)
            };
            gradient[row][column] = (shifted(H) - shifted(-H)) / (2.0 * H);
        }
    }
    gradient
}

const FUSED: Operations = Operations {
    kernels: Kernels::Fused,
    precision: Precision::F32,
};

/// `op` with fused and with reference kernels, as a function of `x`: values and gradients, within the bound of a chain of
/// `roundings`.
fn check(
    x: &Matrix,
    weights: &Matrix,
    roundings: usize,
    op: impl Fn(Operations, Tensor<2>) -> Tensor<2>,
    reference: impl Fn(&Matrix) -> Matrix,
) -> Result<(), TestCaseError> {
    let gradient = numerical_gradient(x, weights, &reference);
    for operations in [FUSED, Operations::REFERENCE] {
        check_one(
            x,
            weights,
            roundings,
            |x| op(operations, x),
            &reference(x),
            &gradient,
        )?;
    }
    Ok(())
}

fn check_one(
    x: &Matrix,
    weights: &Matrix,
    roundings: usize,
    op: impl Fn(Tensor<2>) -> Tensor<2>,
    expected: &Matrix,
    expected_gradient: &Matrix,
) -> Result<(), TestCaseError> {
    let device = Device::flex().autodiff();
    let input = tensor(x, &device).require_grad();
    let output = op(input.clone());
    assert_close(output.clone().inner(), expected, bound(roundings))?;
    let gradients = (output * tensor(weights, &device)).sum().backward();
    // The backward pass is about twice as long, and each entry sums over every output; the differences of f64 add
    // at most h^2 times the third derivative, 1e-9.
    let roundings = 2 * roundings * weights.len() * weights[0].len();
    let gradient = input.grad(&gradients).unwrap();
    assert_close(gradient, expected_gradient, bound(roundings) + 1e-8)
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let maximum = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exps: Vec<f64> = row.iter().map(|x| (x - maximum).exp()).collect();
    let sum: f64 = exps.iter().sum();
    exps.iter().map(|e| e / sum).collect()
}

fn attention_reference(qkv: &Matrix, shape: AttentionShape) -> Matrix {
    let width = qkv[0].len() / 3;
    let channels = width / shape.heads;
    let mut out = vec![vec![0.0; width]; qkv.len()];
    for sequence in 0..shape.batch {
        for head in 0..shape.heads {
            for query in 0..shape.context {
                let row = |token: usize| &qkv[sequence * shape.context + token];
                let at = |part: usize, channel: usize| part * width + head * channels + channel;
                let scores: Vec<f64> = (0..=query)
                    .map(|key| {
                        let dot: f64 = (0..channels)
                            .map(|c| row(query)[at(0, c)] * row(key)[at(1, c)])
                            .sum();
                        dot / (channels as f64).sqrt()
                    })
                    .collect();
                let weights = softmax(&scores);
                for c in 0..channels {
                    out[sequence * shape.context + query][head * channels + c] =
                        (0..=query).map(|key| weights[key] * row(key)[at(2, c)]).sum();
                }
            }
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn attention((shape, qkv, weights) in (1..3usize, 1..6usize, 1..3usize, 1..4usize).prop_flat_map(
        |(batch, context, heads, channels)| {
            let (rows, width) = (batch * context, heads * channels);
            let shape = AttentionShape { batch, context, heads };
            (Just(shape), matrix(rows, 3 * width), matrix(rows, width))
        }
    )) {
        let roundings = shape.context + qkv[0].len();
        let op = |operations: Operations, x| operations.causal_attention(x, shape, Dropout::NONE);
        check(&qkv, &weights, roundings, op, |x| attention_reference(x, shape))?;
    }

    #[test]
    fn layer_norm_of_rows((x, weights) in (1..4usize, 2..9usize).prop_flat_map(|(r, c)| (matrix(r, c), matrix(r, c)))) {
        const EPSILON: f64 = 1e-5;
        // A row of nearly equal entries divides by a vanishing deviation, and no f32 bound holds there.
        let deviation = |row: &Vec<f64>| {
            let mean = row.iter().sum::<f64>() / row.len() as f64;
            (row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / row.len() as f64).sqrt()
        };
        prop_assume!(x.iter().all(|row| deviation(row) > 0.3));
        let width = x[0].len();
        let (scale, shift): (Vec<f64>, Vec<f64>) = (0..width).map(|i| (0.5 + i as f64, 0.25 * i as f64)).unzip();
        let reference = |x: &Matrix| -> Matrix {
            x.iter()
                .map(|row| {
                    let mean = row.iter().sum::<f64>() / width as f64;
                    let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
                    let normal = |i: usize| (row[i] - mean) / (variance + EPSILON).sqrt();
                    (0..width).map(|i| normal(i) * scale[i] + shift[i]).collect()
                })
                .collect()
        };
        let op = |operations: Operations, t: Tensor<2>| {
            let device = t.device();
            let vector = |v: &[f64]| Tensor::<1>::from_data(TensorData::from(v).convert::<f32>(), &device);
            operations.layer_norm(t, vector(&scale), Some(vector(&shift)), EPSILON)
        };
        check(&x, &weights, 8 * width * width, op, reference)?;
    }

    #[test]
    fn gelu_of_elements((x, weights) in (1..5usize, 1..8usize).prop_flat_map(|(r, c)| (matrix(r, c), matrix(r, c)))) {
        let one = |x: f64| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh());
        let reference = |x: &Matrix| x.iter().map(|row| row.iter().map(|&x| one(x)).collect()).collect();
        check(&x, &weights, 12, |operations, x| operations.bias_gelu(x, None), reference)?;
    }

    #[test]
    fn linear_of_rows(
        (x, w, weights) in (1..5usize, 1..6usize, 1..6usize)
            .prop_flat_map(|(r, i, o)| (matrix(r, i), matrix(i, o), matrix(r, o)))
    ) {
        let bias: Vec<f64> = (0..w[0].len()).map(|i| i as f64).collect();
        let reference = |x: &Matrix| -> Matrix {
            x.iter()
                .map(|row| {
                    let dot = |o: usize| row.iter().zip(&w).map(|(x, w)| x * w[o]).sum::<f64>();
                    (0..w[0].len()).map(|o| dot(o) + bias[o]).collect()
                })
                .collect()
        };
        let op = |operations: Operations, t: Tensor<2>| {
            let device = t.device();
            let bias = Tensor::<1>::from_data(TensorData::from(bias.as_slice()).convert::<f32>(), &device);
            operations.linear(t, tensor(&w, &device), Some(bias))
        };
        check(&x, &weights, 2 * w.len() + 1, op, reference)?;
    }

    #[test]
    fn cross_entropy_of_rows((logits, targets, weights) in (1..5usize, 1..9usize).prop_flat_map(
        |(r, c)| (matrix(r, c), prop::collection::vec(0..c, r), matrix(r, 1))
    )) {
        let reference = |x: &Matrix| -> Matrix {
            x.iter().zip(&targets).map(|(row, &t)| vec![-softmax(row)[t].ln()]).collect()
        };
        let op = |operations: Operations, t: Tensor<2>| {
            let ids: Vec<i32> = targets.iter().map(|&t| t as i32).collect();
            let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [targets.len()]), &t.device());
            operations.cross_entropy(t, ids).unsqueeze_dim(1)
        };
        check(&logits, &weights, 4 * logits[0].len(), op, reference)?;
    }
}
