/// Why a [`ScheduleConfig`](crate::ScheduleConfig) is no schedule. [`key`](Self::key) names the key at fault.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScheduleError {
    /// The warm-up is not over when the run is.
    #[error("a warm-up of {warmup} steps does not fit into a run of {steps} steps")]
    WarmupOutlastsRun {
        /// Steps of warm-up.
        warmup: u64,
        /// Steps of the run.
        steps: u64,
    },
    /// A warm-up before a schedule that brings its own.
    #[error("a warm-up of {warmup} steps before a {name} schedule, which has its own")]
    WarmupTwice {
        /// Steps of warm-up.
        warmup: u64,
        /// The schedule's name.
        name: &'static str,
    },
    /// The decay would end before it begins.
    #[error("the decay ends at step {decay_steps}, before the warm-up of {warmup} steps is over")]
    DecayEndsInWarmup {
        /// Steps of warm-up.
        warmup: u64,
        /// The step at which the decay ends.
        decay_steps: u64,
    },
    /// The decay would begin before the warm-up is over.
    #[error("the decay begins at step {begin}, before the warm-up of {warmup} steps is over")]
    DecayBeginsInWarmup {
        /// Steps of warm-up.
        warmup: u64,
        /// The first step of the decay.
        begin: u64,
    },
    /// The floor lies above the peak.
    #[error("the floor min_lr = {min_lr} lies above the peak lr = {lr}")]
    FloorAbovePeak {
        /// The floor.
        min_lr: f64,
        /// The peak.
        lr: f64,
    },
    /// A number outside its range, or not a number at all.
    #[error("{key} = {value} must be {range}")]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// Its value.
        value: f64,
        /// The numbers that it may be.
        range: &'static str,
    },
    /// A count that is zero.
    #[error("{key} = 0 must be at least 1")]
    Zero {
        /// The key.
        key: &'static str,
    },
    /// A milestone that does not lie after the one before it.
    #[error("the milestones {before} and {after} do not rise")]
    MilestonesDoNotRise {
        /// A milestone.
        before: u64,
        /// The next.
        after: u64,
    },
    /// A sequence of nothing.
    #[error("a sequence without parts")]
    NoParts,
    /// A part that does not say when the next begins.
    #[error("parts[{index}] does not say for how many steps it runs; only the last part may leave it out")]
    PartWithoutSteps {
        /// Its place in `parts`, from 0.
        index: usize,
    },
    /// A part that begins when the run is over.
    #[error("parts[{index}] would begin after a run of {steps} steps is over")]
    PartOutsideRun {
        /// Its place in `parts`, from 0.
        index: usize,
        /// Steps of the run.
        steps: u64,
    },
    /// A part that is no schedule by itself.
    #[error("parts[{index}]: {error}")]
    InPart {
        /// Its place in `parts`, from 0.
        index: usize,
        /// What is wrong with it.
        error: Box<ScheduleError>,
    },
}

impl ScheduleError {
    /// The key of the `[schedule]` table at fault.
    pub fn key(&self) -> &'static str {
        match self {
            Self::WarmupOutlastsRun { .. } | Self::WarmupTwice { .. } => "warmup",
            Self::DecayEndsInWarmup { .. } => "decay_steps",
            Self::DecayBeginsInWarmup { .. } => "decay_fraction",
            Self::FloorAbovePeak { .. } => "min_lr",
            Self::OutOfRange { key, .. } | Self::Zero { key } => key,
            Self::MilestonesDoNotRise { .. } => "milestones",
            Self::NoParts
            | Self::PartWithoutSteps { .. }
            | Self::PartOutsideRun { .. }
            | Self::InPart { .. } => "parts",
        }
    }

    /// What would make the schedule valid.
    pub fn cure(&self) -> &'static str {
        match self {
            Self::WarmupOutlastsRun { .. } => "shorten schedule.warmup, or lengthen training.steps",
            Self::WarmupTwice { .. } => "set schedule.warmup = 0",
            Self::DecayEndsInWarmup { .. } => "raise schedule.decay_steps, or shorten schedule.warmup",
            Self::DecayBeginsInWarmup { .. } => "lower schedule.decay_fraction, or shorten schedule.warmup",
            Self::FloorAbovePeak { .. } => "lower schedule.min_lr, or leave it out for a tenth of lr",
            Self::OutOfRange { .. } => "give a number in that range",
            Self::Zero { .. } => "give a whole number from 1 up",
            Self::MilestonesDoNotRise { .. } => "sort schedule.milestones, and name every step once",
            Self::NoParts => "give schedule.parts at least one part, such as { name = 'constant' }",
            Self::PartWithoutSteps { .. } => "give the part its number of steps",
            Self::PartOutsideRun { .. } => "shorten the parts before it, or lengthen training.steps",
            Self::InPart { error, .. } => error.cure(),
        }
    }
}

/// A finite number that is not negative.
pub(crate) fn finite(key: &'static str, value: f64) -> Result<(), ScheduleError> {
    within(key, value, 0.0, f64::MAX, "a finite number that is not negative")
}

/// A share of a whole.
pub(crate) fn share(key: &'static str, value: f64) -> Result<(), ScheduleError> {
    within(key, value, 0.0, 1.0, "a number from 0 to 1")
}

/// A finite number of at least 1.
pub(crate) fn at_least_one(key: &'static str, value: f64) -> Result<(), ScheduleError> {
    within(key, value, 1.0, f64::MAX, "a finite number of at least 1")
}

/// A finite number above 0.
pub(crate) fn positive(key: &'static str, value: f64) -> Result<(), ScheduleError> {
    within(key, value, f64::MIN_POSITIVE, f64::MAX, "a finite number above 0")
}

fn within(
    key: &'static str,
    value: f64,
    low: f64,
    high: f64,
    range: &'static str,
) -> Result<(), ScheduleError> {
    // Not a number lies in no range.
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(ScheduleError::OutOfRange { key, value, range })
    }
}

/// A count of at least 1.
pub(crate) fn not_zero(key: &'static str, count: u64) -> Result<(), ScheduleError> {
    if count == 0 {
        Err(ScheduleError::Zero { key })
    } else {
        Ok(())
    }
}
