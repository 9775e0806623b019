//! Recipes and the training loop.
//!
//! A [`Recipe`] says everything about a trial; [`run()`] trains it into a directory of its own, step by step with a
//! [`Trainer`].

pub mod change;
pub mod checkpoint;
pub mod config;
mod curve;
mod device;
mod diagnostics;
mod draft;
pub mod events;
mod hasher;
#[cfg(feature = "tch")]
pub mod libtorch;
pub mod lr_find;
mod precision;
mod recipe;
pub mod records;
mod resume;
mod run;
mod speed;
pub mod spikes;
pub mod tensors;
mod trained;
mod trainer;
mod watch;

pub use curve::read as read_curve;
pub use device::{DeviceError, DeviceName};
pub use diagnostics::{Clipped, LayerRow, read as read_layers};
pub use draft::Draft;
pub use hasher::RecipeHasher;
pub use precision::{PrecisionError, check_precision};
pub use recipe::{Recipe, TrainingConfig};
pub use records::{CurveRow, Status, TrialFiles, TrialResult, write_atomically};
pub use resume::adopt;
pub use run::{Outcome, RunError, run};
pub use trained::{Trained, TrainedError};
pub use trainer::{Gradient, Step, Trainer, TrainerError};

/// Cupel's version and the commit that it was built from, such as `0.1.0 (3f2a91c07b1d)`.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("CUPEL_COMMIT"), ")");

/// The version of Burn that this was built with.
pub const BURN_VERSION: &str = env!("CUPEL_BURN");
