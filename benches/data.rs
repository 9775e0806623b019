//! Tokenization in bytes a second, and batches in tokens a second.
//!
//! ```text
//! cargo bench --package benches --bench data
//! ```

#![allow(
    missing_docs,
    reason = "Criterion's macros write functions without documentation"
)]

use std::{fs, path::Path, time::Duration};

use benches::{ShapeName, dataset};
use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use data::{BatchShape, Position, Tokenizer, TokenizerName};

/// As in `cupel` itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    group
}

/// Of an English text with code: the project's own README, many times.
fn tokenization(criterion: &mut Criterion) {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = fs::read_to_string(readme)
        .expect("the project has a README")
        .repeat(20);
    let mut group = group(criterion, "tokenization");
    group.throughput(Throughput::Bytes(text.len() as u64));
    for (name, tokenizer) in [
        ("byte", TokenizerName::Byte),
        ("char", TokenizerName::Char),
        ("gpt2", TokenizerName::Gpt2),
    ] {
        let tokenizer = Tokenizer::new(tokenizer, &text);
        group.bench_function(name, |bencher| bencher.iter(|| tokenizer.encode(&text)));
    }
    group.finish();
}

fn batches(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("the system has a directory for temporary files");
    let recipe = ShapeName::NanogptCpu.shape().recipe(0.0, directory.path());
    let dataset = dataset(&recipe, directory.path());
    let mut group = group(criterion, "batches");
    for (sequences, context) in [(12, 64), (64, 256), (16, 1024)] {
        let shape = BatchShape { sequences, context };
        let mut step = 0;
        group.throughput(Throughput::Elements((sequences * context) as u64));
        group.bench_function(format!("{sequences} x {context}"), |bencher| {
            bencher.iter(|| {
                step += 1;
                let at = Position {
                    seed: 0,
                    step,
                    micro_step: 0,
                };
                dataset.train().batch(shape, at)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, tokenization, batches);
criterion_main!(benches);
