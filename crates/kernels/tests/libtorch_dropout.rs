//! Dropout of the fused operations on LibTorch: masks are a function of the key, of the right distribution, and the
//! gradients are those of the mask that was drawn.
#![cfg(feature = "tch")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use burn::tensor::{Bool, Device, Int, Tensor, TensorData, activation::softmax};
use kernels::{AttentionShape, Dropout, Kernels, Operations, Precision};

const FUSED: Operations = Operations {
    kernels: Kernels::Fused,
    precision: Precision::F32,
};

const P: f64 = 0.25;

fn dropout(key: u64) -> Dropout {
    Dropout { probability: P, key }
}

/// Every device that these operations run on.
#[expect(deprecated, reason = "Burn's LibTorch backend is in its last release")]
fn devices() -> Vec<Device> {
    let gpu = tch::Cuda::is_available().then(|| Device::libtorch_cuda(0));
    std::iter::once(Device::libtorch()).chain(gpu).collect()
}

/// Numbers between 0.5 and 1.5, others at another place; not by the device's generator, which all tests share.
fn random<const D: usize>(place: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    let fraction = |index: u64| ((place * 1_000_003 + index) as f64 * 0.618_033_988_749_895).fract();
    let count = shape.iter().product::<usize>() as u64;
    let values: Vec<f32> = (0..count).map(|index| 0.5 + fraction(index) as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// Each within `bound` of the other, relative to the larger of the expected one and 1.
#[track_caller]
fn assert_close<const D: usize>(actual: Tensor<D>, expected: Tensor<D>, bound: f32) {
    for (a, e) in values(actual).into_iter().zip(values(expected)) {
        assert!((a - e).abs() <= bound * e.abs().max(1.0), "{a} instead of {e}");
    }
}

/// `dropout(1)` for as many elements as there are in `[tokens, width]`: the mask itself.
fn mask(shape: [usize; 2], dropout: Dropout, device: &Device) -> Tensor<2> {
    let zeros = Tensor::zeros(shape, device);
    FUSED.bias_dropout_add(zeros.clone() + 1.0, None, zeros, dropout)
}

#[test]
fn a_mask_is_a_function_of_its_key() {
    for device in devices() {
        let [a, again, b] = [1, 1, 2].map(|key| values(mask([33, 65], dropout(key), &device)));
        assert_eq!(a, again);
        assert_ne!(a, b);
    }
}

#[test]
fn a_mask_keeps_the_right_share_at_the_right_scale() {
    for device in devices() {
        let shape = [1000, 257];
        let factors = values(mask(shape, dropout(7), &device));
        let scale = (1.0 / (1.0 - P)) as f32;
        assert!(factors.iter().all(|&factor| factor == 0.0 || factor == scale));
        let all = factors.len() as f64;
        let kept = factors.iter().filter(|&&factor| factor > 0.0).count() as f64;
        // Five deviations of a binomial distribution.
        let deviation = (P * (1.0 - P) * all).sqrt();
        assert!(
            (kept - (1.0 - P) * all).abs() < 5.0 * deviation,
            "{kept} of {all}"
        );
    }
}

#[test]
fn a_branch_has_the_gradient_of_its_mask() {
    for device in devices() {
        let shape = [17, 31];
        let mask = mask(shape, dropout(3), &device);
        let weights = random(1, shape, &device);
        let leaf = |place, shape| Tensor::<2>::from_inner(random(place, shape, &device)).require_grad();
        let (x, bias, stream) = (leaf(20, shape), leaf(21, [1, shape[1]]), leaf(22, shape));
        let y = FUSED.bias_dropout_add(
            x.clone(),
            Some(bias.clone().reshape([shape[1]])),
            stream.clone(),
            dropout(3),
        );
        let weighted = Tensor::from_inner(weights.clone());
        let gradients = (y.clone() * weighted).sum().backward();

        let sum = x.clone().inner() + bias.clone().inner();
        // Two roundings.
        let bound = 2.0 * f32::EPSILON;
        assert_close(y.inner(), sum * mask.clone() + stream.clone().inner(), bound);
        let dx = weights.clone() * mask;
        assert_close(x.grad(&gradients).unwrap(), dx.clone(), bound);
        assert_close(stream.grad(&gradients).unwrap(), weights, 0.0);
        // Sums of as many terms as there are rows.
        let sums = dx.sum_dim(0);
        assert_close(bias.grad(&gradients).unwrap(), sums, bound * shape[0] as f32);
    }
}

#[test]
fn an_embedding_has_the_gradient_of_its_mask() {
    for device in devices() {
        let (batch, context, width) = (3, 5, 7);
        let tokens =
            Tensor::<2, Int>::from_ints([[0, 1, 2, 3, 0], [1, 1, 1, 1, 1], [3, 2, 1, 0, 3]], &device);
        let shape = [batch * context, width];
        let weights = random(3, shape, &device);
        let table = Tensor::<2>::from_inner(random(4, [4, width], &device)).require_grad();
        let positions = Tensor::<2>::from_inner(random(5, [context + 2, width], &device)).require_grad();
        let embed = |dropout| {
            let tokens = Tensor::from_inner(tokens.clone());
            FUSED.embedding(tokens, table.clone(), positions.clone(), dropout)
        };
        let y = embed(dropout(5));
        let whole = embed(Dropout::NONE).inner();
        let mask = y.clone().inner() / whole;
        let gradients = (y * Tensor::from_inner(weights.clone())).sum().backward();
        // The same sums without dropout, of the weights that the mask leaves.
        let expected = (embed(Dropout::NONE) * Tensor::from_inner(weights * mask))
            .sum()
            .backward();
        // The quotient is off by two roundings, as is the product; a gradient sums at most 15 of these.
        let bound = 4.0 * 15.0 * f32::EPSILON;
        for parameter in [&table, &positions] {
            let [actual, expected] =
                [&gradients, &expected].map(|gradients| parameter.grad(gradients).unwrap());
            assert_close(actual, expected, bound);
        }
    }
}

/// Attention composed of Burn's operations, its weights multiplied with `mask`, `[batch, heads, context, context]`.
fn masked_attention(qkv: Tensor<2>, shape: AttentionShape, mask: Tensor<4>) -> Tensor<2> {
    let AttentionShape {
        batch,
        context,
        heads,
    } = shape;
    let width = qkv.dims()[1] / 3;
    let channels = width / heads;
    let part = |part: usize| -> Tensor<4> {
        qkv.clone()
            .narrow(1, part * width, width)
            .reshape([batch, context, heads, channels])
            .swap_dims(1, 2)
    };
    let scores = part(0).matmul(part(1).transpose()) / (channels as f64).sqrt();
    let future = Tensor::<2, Bool>::tril_mask([context, context], 0, &scores.device());
    let weights = softmax(scores.mask_fill(future.unsqueeze(), f32::NEG_INFINITY), 3);
    (weights * mask)
        .matmul(part(2))
        .swap_dims(1, 2)
        .reshape([batch * context, width])
}

/// As many channels as tokens, so that values of the unit matrix make the output the weights themselves.
#[test]
fn attention_has_the_gradient_of_its_mask() {
    for device in devices() {
        let shape = AttentionShape {
            batch: 2,
            context: 24,
            heads: 3,
        };
        let AttentionShape {
            batch,
            context,
            heads,
        } = shape;
        let (rows, width) = (batch * context, heads * context);
        let unit = Tensor::<2>::eye(context, &device).repeat(&[batch, heads]);
        let scores = random(6, [rows, 2 * width], &device);
        let probe = Tensor::cat(vec![scores, unit], 1);
        let per_head =
            |x: Tensor<2>| -> Tensor<4> { x.reshape([batch, context, heads, context]).swap_dims(1, 2) };
        let dropped = per_head(FUSED.causal_attention(probe.clone(), shape, dropout(11)));
        let whole = per_head(FUSED.causal_attention(probe, shape, Dropout::NONE));
        let kept = dropped.clone().greater_elem(0.0).float() / (1.0 - P);
        assert_close(dropped, whole * kept.clone(), 8.0 * f32::EPSILON);
        let allowed = (batch * heads * context * (context + 1) / 2) as f64;
        let deviation = (P * (1.0 - P) * allowed).sqrt();
        let count: f64 = kept.clone().greater_elem(0.0).int().sum().into_scalar();
        assert!(
            (count - (1.0 - P) * allowed).abs() < 5.0 * deviation,
            "{count} of {allowed}"
        );

        let qkv = Tensor::<2>::from_inner(random(7, [rows, 3 * width], &device)).require_grad();
        let weights = Tensor::<2>::from_inner(random(8, [rows, width], &device));
        let actual = FUSED.causal_attention(qkv.clone(), shape, dropout(11));
        let expected = masked_attention(qkv.clone(), shape, Tensor::from_inner(kept));
        // Products of `context` terms, each up to 3, one of the scores and one of the weights.
        let bound = 3.0 * 2.0 * context as f32 * f32::EPSILON;
        assert_close(actual.clone().inner(), expected.clone().inner(), bound);
        let [actual, expected] =
            [actual, expected].map(|y| qkv.grad(&(y * weights.clone()).sum().backward()).unwrap());
        // Twice the chain, summed over the queries.
        assert_close(actual, expected, bound * 2.0 * context as f32);
    }
}
