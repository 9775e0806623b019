//! Learning-rate schedules: `lr(step)` as a pure function of the step.
//!
//! A schedule is a warm-up followed by a decay. It has no state: what it gives at a step depends on nothing but
//! the step, so a resumed run needs only its step, and steps can be asked for in any order.
//!
//! ```
//! use schedulers::{Decay, Floor, Run, ScheduleConfig};
//!
//! let config = ScheduleConfig {
//!     lr: 1e-3,
//!     warmup: 100,
//!     decay: Decay::Cosine(Floor::default()),
//!     ..ScheduleConfig::default()
//! };
//! let schedule = config.build(Run { steps: 2000, batch_tokens: 1 << 19 })?;
//! assert_eq!(schedule.lr(0), 1e-5); // (0 + 1) / 100 of the peak
//! assert_eq!(schedule.lr(99), 1e-3); // the last step of the warm-up
//! assert_eq!(schedule.lr(2000), 1e-4); // the floor, a tenth of the peak by default, held for ever
//! # Ok::<(), schedulers::ScheduleError>(())
//! ```
//!
//! With t = step, W = warmup, N = the steps of the run, and p = (t - W) / (decay_steps - W), at most 1:
//!
//! | name | lr after the warm-up | source |
//! |---|---|---|
//! | constant | lr | |
//! | linear | min_lr + (lr - min_lr) (1 - p) | |
//! | cosine | min_lr + (lr - min_lr) (1 + cos(pi p)) / 2 | SGDR without restarts, arXiv 1608.03983 |
//! | cosine-restarts | min_lr + (lr - min_lr) (1 + cos(pi c / T)) / 2, c steps into a cycle of T = period period_factor^i | SGDR, arXiv 1608.03983 |
//! | polynomial | min_lr + (lr - min_lr) (1 - p)^power | |
//! | step | lr gamma^floor(t / every) | |
//! | multi-step | lr gamma^(milestones at or before t) | |
//! | exponential | lr gamma^(t - W) | |
//! | inverse-square-root | lr sqrt(max(W, 1) / (t + 1)) | Noam, arXiv 1706.03762 |
//! | wsd | lr, and in the last D = decay_fraction N steps min_lr + (lr - min_lr) shape((t - N + D) / D) | arXiv 2405.18392 |
//! | one-cycle | half a cosine up from lr / div_factor, half a cosine down to lr / div_factor / final_div_factor | arXiv 1708.07120, as PyTorch reads it |
//! | sequence | the schedules of its parts, one after the other | |
//!
//! The warm-up multiplies the curve by a share that is 1 from step W - 1 on. With q = (t + 1) / W:
//!
//! | warmup_shape | share |
//! |---|---|
//! | linear | q |
//! | cosine | (1 - cos(pi q)) / 2 |
//! | exponential | 1000^(q - 1) |
//!
//! `lr_scaling` multiplies every lr by batch_tokens / reference_batch_tokens (linear, arXiv 1706.02677) or by
//! its square root.
#![doc = include_str!("../PARITY.md")]

mod config;
mod curves;
mod decay;
mod error;
mod schedule;
mod span;
mod warmup;

pub use config::{LrScaling, Run, ScheduleConfig};
pub use curves::{
    Constant, CosineRestarts, DecayShape, Exponential, Floor, InverseSquareRoot, MultiStep, OneCycle, Part,
    Polynomial, Sequence, StepDecay, Wsd,
};
pub use decay::Decay;
pub use error::ScheduleError;
pub use schedule::Schedule;
pub use warmup::WarmupShape;
