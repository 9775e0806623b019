use std::f64::consts::PI;

use crate::{Constant, Decay, Floor, ScheduleConfig, StepDecay};

/// A learning-rate schedule: a pure function of the step.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    peak: f64,
    warmup: u64,
    decay: Curve,
}

#[derive(Clone, Debug, PartialEq)]
enum Curve {
    Constant,
    Linear(End),
    Cosine(End),
    Step { gamma: f64, every: u64 },
}

#[derive(Clone, Debug, PartialEq)]
struct End {
    lr: f64,
    at: u64,
}

/// Why a [`ScheduleConfig`] is no schedule. [`key`](Self::key) names the key at fault.
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
    /// The decay would end before it begins.
    #[error("the decay ends at step {decay_steps}, before the warm-up of {warmup} steps is over")]
    DecayEndsInWarmup {
        /// Steps of warm-up.
        warmup: u64,
        /// The step at which the decay ends.
        decay_steps: u64,
    },
    /// The floor lies above the peak.
    #[error("the floor min_lr = {min_lr} lies above the peak lr = {lr}")]
    FloorAbovePeak {
        /// The floor.
        min_lr: f64,
        /// The peak.
        lr: f64,
    },
    /// A number that is negative, infinite or not a number.
    #[error("{key} = {value} must be a finite number that is not negative")]
    NotANumber {
        /// The key.
        key: &'static str,
        /// Its value.
        value: f64,
    },
    /// A step decay that never waits.
    #[error("every = 0: a step decay needs at least one step between two falls")]
    EveryIsZero,
}

impl ScheduleError {
    /// The key of the `[schedule]` table at fault.
    pub fn key(&self) -> &'static str {
        match self {
            Self::WarmupOutlastsRun { .. } => "warmup",
            Self::DecayEndsInWarmup { .. } => "decay_steps",
            Self::FloorAbovePeak { .. } => "min_lr",
            Self::NotANumber { key, .. } => key,
            Self::EveryIsZero => "every",
        }
    }

    /// What would make the schedule valid.
    pub fn cure(&self) -> &'static str {
        match self {
            Self::WarmupOutlastsRun { .. } => "shorten schedule.warmup, or lengthen training.steps",
            Self::DecayEndsInWarmup { .. } => "raise schedule.decay_steps, or shorten schedule.warmup",
            Self::FloorAbovePeak { .. } => "lower schedule.min_lr, or leave it out for a tenth of lr",
            Self::NotANumber { .. } => "give a finite number, such as 6e-4",
            Self::EveryIsZero => "give a number of steps from 1 up",
        }
    }
}

impl Schedule {
    pub(crate) fn new(config: &ScheduleConfig, steps: u64) -> Result<Self, ScheduleError> {
        let resolved = config.resolved(steps);
        let ScheduleConfig { lr, warmup, decay } = resolved;
        finite("lr", lr)?;
        if warmup > steps {
            return Err(ScheduleError::WarmupOutlastsRun { warmup, steps });
        }
        let end = |min_lr: Option<f64>, decay_steps: Option<u64>| -> Result<End, ScheduleError> {
            let end = End {
                lr: min_lr.unwrap_or_default(),
                at: decay_steps.unwrap_or(steps),
            };
            finite("min_lr", end.lr)?;
            if end.lr > lr {
                return Err(ScheduleError::FloorAbovePeak { min_lr: end.lr, lr });
            }
            if end.at < warmup {
                return Err(ScheduleError::DecayEndsInWarmup {
                    warmup,
                    decay_steps: end.at,
                });
            }
            Ok(end)
        };
        let decay = match decay {
            Decay::Constant(Constant {}) => Curve::Constant,
            Decay::Linear(Floor { min_lr, decay_steps }) => Curve::Linear(end(min_lr, decay_steps)?),
            Decay::Cosine(Floor { min_lr, decay_steps }) => Curve::Cosine(end(min_lr, decay_steps)?),
            Decay::Step(StepDecay { every: 0, .. }) => return Err(ScheduleError::EveryIsZero),
            Decay::Step(StepDecay { gamma, every }) => Curve::Step {
                gamma: finite("gamma", gamma)?,
                every,
            },
        };
        Ok(Self {
            peak: lr,
            warmup,
            decay,
        })
    }

    /// The learning rate of the 0-based `step`.
    pub fn lr(&self, step: u64) -> f64 {
        self.decayed(step) * self.warmed_up(step)
    }

    /// min((step + 1) / warmup, 1).
    fn warmed_up(&self, step: u64) -> f64 {
        if step < self.warmup {
            (step + 1) as f64 / self.warmup as f64
        } else {
            1.0
        }
    }

    fn decayed(&self, step: u64) -> f64 {
        let peak = self.peak;
        match &self.decay {
            Curve::Constant => peak,
            Curve::Linear(end) => between(end.lr, peak, 1.0 - self.progress(step, end.at)),
            Curve::Cosine(end) => between(
                end.lr,
                peak,
                0.5 * (1.0 + (PI * self.progress(step, end.at)).cos()),
            ),
            Curve::Step { gamma, every } => peak * gamma.powf((step / every) as f64),
        }
    }

    /// How much of the decay is over at `step`: 0 up to the end of the warm-up, 1 from `end` on.
    fn progress(&self, step: u64, end: u64) -> f64 {
        if step >= end {
            return 1.0;
        }
        step.saturating_sub(self.warmup) as f64 / (end - self.warmup) as f64
    }
}

