//! Measuring: Cupel beside PyTorch, and how the cost of a step grows.

mod agreement;
mod build;
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

pub use peers::{PeersArguments, peers};
