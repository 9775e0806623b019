//! Updates of every optimizer of the catalogue, on a matrix of 256 x 1024 parameters on Flex, in parameters a second.
//!
//! ```text
//! cargo bench --package benches --bench optimizers
//! ```

#![allow(
    missing_docs,
    reason = "Criterion's macros write functions without documentation"
)]

use burn::{
    module::Param,
    optim::GradientsParams,
    tensor::{Device, Distribution, Tensor},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use optimizers::{Algorithm, Optimizer, ParameterGroup};

/// As in `cupel` itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SHAPE: [usize; 2] = [256, 1024];

fn update(criterion: &mut Criterion) {
    let device = Device::flex();
    let mut group = criterion.benchmark_group("optimizers");
    group.throughput(Throughput::Elements((SHAPE[0] * SHAPE[1]) as u64));
    for algorithm in Algorithm::all() {
        let name = algorithm.name();
        let mut optimizer = Optimizer::new(vec![ParameterGroup::all(algorithm.into())]);
        let gradient = Tensor::<2>::random(SHAPE, Distribution::Default, &device);
        // Moved through every update, so that it is changed in place as in training.
        let mut parameter = Some(Param::from_tensor(Tensor::ones(SHAPE, &device)));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut gradients = GradientsParams::new();
                let moved: Param<Tensor<2>> = parameter.take().expect("every update gives it back");
                gradients.register(moved.id, gradient.clone());
                parameter = Some(optimizer.step(1e-4, moved, gradients));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, update);
criterion_main!(benches);