/// The point at `share` of the way from `low` to `high`; exact at both ends.
fn between(low: f64, high: f64, share: f64) -> f64 {
    low * (1.0 - share) + high * share
}

fn finite(key: &'static str, value: f64) -> Result<f64, ScheduleError> {
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err(ScheduleError::NotANumber { key, value })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn config(lr: f64, warmup: u64, decay: Decay) -> ScheduleConfig {
        ScheduleConfig { lr, warmup, decay }
    }

    fn cosine(min_lr: f64, decay_steps: u64) -> Decay {
        Decay::Cosine(Floor {
            min_lr: Some(min_lr),
            decay_steps: Some(decay_steps),
        })
    }

    /// A product and a sum of three roundings, each at most half an ULP of a value of at most the peak.
    fn close(a: f64, b: f64, peak: f64) -> bool {
        (a - b).abs() <= 4.0 * f64::EPSILON * peak
    }

    #[test]
    fn the_chapters_step_decay() {
        let decay = Decay::Step(StepDecay {
            gamma: 0.1,
            every: 30,
        });
        let schedule = config(1e-3, 0, decay).build(90).unwrap();
        for (epoch, lr) in [
            (0, 1e-3),
            (29, 1e-3),
            (30, 1e-4),
            (59, 1e-4),
            (60, 1e-5),
            (89, 1e-5),
        ] {
            assert!(
                close(schedule.lr(epoch), lr, 1e-3),
                "epoch {epoch}: {}",
                schedule.lr(epoch)
            );
        }
    }

    #[test]
    fn halfway_down_the_cosine_lies_halfway_between_peak_and_floor() {
        let schedule = config(1e-3, 100, cosine(1e-4, 2000)).build(2000).unwrap();
        assert!(close(schedule.lr(1050), 5.5e-4, 1e-3));
    }

    #[test]
    fn contradictions_name_their_key() {
        let error = |config: ScheduleConfig| config.build(100).unwrap_err();
        assert_eq!(
            error(config(1.0, 101, Decay::Constant(Constant {}))).key(),
            "warmup"
        );
        assert_eq!(error(config(1.0, 50, cosine(0.1, 49))).key(), "decay_steps");
        assert_eq!(error(config(1.0, 0, cosine(2.0, 100))).key(), "min_lr");
        assert_eq!(error(config(f64::NAN, 0, cosine(0.0, 100))).key(), "lr");
        let every = Decay::Step(StepDecay { gamma: 0.1, every: 0 });
        assert_eq!(error(config(1.0, 0, every)).key(), "every");
    }

    fn any_config() -> impl Strategy<Value = (ScheduleConfig, u64)> {
        (1e-6..1e2f64, 0.0..=1.0f64, 0..500u64, 1..2000u64, 0..4usize).prop_map(
            |(lr, floor, warmup, decay_steps, kind)| {
                let (min_lr, decay_steps) = (Some(lr * floor), Some(warmup + decay_steps));
                let decay = match kind {
                    0 => Decay::Constant(Constant {}),
                    1 => Decay::Linear(Floor { min_lr, decay_steps }),
                    2 => Decay::Cosine(Floor { min_lr, decay_steps }),
                    _ => Decay::Step(StepDecay {
                        gamma: floor,
                        every: warmup + 1,
                    }),
                };
                (config(lr, warmup, decay), warmup + 3000)
            },
        )
    }

    proptest! {
        #[test]
        fn the_warm_up_is_linear_and_ends_at_the_peak((config, steps) in any_config()) {
            let schedule = config.build(steps).unwrap();
            for step in 0..config.warmup {
                let expected = config.lr * (step + 1) as f64 / config.warmup as f64;
                prop_assert!(close(schedule.lr(step), expected, config.lr));
            }
            prop_assert!(close(schedule.lr(config.warmup), config.lr, config.lr));
        }

        #[test]
        fn after_the_warm_up_it_never_rises_and_never_leaves_its_range((config, steps) in any_config()) {
            let schedule = config.build(steps).unwrap();
            for step in config.warmup..steps + 10 {
                let (now, next) = (schedule.lr(step), schedule.lr(step + 1));
                prop_assert!(next <= now * (1.0 + 4.0 * f64::EPSILON), "step {step}: {now} then {next}");
                prop_assert!((0.0..=config.lr * (1.0 + 4.0 * f64::EPSILON)).contains(&now));
            }
        }

        #[test]
        fn the_floor_is_held_for_ever((config, steps) in any_config(), later in 0..u64::MAX / 2) {
            let schedule = config.build(steps).unwrap();
            if let Decay::Linear(Floor { min_lr, decay_steps })
            | Decay::Cosine(Floor { min_lr, decay_steps }) = config.decay {
                prop_assert_eq!(schedule.lr(decay_steps.unwrap() + later), min_lr.unwrap());
            }
        }

        #[test]
        fn writing_the_defaults_out_changes_nothing((mut config, steps) in any_config(), step in 0..5000u64) {
            if let Decay::Linear(Floor { min_lr, decay_steps })
            | Decay::Cosine(Floor { min_lr, decay_steps }) = &mut config.decay {
                (*min_lr, *decay_steps) = (None, None);
            }
            prop_assert_eq!(
                config.build(steps).unwrap().lr(step),
                config.resolved(steps).build(steps).unwrap().lr(step)
            );
        }
    }
}
