//! Step throughput: whole training steps, in tokens a second, by shape, batch size, device and kernels.
//!
//! ```text
//! cargo bench --package benches --bench step                                               # Flex
//! cargo xtask libtorch -- cargo bench --package benches --bench step --features tch        # Flex and LibTorch
//! ```

#![allow(
    missing_docs,
    reason = "Criterion's macros write functions without documentation"
)]

use std::time::Duration;

use benches::{Shape, ShapeName, dataset, devices};
use burn::tensor::Device;
use criterion::{
    BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use kernels::{Kernels, Operations, Precision, cpu::pool};
use training::Trainer;

/// As in `cupel` itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DROPOUT: f64 = 0.1;

const FUSED: Operations = Operations {
    kernels: Kernels::Fused,
    precision: Precision::F32,
};

const WAYS: [(&str, Operations); 3] = [
    ("fused", FUSED),
    (
        "fused bf16",
        Operations {
            precision: Precision::Bf16,
            ..FUSED
        },
    ),
    ("reference", Operations::REFERENCE),
];

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    group
}

fn bench(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    shape: Shape,
    device: &Device,
    operations: Operations,
) {
    let directory = tempfile::tempdir().expect("the system has a directory for temporary files");
    let mut recipe = shape.recipe(DROPOUT, directory.path());
    recipe.training.kernels = operations.kernels;
    recipe.training.precision = operations.precision;
    let dataset = dataset(&recipe, directory.path());
    let mut trainer = Trainer::new(&recipe, dataset.vocabulary(), device).expect("the recipe has a model");
    let mut step = 0;
    group.throughput(Throughput::Elements(recipe.tokens_per_step()));
    group.bench_function(name, |bencher| {
        // As training runs.
        pool::awake(|| {
            bencher.iter(|| {
                step += 1;
                trainer
                    .step(&dataset, step % recipe.training.steps)
                    .expect("the text is long enough")
            });
        });
    });
}

fn by_shape(criterion: &mut Criterion) {
    for (name, shape) in [
        ("nanogpt-cpu", ShapeName::NanogptCpu),
        ("small", ShapeName::Small),
        ("gpt2-124m", ShapeName::Gpt2_124m),
    ] {
        let mut group = group(criterion, &format!("step/{name}"));
        for (device_name, device) in devices() {
            for (way, operations) in WAYS {
                // Ten steps of it would take as long as all others together.
                if shape == ShapeName::Gpt2_124m && operations == Operations::REFERENCE {
                    continue;
                }
                let name = format!("{device_name} {way}");
                bench(&mut group, &name, shape.shape(), &device, operations);
            }
        }
        group.finish();
    }
}

fn by_batch(criterion: &mut Criterion) {
    let mut group = group(criterion, "step/batch");
    for (device_name, device) in devices() {
        for batch in [1, 4, 16, 64] {
            let shape = Shape {
                batch,
                ..ShapeName::NanogptCpu.shape()
            };
            bench(
                &mut group,
                &format!("{device_name} {batch}"),
                shape,
                &device,
                FUSED,
            );
        }
    }
    group.finish();
}

criterion_group!(benches, by_shape, by_batch);
criterion_main!(benches);
