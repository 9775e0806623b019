/// A running average over tokens.
///
/// Batches of unequal size are averaged by their tokens, never by their means, so that the average over parts is the
/// average over the whole, and its [`perplexity`](crate::perplexity) that of the whole: exp(sum of nll / tokens).
///
/// ```
/// use losses::TokenAverage;
///
/// let mut loss = TokenAverage::default();
/// loss.add(9.0, 3);
/// loss.add(1.0, 1);
/// assert_eq!(loss.mean(), 2.5); // and not (3 + 1) / 2
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TokenAverage {
    /// The sum over all tokens so far.
    pub sum: f64,
    /// How many tokens they are.
    pub tokens: usize,
}

impl TokenAverage {
    /// Adds the `sum` over some `tokens`.
    pub fn add(&mut self, sum: f64, tokens: usize) {
        self.sum += sum;
        self.tokens += tokens;
    }

    /// The average over all tokens so far, 0 where there are none.
    pub fn mean(&self) -> f64 {
        self.sum / self.tokens.max(1) as f64
    }
}
