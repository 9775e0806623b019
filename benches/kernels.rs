//! Each operation alone, forward and backward, fused beside its reference, at the sizes of the shape `small`.
//!
//! Products and attention are in FLOP/s (Criterion's `elem/s`), counted as for MFU; the others in bytes/s, where each
//! matrix that the operation must read or write counts once in each direction.
//!
//! ```text
//! cargo bench --package benches --bench kernels                                            # Flex
//! cargo xtask libtorch -- cargo bench --package benches --bench kernels --features tch     # Flex and LibTorch
//! ```

#![allow(
    missing_docs,
    reason = "Criterion's macros write functions without documentation"
)]

use std::time::Duration;

use benches::{Shape, ShapeName, devices};
use burn::tensor::{Device, Distribution, Int, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kernels::{AttentionShape, Dropout, Kernels, Operations, Precision, cpu::pool};

/// As in `cupel` itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WAYS: [(&str, Operations); 2] = [
    (
        "fused",
        Operations {
            kernels: Kernels::Fused,
            precision: Precision::F32,
        },
    ),
    ("reference", Operations::REFERENCE),
];

const DROPOUT: Dropout = Dropout {
    probability: 0.1,
    key: 0,
};

/// An operation, on inputs of its own, with what it costs.
struct Case {
    name: &'static str,
    throughput: Throughput,
    /// Forward and backward, from a gradient of ones.
    run: Box<dyn Fn(Operations) + Send + Sync>,
}

impl Case {
    fn new<const D: usize>(
        name: &'static str,
        throughput: Throughput,
        operation: impl Fn(Operations) -> Tensor<D> + Send + Sync + 'static,
    ) -> Self {
        let run = Box::new(move |operations| drop(operation(operations).backward()));
        Self {
            name,
            throughput,
            run,
        }
    }
}

fn cases(device: &Device) -> Vec<Case> {
    let Shape {
        heads,
        width,
        context,
        batch,
        ..
    } = ShapeName::Small.shape();
    let tokens = batch * context;
    // A vocabulary of 65 would fit into a cache.
    let vocabulary = 4096;
    let random = |rows: usize, columns: usize| {
        Tensor::<2>::random([rows, columns], Distribution::Default, device).require_grad()
    };
    let vector = |width: usize| Tensor::<1>::random([width], Distribution::Default, device).require_grad();
    let flops = |count: usize| Throughput::Elements(count as u64);
    let matrices = |count: usize, columns: usize| Throughput::Bytes((4 * count * tokens * columns) as u64);

    let (x, residual, qkv) = (
        random(tokens, width),
        random(tokens, width),
        random(tokens, 3 * width),
    );
    let (hidden, logits) = (random(tokens, 4 * width), random(tokens, vocabulary));
    let (weight, table, positions) = (
        random(width, 4 * width),
        random(vocabulary, width),
        random(context, width),
    );
    let (scale, shift, wide_bias) = (vector(width), vector(width), vector(4 * width));
    let ids = Distribution::Uniform(0.0, vocabulary as f64);
    let inputs = Tensor::<2, Int>::random([batch, context], ids, device);
    let targets = inputs.clone().reshape([tokens]);
    let shape = AttentionShape {
        batch,
        context,
        heads,
    };

    let linear = {
        let (x, bias) = (x.clone(), wide_bias.clone());
        move |o: Operations| o.linear(x.clone(), weight.clone(), Some(bias.clone()))
    };
    let linear_tied = {
        let (x, table) = (x.clone(), table.clone());
        move |o: Operations| o.linear_tied(x.clone(), table.clone())
    };
    let layer_norm = {
        let (x, shift) = (x.clone(), shift.clone());
        move |o: Operations| o.layer_norm(x.clone(), scale.clone(), Some(shift.clone()), 1e-5)
    };
    let bias_gelu = move |o: Operations| o.bias_gelu(hidden.clone(), Some(wide_bias.clone()));
    let bias_dropout_add =
        move |o: Operations| o.bias_dropout_add(x.clone(), Some(shift.clone()), residual.clone(), DROPOUT);
    let embedding =
        move |o: Operations| o.embedding(inputs.clone(), table.clone(), positions.clone(), DROPOUT);
    let attention = |dropout: Dropout| {
        let qkv = qkv.clone();
        move |o: Operations| o.causal_attention(qkv.clone(), shape, dropout)
    };
    let cross_entropy = move |o: Operations| o.cross_entropy(logits.clone(), targets.clone());

    // One product forward, two backward; attention has two, and four, over the whole square.
    let products = |inputs: usize, outputs: usize| flops(6 * tokens * inputs * outputs);
    let attended = flops(12 * tokens * context * width);
    vec![
        Case::new("linear", products(width, 4 * width), linear),
        Case::new("linear_tied", products(width, vocabulary), linear_tied),
        Case::new("causal_attention", attended.clone(), attention(Dropout::NONE)),
        Case::new("causal_attention with dropout", attended, attention(DROPOUT)),
        Case::new("layer_norm", matrices(5, width), layer_norm),
        Case::new("bias_gelu", matrices(5, 4 * width), bias_gelu),
        Case::new("bias_dropout_add", matrices(5, width), bias_dropout_add),
        Case::new("embedding", matrices(4, width), embedding),
        Case::new("cross_entropy", matrices(3, vocabulary), cross_entropy),
    ]
}

fn every_kernel(criterion: &mut Criterion) {
    for (device_name, device) in devices() {
        for case in cases(&device.clone().autodiff()) {
            let mut group = criterion.benchmark_group(format!("kernels/{}", case.name));
            group
                .sample_size(20)
                .warm_up_time(Duration::from_millis(300))
                .measurement_time(Duration::from_secs(2))
                .throughput(case.throughput.clone());
            for (way, operations) in WAYS {
                group.bench_function(format!("{device_name} {way}"), |bencher| {
                    // As training runs.
                    pool::awake(|| {
                        bencher.iter(|| {
                            (case.run)(operations);
                            device.sync().expect("the device works");
                        });
                    });
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, every_kernel);
criterion_main!(benches);
