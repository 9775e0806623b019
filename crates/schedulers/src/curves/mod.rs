//! One file per family of curves: its keys, what they must satisfy, and the closed form.

mod cosine_restarts;
mod floor;
mod inverse_square_root;
mod one_cycle;
mod powers;
mod sequence;
mod wsd;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use cosine_restarts::CosineRestarts;
pub use floor::{Floor, Polynomial};
pub use inverse_square_root::InverseSquareRoot;
pub use one_cycle::OneCycle;
pub use powers::{Exponential, MultiStep, StepDecay};
pub use sequence::{Part, Sequence};
pub use wsd::{DecayShape, Wsd};

/// No decay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Constant {}
