//! Criterion benchmarks of Cupel; see `benches/`.
