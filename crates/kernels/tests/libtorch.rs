//! The fused operations on LibTorch, on the CPU and on a GPU where there is one: values and all gradients against the
//! reference operations on the same device.
#![cfg(feature = "tch")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use burn::tensor::{Device, Int, Tensor, TensorData};
use kernels::{AttentionShape, Dropout, Kernels, Operations, Precision};
use proptest::prelude::*;

const FUSED: Operations = Operations {
    kernels: Kernels::Fused,
    precision: Precision::F32,
};

/// Every device that these operations run on.
#[expect(deprecated, reason = "Burn's LibTorch backend is in its last release")]
fn devices() -> Vec<Device> {
    let gpu = tch::Cuda::is_available().then(|| Device::libtorch_cuda(0));
    std::iter::once(Device::libtorch()).chain(gpu).collect()
}

/// A matrix, and whether the tensor of it is a transposed view.
#[derive(Clone, Debug)]
struct Matrix {
    values: Vec<f32>,
    shape: [usize; 2],
    strided: bool,
}

fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Matrix> {
    let values = prop::collection::vec(-1.0f32..1.0, rows * columns);
    (values, any::<bool>()).prop_map(move |(values, strided)| Matrix {
        values,
        shape: [rows, columns],
        strided,
    })
}

/// A size: one, odd, even, prime.
fn size() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![1usize, 2, 3, 5, 8, 13, 16, 17, 31])
}

impl Matrix {
    /// As tensors of which the first is a leaf and the second the same matrix.
    fn tensors(&self, device: &Device) -> [Tensor<2>; 2] {
        let [rows, columns] = self.shape;
        let tensor = Tensor::<2>::from_data(TensorData::new(self.values.clone(), self.shape), device);
        if self.strided {
            // The same elements, column by column in memory.
            let columns_first = tensor.transpose().reshape([1, rows * columns]);
            let leaf = columns_first.reshape([columns, rows]).require_grad();
            [leaf.clone(), leaf.transpose()]
        } else {
            let leaf = tensor.require_grad();
            [leaf.clone(), leaf]
        }
    }
}

