//! Measuring: Cupel beside PyTorch, and how the cost of a step grows.

use std::{num::NonZeroUsize, thread};

mod agreement;
pub mod build;
mod growth;
mod machine;
mod peer;
mod peers;
mod start;
mod statistics;
mod summary;
mod tables;
mod turns;
mod worker;
mod workload;

pub use growth::{GrowthArguments, growth};
pub use peers::{PeersArguments, peers};

/// As many threads as were asked for, or the machine's.
fn threads(asked: Option<NonZeroUsize>) -> usize {
    asked
        .or_else(|| thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get)
}
