use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Constant, Decay, ScheduleError, WarmupShape, error::not_zero, span::Span};

/// Whole schedules one after the other, each with its own warm-up and its steps counted from its own start. The
/// last one goes on for ever. `warmup` of the sequence must be 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Sequence {
    /// The schedules, in order.
    pub parts: Vec<Part>,
}

/// A schedule for some of the steps of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Part {
    /// For how many steps it runs; the rest of the run where the last part does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub steps: Option<u64>,
    /// The peak learning rate of this part; that of the whole schedule where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub lr: Option<f64>,
    /// Steps of warm-up at the start of this part. 0 means none.
    pub warmup: u64,
    /// How the warm-up rises.
    pub warmup_shape: WarmupShape,
    /// The decay after the warm-up, chosen by `name`. Its steps are those of the part, as if it were the run.
    #[serde(flatten)]
    pub decay: Decay,
}

impl Default for Part {
    fn default() -> Self {
        Self {
            steps: None,
            lr: None,
            warmup: 0,
            warmup_shape: WarmupShape::Linear,
            decay: Decay::Constant(Constant {}),
        }
    }
}

impl Sequence {
    pub(crate) fn resolve(&mut self, whole: &Span) {
        let last = self.parts.len().saturating_sub(1);
        let places: Vec<Place> = self.places(whole).map(|(place, _)| place).collect();
        for (index, (part, Place { span, .. })) in self.parts.iter_mut().zip(places).enumerate() {
            part.lr = Some(span.peak);
            if index == last {
                part.steps = Some(span.steps);
            }
            part.decay.resolve(&span);
        }
    }

    pub(crate) fn check(&self, whole: &Span) -> Result<(), ScheduleError> {
        whole.check_no_warmup("sequence")?;
        if self.parts.is_empty() {
            return Err(ScheduleError::NoParts);
        }
        // The last part has got its steps when the defaults were written out.
        if let Some(index) = self.parts.iter().position(|part| part.steps.is_none()) {
            return Err(ScheduleError::PartWithoutSteps { index });
        }
        for (index, (Place { start, span }, decay)) in self.places(whole).enumerate() {
            // A start that has saturated lies outside every run as well.
            if start >= whole.steps {
                let steps = whole.steps;
                return Err(ScheduleError::PartOutsideRun { index, steps });
            }
            not_zero("steps", span.steps)
                .and_then(|()| decay.check(&span))
                .map_err(|error| ScheduleError::InPart {
                    index,
                    error: Box::new(error),
                })?;
        }
        Ok(())
    }

    pub(crate) fn lr(&self, whole: &Span, step: u64) -> f64 {
        self.places(whole)
            .take_while(|(place, _)| place.start <= step)
            .last()
            .map_or(whole.peak, |(Place { start, span }, decay)| {
                decay.lr(&span, step - start)
            })
    }

    pub(crate) fn highest(&self, whole: &Span) -> f64 {
        self.places(whole)
            .map(|(place, decay)| decay.highest(&place.span))
            .fold(0.0, f64::max)
    }

    /// The parts, each with its place in the `whole`.
    fn places(&self, whole: &Span) -> impl Iterator<Item = (Place, &Decay)> {
        let whole = *whole;
        let mut next = 0u64;
        self.parts.iter().map(move |part| {
            let start = next;
            let steps = part.steps.unwrap_or(whole.steps.saturating_sub(start));
            next = start.saturating_add(steps);
            let span = Span {
                peak: part.lr.unwrap_or(whole.peak),
                warmup: part.warmup,
                warmup_shape: part.warmup_shape,
                steps,
            };
            (Place { start, span }, &part.decay)
        })
    }
}

/// Where a part lies in the whole.
struct Place {
    start: u64,
    span: Span,
}
