//! Criterion benchmarks of Cupel: `cargo bench --package benches --bench step`.
