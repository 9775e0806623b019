//! Statistics of few numbers: a configuration has three or five seeds, not thirty.
//!
//! Everything here is a pure function of its numbers. It is held to SciPy, whose numbers `cargo xtask oracle` writes, and to
//! simulations: how often a 95% interval holds the mean, and how often a test rejects what is true.
//!
//! # Which interval
//!
//! [`t_interval`] is what comparisons stand on: for normal noise it is exact, however few the seeds. The percentile bootstrap, the
//! usual choice, is not: three values hold no more than what lies between the least and the greatest of them, and the mean is not
//! there in one case of four. [`bootstrap_interval`] is the studentised bootstrap, the one that resamples `(mean - mu) / se`. It
//! assumes no shape of the noise, holds for normal noise from five values on, and errs less than the t interval where the noise
//! is skewed. Of fewer values it would be several times as wide, or have no end at all, and none is given.
//!
#![doc = include_str!("../../COVERAGE.md")]

mod bootstrap;
mod factorial;
mod holm;
mod profile;
mod sample;
mod t;
mod wilcoxon;

pub use bootstrap::bootstrap_interval;
pub use factorial::{Effect, Factorial, f_test};
pub use holm::holm;
pub use profile::{median, profile, profile_score};
pub use sample::{Interval, Sample};
pub use t::{TTest, t_interval, t_test, welch};
pub use wilcoxon::wilcoxon;

/// How often an interval is to hold what it is an interval of.
pub const CONFIDENCE: f64 = 0.95;