fn vector(row: Tensor<2>) -> Tensor<1> {
    let width = row.dims()[1];
    row.reshape([width])
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// The output of `op` and the gradients of its inputs, where the output's gradient is `weights`.
fn run(
    device: &Device,
    inputs: &[Matrix],
    weights: &Matrix,
    op: impl Fn(Vec<Tensor<2>>) -> Tensor<2>,
) -> Vec<Vec<f32>> {
    let device = device.clone().autodiff();
    let (leaves, inputs): (Vec<_>, Vec<_>) = inputs
        .iter()
        .map(|input| input.tensors(&device))
        .map(|[leaf, input]| (leaf, input))
        .unzip();
    let before: Vec<Vec<f32>> = leaves.iter().cloned().map(values).collect();
    let output = op(inputs);
    let result = output.clone();
    let gradients = (output * weights.tensors(&device)[1].clone().detach())
        .sum()
        .backward();
    let after: Vec<Vec<f32>> = leaves.iter().cloned().map(values).collect();
    assert_eq!(before, after, "an input that is still held was written over");
    let gradients = leaves.iter().map(|leaf| values(leaf.grad(&gradients).unwrap()));
    std::iter::once(values(result)).chain(gradients).collect()
}

/// `op` fused and of the reference: the same output and the same gradients.
///
/// A number that comes of a chain of `roundings` on numbers of order one is off by at most that many epsilons, here on both
/// sides; a factor of 2 allows for numbers between 1 and 2. A gradient sums such chains, at most one for every output.
fn check(
    inputs: &[Matrix],
    weights: &Matrix,
    roundings: usize,
    op: impl Fn(Operations, Vec<Tensor<2>>) -> Tensor<2>,
) -> Result<(), TestCaseError> {
    for device in devices() {
        let fused = run(&device, inputs, weights, |inputs| op(FUSED, inputs));
        let reference = run(&device, inputs, weights, |inputs| {
            op(Operations::REFERENCE, inputs)
        });
        let summands = std::iter::once(1).chain(std::iter::repeat(2 * weights.values.len()));
        for ((actual, expected), summands) in fused.iter().zip(&reference).zip(summands) {
            let bound = 4.0 * (roundings * summands) as f32 * f32::EPSILON;
            assert_close(actual, expected, |expected| bound * expected.abs().max(1.0))?;
        }
    }
    Ok(())
}

fn assert_close(actual: &[f32], expected: &[f32], bound: impl Fn(f32) -> f32) -> Result<(), TestCaseError> {
    prop_assert_eq!(actual.len(), expected.len());
    for (a, e) in actual.iter().zip(expected) {
        prop_assert!(
            (a - e).abs() <= bound(*e),
            "{a} instead of {e}, bound {:e}",
            bound(*e)
        );
    }
    Ok(())
}

fn ids<const D: usize>(ids: &[usize], shape: [usize; D], device: &Device) -> Tensor<D, Int> {
    let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    Tensor::from_data(TensorData::new(ids, shape), device)
}

/// Attention's shape, its packed projection and a gradient of its output.
fn attention_case() -> impl Strategy<Value = (AttentionShape, Matrix, Matrix)> {
    (1..3usize, size(), 1..4usize, size()).prop_flat_map(|(batch, context, heads, channels)| {
        let (rows, width) = (batch * context, heads * channels);
        let shape = AttentionShape {
            batch,
            context,
            heads,
        };
        (Just(shape), matrix(rows, 3 * width), matrix(rows, width))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn linear((inputs, weights) in (size(), size(), size(), any::<bool>()).prop_flat_map(|(rows, i, o, bias)| {
        let inputs = vec![matrix(rows, i).boxed(), matrix(i, o).boxed()];
        let bias = bias.then(|| matrix(1, o).boxed());
        (inputs.into_iter().chain(bias).collect::<Vec<_>>(), matrix(rows, o))
    })) {
        let roundings = inputs[0].shape[1] + 1;
        check(&inputs, &weights, roundings, |operations, mut inputs| {
            let bias = (inputs.len() == 3).then(|| vector(inputs.pop().unwrap()));
            operations.linear(inputs[0].clone(), inputs[1].clone(), bias)
        })?;
    }

    #[test]
    fn linear_tied((inputs, weights) in (size(), size(), size()).prop_flat_map(|(rows, width, vocabulary)| {
        (vec![matrix(rows, width), matrix(vocabulary, width)], matrix(rows, vocabulary))
    })) {
        let roundings = inputs[0].shape[1];
        check(&inputs, &weights, roundings, |operations, inputs| {
            operations.linear_tied(inputs[0].clone(), inputs[1].clone())
        })?;
    }

    #[test]
    fn layer_norm((inputs, weights) in (size(), size(), any::<bool>()).prop_flat_map(|(rows, width, bias)| {
        let inputs = vec![matrix(rows, width).boxed(), matrix(1, width).boxed()];
        let bias = bias.then(|| matrix(1, width).boxed());
        (inputs.into_iter().chain(bias).collect::<Vec<_>>(), matrix(rows, width))
    })) {
        // At least 1/4 of variance is added, so that nothing is divided by less than 1/2: its cube is 8.
        const EPSILON: f64 = 0.25;
        let width = inputs[0].shape[1];
        check(&inputs, &weights, 8 * (2 * width + 8), |operations, mut inputs| {
            let bias = (inputs.len() == 3).then(|| vector(inputs.pop().unwrap()));
            operations.layer_norm(inputs[0].clone(), vector(inputs[1].clone()), bias, EPSILON)
        })?;
    }

    #[test]
    fn bias_gelu((inputs, weights) in (size(), size(), any::<bool>()).prop_flat_map(|(rows, width, bias)| {
        let bias = bias.then(|| matrix(1, width).boxed());
        let inputs = std::iter::once(matrix(rows, width).boxed()).chain(bias);
        (inputs.collect::<Vec<_>>(), matrix(rows, width))
    })) {
        check(&inputs, &weights, 12, |operations, mut inputs| {
            let bias = (inputs.len() == 2).then(|| vector(inputs.pop().unwrap()));
            // The product gives the operation a tensor that it may write over.
            operations.bias_gelu(inputs[0].clone() * 1.5, bias)
        })?;
    }

    #[test]
    fn bias_add((inputs, weights) in (size(), size(), any::<bool>()).prop_flat_map(|(rows, width, bias)| {
        let bias = bias.then(|| matrix(1, width).boxed());
        let inputs = [matrix(rows, width).boxed(), matrix(rows, width).boxed()].into_iter().chain(bias);
        (inputs.collect::<Vec<_>>(), matrix(rows, width))
    })) {
        check(&inputs, &weights, 3, |operations, mut inputs| {
            let bias = (inputs.len() == 3).then(|| vector(inputs.pop().unwrap()));
            let stream = inputs[1].clone();
            // The same tensor as branch and as stream, of which the gradient is the sum of both.
            let once = operations.bias_dropout_add(inputs[0].clone(), bias, stream.clone(), Dropout::NONE);
            operations.bias_dropout_add(once.clone(), None, once, Dropout::NONE)
        })?;
    }

    #[test]
    fn embedding((shape, tokens, inputs, weights) in (1..4usize, size(), 0..3usize, size(), size()).prop_flat_map(
        |(batch, context, unused, vocabulary, width)| {
            let inputs = vec![matrix(vocabulary, width), matrix(context + unused, width)];
            let tokens = prop::collection::vec(0..vocabulary, batch * context);
            (Just([batch, context]), tokens, inputs, matrix(batch * context, width))
        }
    )) {
        check(&inputs, &weights, 1, |operations, inputs| {
            let tokens = ids(&tokens, shape, &inputs[0].device());
            operations.embedding(tokens, inputs[0].clone(), inputs[1].clone(), Dropout::NONE)
        })?;
    }

    #[test]
    fn causal_attention((shape, qkv, weights) in attention_case()) {
        let roundings = shape.context + 2 * qkv.shape[1];
        check(&[qkv], &weights, roundings, |operations, inputs| {
            operations.causal_attention(inputs[0].clone(), shape, Dropout::NONE)
        })?;
    }

    #[test]
    fn cross_entropy((logits, targets, weights, owned) in (size(), size(), any::<bool>()).prop_flat_map(
        |(rows, vocabulary, owned)| {
            let targets = prop::collection::vec(0..vocabulary, rows);
            (matrix(rows, vocabulary), targets, matrix(rows, 1), Just(owned))
        }
    )) {
        let roundings = 4 + logits.shape[1];
        check(&[logits], &weights, roundings, |operations, mut inputs| {
            let logits = inputs.remove(0);
            let targets = ids(&targets, [targets.len()], &logits.device());
            // Logits that it may write over, or that another holds.
            let logits = if owned { logits * 3.0 } else { logits };
            operations.cross_entropy(logits, targets).unsqueeze_dim(1)
        })?;
    }

    #[test]
    fn the_products_of_bfloat16_are_off_by_the_rounding_of_their_operands(
        (inputs, weights, tied) in (size(), size(), size(), any::<bool>()).prop_flat_map(|(rows, i, o, tied)| {
            let weight = if tied { [o, i] } else { [i, o] };
            (vec![matrix(rows, i), matrix(weight[0], weight[1])], matrix(rows, o), Just(tied))
        })
    ) {
        let op = |precision: Precision| move |inputs: Vec<Tensor<2>>| {
            let operations = Operations { precision, ..FUSED };
            if tied {
                operations.linear_tied(inputs[0].clone(), inputs[1].clone())
            } else {
                operations.linear(inputs[0].clone(), inputs[1].clone(), None)
            }
        };
        // The rounding of two operands and, on a CPU, of the result: 2^-8 of every term of a sum each, to the first
        // order; the sum of the terms' magnitudes is the product of the operands' magnitudes.
        const SHARE: f32 = 3.0 / 256.0 * 1.01;
        let magnitudes: Vec<Matrix> = inputs.iter().map(Matrix::magnitudes).collect();
        for device in devices() {
            let rounded = run(&device, &inputs, &weights, op(Precision::Bf16));
            let exact = run(&device, &inputs, &weights, op(Precision::F32));
            let terms = run(&device, &magnitudes, &weights.magnitudes(), op(Precision::F32));
            for ((rounded, exact), terms) in rounded.iter().zip(&exact).zip(&terms) {
                for ((r, e), t) in rounded.iter().zip(exact).zip(terms) {
                    prop_assert!((r - e).abs() <= SHARE * t + 1e-6, "{r} instead of {e}, of terms {t}");
                }
            }
        }
    }

    #[test]
    fn the_attention_of_bfloat16_is_off_by_the_rounding_of_its_operands((shape, qkv, weights) in attention_case()) {
        let op = |precision| move |inputs: Vec<Tensor<2>>| {
            Operations { precision, ..FUSED }.causal_attention(inputs[0].clone(), shape, Dropout::NONE)
        };
        // Operands are below 1 in magnitude. A score is a sum of `channels` products divided by the root of that, so off
        // by at most `score`; a weight e^score / sum by twice that share of itself, and by 2^-8 when it is an operand. An
        // output is a mean of values under these weights, rounded twice more. A gradient passes through both products
        // once more, with factors of at most 2 root(channels) for every one of the queries that share a key.
        const UNIT: f32 = 1.0 / 256.0;
        let channels = (qkv.shape[1] / 3 / shape.heads) as f32;
        let score = 2.0 * UNIT * channels.sqrt();
        let output = 2.0 * score + 4.0 * UNIT;
        let gradient = 2.0 * (output + score + 6.0 * UNIT) * 2.0 * channels.sqrt() * shape.context as f32;
        for device in devices() {
            let rounded = run(&device, std::slice::from_ref(&qkv), &weights, op(Precision::Bf16));
            let exact = run(&device, std::slice::from_ref(&qkv), &weights, op(Precision::F32));
            assert_close(&rounded[0], &exact[0], |_| output)?;
            assert_close(&rounded[1], &exact[1], |_| gradient)?;
        }
    }
}

impl Matrix {
    fn magnitudes(&self) -> Self {
        Self {
            values: self.values.iter().map(|x| x.abs()).collect(),
            ..self.clone()
        }
    }
}
