//! Step throughput: whole training steps of the quickstart's model, in tokens a second, on every device of the build.
//!
//! ```text
//! cargo bench --package benches                                                  # Flex
//! cargo xtask libtorch -- cargo bench --package benches --features tch           # Flex and LibTorch
//! ```

#![allow(
    missing_docs,
    reason = "Criterion's macros write functions without documentation"
)]

use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use data::{Dataset, OpenOptions};
use training::{DeviceName, Recipe, Trainer, config::Node};

/// As in `cupel` itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The base recipe of the sweep that the quickstart runs.
fn quickstart() -> Recipe {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sweeps/quickstart.toml");
    let sweep = Node::read(&path).expect("the quickstart is a TOML file");
    let base = sweep.get("base").expect("the quickstart has a base recipe");
    Recipe::from_node(base).expect("the quickstart's base is a recipe")
}

fn step(criterion: &mut Criterion) {
    let recipe = quickstart();
    let dataset = Dataset::open(&recipe.data, &OpenOptions::from_env()).expect("the corpus is embedded");
    let mut group = criterion.benchmark_group("step/quickstart");
    group.throughput(Throughput::Elements(recipe.tokens_per_step()));
    let gpu = DeviceName::LibtorchCuda(0);
    for name in [DeviceName::Flex, DeviceName::Libtorch, gpu] {
        let Ok(device) = name.open() else { continue };
        let mut trainer =
            Trainer::new(&recipe, dataset.vocabulary(), &device).expect("the recipe has a model");
        let mut step = 0;
        group.bench_function(name.to_string(), |bencher| {
            // Inside the pool, as training runs.
            rayon::scope(|_| {
                bencher.iter(|| {
                    step += 1;
                    trainer
                        .step(&dataset, step % recipe.training.steps)
                        .expect("the text is long enough")
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
