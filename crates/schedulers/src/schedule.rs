use crate::{Decay, ScheduleError, error::finite, span::Span};

/// A learning-rate schedule: a pure function of the step.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    scale: f64,
    span: Span,
    decay: Decay,
}

impl Schedule {
    pub(crate) fn new(scale: f64, span: Span, decay: Decay) -> Result<Self, ScheduleError> {
        decay.check(&span)?;
        finite("lr", scale * decay.highest(&span))?;
        Ok(Self { scale, span, decay })
    }

    /// The learning rate of the 0-based `step`.
    pub fn lr(&self, step: u64) -> f64 {
        self.scale * self.decay.lr(&self.span, step)
    }
}
