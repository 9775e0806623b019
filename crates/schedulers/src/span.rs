use std::f64::consts::PI;

use crate::{ScheduleError, WarmupShape, error::finite};

/// What a decay is told of the run, or of the part of a run, that it is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    /// The peak learning rate.
    pub peak: f64,
    /// Steps of warm-up.
    pub warmup: u64,
    /// How the warm-up rises.
    pub warmup_shape: WarmupShape,
    /// Steps from the start of the warm-up to the end of the run.
    pub steps: u64,
}

impl Span {
    pub fn check(&self) -> Result<(), ScheduleError> {
        let Self {
            peak, warmup, steps, ..
        } = *self;
        finite("lr", peak)?;
        if warmup > steps {
            return Err(ScheduleError::WarmupOutlastsRun { warmup, steps });
        }
        Ok(())
    }

    /// That `min_lr` is a learning rate below the peak.
    pub fn check_floor(&self, min_lr: f64) -> Result<(), ScheduleError> {
        finite("min_lr", min_lr)?;
        if min_lr > self.peak {
            return Err(ScheduleError::FloorAbovePeak {
                min_lr,
                lr: self.peak,
            });
        }
        Ok(())
    }

    /// That there is no warm-up before the schedule called `name`.
    pub fn check_no_warmup(&self, name: &'static str) -> Result<(), ScheduleError> {
        match self.warmup {
            0 => Ok(()),
            warmup => Err(ScheduleError::WarmupTwice { warmup, name }),
        }
    }

    /// The share of the peak that the warm-up grants at `step`.
    pub fn warmed_up(&self, step: u64) -> f64 {
        self.warmup_shape.share(step, self.warmup)
    }
}

/// How much of the way from step `start` to step `end` is over at `step`: 0 before it, 1 after it.
pub(crate) fn progress(step: u64, start: u64, end: u64) -> f64 {
    if step >= end {
        1.0
    } else if step <= start {
        0.0
    } else {
        (step - start) as f64 / (end - start) as f64
    }
}

/// The point at `share` of the way from `low` to `high`; exact at both ends, and never outside.
pub(crate) fn between(low: f64, high: f64, share: f64) -> f64 {
    (low * (1.0 - share) + high * share).max(low).min(high)
}

/// Half a cosine from 1 at `progress` 0 down to 0 at `progress` 1.
pub(crate) fn half_cosine(progress: f64) -> f64 {
    0.5 * (1.0 + (PI * progress).cos())
}
