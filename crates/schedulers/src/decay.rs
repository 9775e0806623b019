use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Constant, CosineRestarts, Exponential, Floor, InverseSquareRoot, MultiStep, OneCycle, Polynomial,
    ScheduleError, Sequence, StepDecay, Wsd,
    span::{Span, half_cosine},
};

/// How the learning rate falls after the warm-up; `name` in TOML.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Decay {
    /// The peak for ever.
    Constant(Constant),
    /// A straight line from the peak to `min_lr`, which is then held.
    Linear(Floor),
    /// Half a cosine from the peak to `min_lr`, which is then held (SGDR without restarts, arXiv 1608.03983).
    Cosine(Floor),
    /// Half cosines from the peak towards `min_lr`, one after the other (SGDR, arXiv 1608.03983).
    CosineRestarts(CosineRestarts),
    /// A power of what is left of the way from the peak to `min_lr`, which is then held.
    Polynomial(Polynomial),
    /// The peak times `gamma` for every `every` steps gone by.
    Step(StepDecay),
    /// The peak times `gamma` for every milestone gone by.
    MultiStep(MultiStep),
    /// The peak times `gamma` for every step after the warm-up.
    Exponential(Exponential),
    /// The peak over the square root of the steps gone by (Noam, arXiv 1706.03762).
    InverseSquareRoot(InverseSquareRoot),
    /// Warm-up, stable, decay: the peak for most of the run, then a short fall to `min_lr` (arXiv 2405.18392).
    Wsd(Wsd),
    /// One rise to the peak and one fall far below the beginning (arXiv 1708.07120, as PyTorch reads it).
    OneCycle(OneCycle),
    /// Whole schedules one after the other.
    Sequence(Sequence),
}

impl Decay {
    /// Writes out every default that depends on another key.
    pub(crate) fn resolve(&mut self, span: &Span) {
        match self {
            Self::Linear(floor) | Self::Cosine(floor) | Self::Polynomial(Polynomial { floor, .. }) => {
                floor.resolve(span);
            }
            Self::CosineRestarts(restarts) => restarts.resolve(span),
            Self::Sequence(sequence) => sequence.resolve(span),
            Self::Constant(_)
            | Self::Step(_)
            | Self::MultiStep(_)
            | Self::Exponential(_)
            | Self::InverseSquareRoot(_)
            | Self::Wsd(_)
            | Self::OneCycle(_) => {}
        }
    }

    pub(crate) fn check(&self, span: &Span) -> Result<(), ScheduleError> {
        span.check()?;
        match self {
            Self::Constant(Constant {}) | Self::InverseSquareRoot(InverseSquareRoot {}) => Ok(()),
            Self::Linear(floor) | Self::Cosine(floor) => floor.check(span),
            Self::CosineRestarts(restarts) => restarts.check(span),
            Self::Polynomial(polynomial) => polynomial.check(span),
            Self::Step(step) => step.check(),
            Self::MultiStep(multi_step) => multi_step.check(),
            Self::Exponential(exponential) => exponential.check(),
            Self::Wsd(wsd) => wsd.check(span),
            Self::OneCycle(one_cycle) => one_cycle.check(span),
            Self::Sequence(sequence) => sequence.check(span),
        }
    }

    /// The learning rate at `step`, warm-up included.
    pub(crate) fn lr(&self, span: &Span, step: u64) -> f64 {
        span.warmed_up(step) * self.decayed(span, step)
    }

    /// The highest peak, which no learning rate exceeds.
    pub(crate) fn highest(&self, span: &Span) -> f64 {
        match self {
            Self::Sequence(sequence) => sequence.highest(span),
            _ => span.peak,
        }
    }

    fn decayed(&self, span: &Span, step: u64) -> f64 {
        match self {
            Self::Constant(Constant {}) => span.peak,
            Self::Linear(floor) => floor.lr(span, step, |p| 1.0 - p),
            Self::Cosine(floor) => floor.lr(span, step, half_cosine),
            Self::CosineRestarts(restarts) => restarts.lr(span, step),
            Self::Polynomial(polynomial) => polynomial.lr(span, step),
            Self::Step(decay) => decay.lr(span, step),
            Self::MultiStep(decay) => decay.lr(span, step),
            Self::Exponential(decay) => decay.lr(span, step),
            Self::InverseSquareRoot(decay) => decay.lr(span, step),
            Self::Wsd(wsd) => wsd.lr(span, step),
            Self::OneCycle(one_cycle) => one_cycle.lr(span, step),
            Self::Sequence(sequence) => sequence.lr(span, step),
        }
    }
}
