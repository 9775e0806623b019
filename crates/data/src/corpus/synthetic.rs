use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// What the source writes.
const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz .,;!\n";
const SYMBOLS: usize = ALPHABET.len();
const CHARACTERS: usize = 1 << 20;
const SEED: u64 = 0x5eed;

/// A Markov source of order one over 32 characters, whose entropy rate is known.
pub(super) struct Source {
    /// `transitions[i][j]`, the probability that character j follows character i.
    transitions: Vec<Vec<f64>>,
}

impl Source {
    /// The one source that `synthetic` names: always the same.
    pub(super) fn standard() -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(SEED);
        let transitions = (0..SYMBOLS)
            .map(|_| {
                // The fourth power makes some successors likely and most of them rare, as in text.
                let weights: Vec<f64> = (0..SYMBOLS).map(|_| uniform(&mut generator).powi(4)).collect();
                let sum: f64 = weights.iter().sum();
                weights.iter().map(|weight| weight / sum).collect()
            })
            .collect();
        Self { transitions }
    }

    /// 1,048,576 characters.
    pub(super) fn text(&self) -> String {
        let mut generator = ChaCha8Rng::seed_from_u64(SEED);
        generator.set_stream(1);
        let mut symbol = 0;
        (0..CHARACTERS)
            .map(|_| {
                let mut rest = uniform(&mut generator);
                let following = &self.transitions[symbol];
                symbol = following
                    .iter()
                    .position(|probability| {
                        rest -= probability;
                        rest < 0.0
                    })
                    .unwrap_or(SYMBOLS - 1);
                char::from(ALPHABET[symbol])
            })
            .collect()
    }

    /// `-sum_i pi_i sum_j P_ij ln P_ij` in nats per character, with pi the stationary distribution.
    pub(super) fn entropy_rate(&self) -> f64 {
        let entropy = |row: &Vec<f64>| -row.iter().filter(|p| **p > 0.0).map(|p| p * p.ln()).sum::<f64>();
        self.stationary()
            .iter()
            .zip(&self.transitions)
            .map(|(pi, row)| pi * entropy(row))
            .sum()
    }

    /// By power iteration; a chain with no zero transitions mixes in a few dozen steps.
    fn stationary(&self) -> Vec<f64> {
        let mut pi = vec![1.0 / SYMBOLS as f64; SYMBOLS];
        for _ in 0..1000 {
            pi = (0..SYMBOLS)
                .map(|j| {
                    pi.iter()
                        .zip(&self.transitions)
                        .map(|(pi, row)| pi * row[j])
                        .sum()
                })
                .collect();
        }
        pi
    }
}

/// Uniform in [0, 1), from the upper 53 bits.
fn uniform(generator: &mut ChaCha8Rng) -> f64 {
    (generator.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_the_entropy_of_its_source() {
        let source = Source::standard();
        let text = source.text().into_bytes();
        let index = |byte: u8| ALPHABET.iter().position(|b| *b == byte).unwrap();
        let surprises: Vec<f64> = text
            .windows(2)
            .map(|pair| -source.transitions[index(pair[0])][index(pair[1])].ln())
            .collect();
        let n = surprises.len() as f64;
        let mean = surprises.iter().sum::<f64>() / n;
        let deviation = (surprises.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n).sqrt();
        // Five standard errors; successive surprises are nearly independent.
        let error = (mean - source.entropy_rate()).abs();
        assert!(
            error < 5.0 * deviation / n.sqrt(),
            "{mean} and {}: {error}",
            source.entropy_rate()
        );
    }

    #[test]
    fn the_stationary_distribution_is_stationary() {
        let source = Source::standard();
        let pi = source.stationary();
        assert!((pi.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        for j in 0..SYMBOLS {
            let next: f64 = pi
                .iter()
                .zip(&source.transitions)
                .map(|(pi, row)| pi * row[j])
                .sum();
            assert!((next - pi[j]).abs() < 1e-14);
        }
    }
}
