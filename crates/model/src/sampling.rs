use std::cmp::Ordering;

/// How the next token is drawn from its logits.
///
/// In this order: the logits are divided by the temperature; all but the `top_k` most likely tokens are cut off; of what
/// is left, the nucleus is kept, the smallest set of most likely tokens that has a probability of at least `top_p`
/// (Holtzman et al. 2020, arXiv 1904.09751). Of equally likely tokens, that of the lower id counts as the more likely.
///
/// ```
/// use model::Sampling;
///
/// let logits = [0.5f32, 0.3, 0.2].map(f32::ln);
/// let nucleus = Sampling { top_p: 0.7, ..Sampling::default() }.probabilities(&logits);
/// assert!((nucleus[0] - 0.625).abs() < 1e-6 && nucleus[2] == 0.0);
/// assert_eq!(Sampling { temperature: 0.0, ..Sampling::default() }.probabilities(&logits), [1.0, 0.0, 0.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// What the logits are divided by; at 0 the most likely token is taken.
    pub temperature: f64,
    /// How many of the most likely tokens may be drawn; all, if none is given.
    pub top_k: Option<usize>,
    /// The probability of the nucleus, above 0; at 1 nothing is cut off.
    pub top_p: f64,
}

impl Default for Sampling {
    /// The model's own distribution.
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: None,
            top_p: 1.0,
        }
    }
}

/// Why a [`Sampling`] draws nothing.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum SamplingError {
    /// The temperature.
    #[error("temperature = {0} must be a number of at least 0; 0 takes the most likely token")]
    Temperature(f64),
    /// No token may be drawn.
    #[error("top_k = 0 leaves no token to draw; 1 takes the most likely one")]
    TopK,
    /// The nucleus.
    #[error("top_p = {0} must be above 0 and at most 1; 1 cuts nothing off")]
    TopP(f64),
}

impl Sampling {
    /// Whether something can be drawn.
    ///
    /// # Errors
    /// The first field at fault.
    pub fn validate(&self) -> Result<(), SamplingError> {
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return Err(SamplingError::Temperature(self.temperature));
        }
        if self.top_k == Some(0) {
            return Err(SamplingError::TopK);
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(SamplingError::TopP(self.top_p));
        }
        Ok(())
    }

    /// The probability of every token, by its id, from finite logits.
    pub fn probabilities(&self, logits: &[f32]) -> Vec<f64> {
        let mut order: Vec<usize> = (0..logits.len()).collect();
        // Stable, so that the lower id stays ahead.
        order.sort_by(|&a, &b| logits[b].partial_cmp(&logits[a]).unwrap_or(Ordering::Equal));
        if self.temperature == 0.0 {
            order.truncate(1);
        }
        order.truncate(self.top_k.unwrap_or(usize::MAX));
        let maximum = order.first().map_or(0.0, |&most| f64::from(logits[most]));
        let weight = |&token: &usize| {
            let below = f64::from(logits[token]) - maximum;
            // 0 / 0 is no number, and the most likely token's weight is one at any temperature.
            if below == 0.0 {
                1.0
            } else {
                (below / self.temperature).exp()
            }
        };
        let weights: Vec<f64> = order.iter().map(weight).collect();
        let total: f64 = weights.iter().sum();
        let kept = nucleus(&weights, self.top_p * total);
        let total: f64 = weights[..kept].iter().sum();
        let mut probabilities = vec![0.0; logits.len()];
        for (token, weight) in order.into_iter().zip(&weights[..kept]) {
            probabilities[token] = weight / total;
        }
        probabilities
    }

    /// The token at which the probabilities, summed by rising id, exceed `uniform`, a number of at least 0 and below 1.
    ///
    /// In the order of ids, and not of likelihood, so that tokens whose logits are equal but for rounding do not change
    /// places from one device to another.
    pub fn draw(&self, logits: &[f32], uniform: f64) -> u32 {
        let mut rest = uniform;
        let mut last = 0;
        for (token, probability) in (0..).zip(self.probabilities(logits)) {
            if probability > 0.0 {
                if rest < probability {
                    return token;
                }
                rest -= probability;
                last = token;
            }
        }
        // The probabilities sum to one but for rounding.
        last
    }
}

/// How many of the weights, the largest first, it takes to reach `wanted`.
fn nucleus(weights: &[f64], wanted: f64) -> usize {
    let mut sum = 0.0;
    weights
        .iter()
        .position(|weight| {
            sum += weight;
            sum >= wanted
        })
        .map_or(weights.len(), |last| last + 1)
}
