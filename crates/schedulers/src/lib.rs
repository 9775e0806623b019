//! Learning-rate schedules: `lr(step)` as a pure function of the step.
//!
//! A schedule is a warm-up followed by a decay. It has no state: what it gives at a step depends on nothing but
//! the step, so a resumed run needs only its step, and steps can be asked for in any order.
//!
//! ```
//! use schedulers::{Decay, Floor, ScheduleConfig};
//!
//! let config = ScheduleConfig { lr: 1e-3, warmup: 100, decay: Decay::Cosine(Floor::default()) };
//! let schedule = config.build(2000)?;
//! assert_eq!(schedule.lr(0), 1e-5); // (0 + 1) / 100 of the peak
//! assert_eq!(schedule.lr(99), 1e-3); // the last step of the warm-up
//! assert_eq!(schedule.lr(2000), 1e-4); // the floor, a tenth of the peak by default, held for ever
//! # Ok::<(), schedulers::ScheduleError>(())
//! ```
//!
//! | schedule | lr after the warm-up, with p = (step - warmup) / (decay_steps - warmup), at most 1 |
//! |---|---|
//! | constant | lr |
//! | linear | min_lr + (lr - min_lr) (1 - p) |
//! | cosine | min_lr + (lr - min_lr) (1 + cos(pi p)) / 2 |
//! | step | lr gamma^floor(step / every) |

mod config;
mod schedule;

pub use config::{Constant, Decay, Floor, ScheduleConfig, StepDecay};
pub use schedule::{Schedule, ScheduleError};
