//! Optimizers: each is its scalar update rule, written once, as the paper prints it.
//!
//! [`Rule`] is that rule over any [`Real`]: the f64 instance is what properties are tested on, the f32 instance is one
//! pass over memory in place on the CPU (Flex), and the tensor instance runs on any device. [`Algorithm`] is the
//! catalogue of them all, [`Optimizer`] applies one to the parameters of a module, group by group, after the gradients
//! were clipped by their global norm ([`clip_global_norm`]).
//!
//! | name | update of a parameter theta with gradient g | paper |
//! |---|---|---|
//! | `sgd` | theta - lr g | Robbins and Monro 1951 |
//! | `momentum` | v = beta v + g; theta - lr v | Polyak 1964 |
//! | `adam` | theta - lr m_hat / (sqrt(v_hat) + eps) | arXiv 1412.6980 |
//! | `adamw` | theta - lr (m_hat / (sqrt(v_hat) + eps) + weight_decay theta) | arXiv 1711.05101 |
//!
//! A new optimizer is one new file with its rule, and one line in `catalogue.rs`.

mod adam;
mod adamw;
mod apply;
mod catalogue;
mod clip;
mod config;
mod momentum;
mod optimizer;
mod parameters;
mod real;
mod rule;
mod sgd;

pub use adam::Adam;
pub use adamw::AdamW;
pub use catalogue::Algorithm;
pub use clip::clip_global_norm;
pub use config::{OptimizerConfig, WeightDecayOn};
pub use momentum::Momentum;
pub use optimizer::{Optimizer, ParameterGroup, StateError};
pub use parameters::ParameterPath;
pub use real::Real;
pub use rule::{At, Rule};
pub use sgd::Sgd;
