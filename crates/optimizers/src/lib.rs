//! Optimizers: each element-wise one is its scalar update rule, written once, as the paper prints it.
//!
//! [`Rule`] is that rule over any [`Real`]: the f64 instance is what properties are tested on, the f32 instance is one
//! pass over memory in place on the CPU (Flex), and the tensor instance runs on any device. [`Elementwise`] makes an
//! optimizer of Burn's of a rule; methods that look at a whole tensor implement Burn's [`Optimizer`](burn::optim::Optimizer)
//! themselves. [`Algorithm`] is the catalogue of them all. [`Optimizer`] applies them, or any optimizer of Burn's
//! ([`Update::burn`]), to the parameters of a module, group by group, after the gradients were clipped ([`Clip`]).
//!
//! A new optimizer is one new file in `algorithms`, and one line in `catalogue.rs`.
#![doc = include_str!("../CATALOGUE.md")]

mod algorithms;
mod catalogue;
mod clip;
mod config;
mod elementwise;
mod group;
#[cfg(feature = "tch")]
mod libtorch;
mod optimizer;
mod parameters;
mod real;
mod rule;
mod whole;

#[cfg(feature = "laws")]
pub mod laws;

// Where `derive(RecordState)` looks for them.
use burn::optim::{RecordState, StateSink, StateSource};

pub use algorithms::{
    AdEmaMix, AdaGrad, Adafactor, Adam, AdamW, Adan, AdjustLr, Adopt, AmsGrad, Lamb, Lion, Mars, Momentum,
    Muon, NAdam, RAdam, RmsProp, ScheduleFreeAdamW, Sgd, Signum, Soap,
};
pub use catalogue::Algorithm;
pub use clip::{Clip, ClipBy, global_norm};
pub use config::{GroupConfig, OptimizerConfig, PatternError, WeightDecayOn};
pub use elementwise::{Elementwise, ElementwiseState};
pub use group::{ParameterGroup, Update};
pub use optimizer::{Optimizer, StateError};
pub use parameters::ParameterPath;
pub use real::Real;
pub use rule::{At, Rule};
