use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::span::Span;

/// Inverse square root decay: lr * sqrt(max(warmup, 1) / (step + 1)).
///
/// "Attention is all you need" (arXiv 1706.03762, equation 3) writes width^-0.5 * min(n^-0.5, n * warmup^-1.5) for
/// the 1-based step n: the same curve with lr = (width * warmup)^-0.5 after a linear warm-up. It has no end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InverseSquareRoot {}

impl InverseSquareRoot {
    pub(crate) fn lr(&self, span: &Span, step: u64) -> f64 {
        if step < span.warmup {
            return span.peak;
        }
        span.peak * (span.warmup.max(1) as f64 / (step as f64 + 1.0)).sqrt()
    }
}
