//! Recipes and the training loop.
//!
//! [`Recipe`] says everything about a trial; [`run`](run::run) trains it into a directory of its own.

pub mod config;
pub mod recipe;
pub mod records;

pub use recipe::{Recipe, TrainingConfig};
pub use records::{CurveRow, Status, TrialFiles, TrialResult};

/// Cupel's version and the commit that it was built from, such as `0.1.0 (3f2a91c07b1d)`.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("CUPEL_COMMIT"), ")");

/// The version of Burn that this was built with.
pub const BURN_VERSION: &str = env!("CUPEL_BURN");
