use burn::{module::Module, tensor::Tensor};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::{Cache, Gpt2, Sampling, SamplingError};

/// Why no text is generated.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum GenerateError {
    /// There is nothing to go on from.
    #[error("the prompt is empty; a model goes on from at least one token, a line break for example")]
    EmptyPrompt,
    /// A token of the prompt is not the model's.
    #[error("the prompt has the token {token}, and the model's vocabulary ends before {vocabulary}")]
    UnknownToken {
        /// Its id.
        token: u32,
        /// How many there are.
        vocabulary: usize,
    },
    /// How tokens are to be drawn.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    /// The model has diverged.
    #[error("a logit of the model is not finite: its training diverged; take an earlier checkpoint")]
    NotFinite,
}

/// Tokens that a model draws one after the other, without an end but an error.
///
/// When the context is full, the model reads the last half of it again, as if it were the beginning, and goes on: each
/// token is drawn with at least half the context before it, once so much was written, and a token costs two at the most.
#[derive(Debug)]
pub struct Generation {
    model: Gpt2,
    sampling: Sampling,
    generator: ChaCha8Rng,
    context: usize,
    /// What the model sees: first the tokens of the cache, then those that it has not read yet.
    window: Vec<u32>,
    cache: Cache,
}

impl Gpt2 {
    /// Goes on from a prompt, of which the model sees the last tokens that fit its context. The same seed gives the same
    /// draws on every device; texts part only where devices round a logit differently and a draw falls in between.
    ///
    /// # Errors
    /// Where the prompt is empty or has a token that the model has not, or `sampling` makes no sense.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use model::{Gpt2, Preset, Sampling};
    ///
    /// let model = Gpt2::new(&Preset::Tiny.config(), 65, 0, &Device::flex())?;
    /// let generation = model.generate(&[1, 2, 3], Sampling::default(), 0)?;
    /// let tokens: Vec<u32> = generation.take(5).collect::<Result<_, _>>()?;
    /// assert!(tokens.iter().all(|token| *token < 65));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn generate(
        &self,
        prompt: &[u32],
        sampling: Sampling,
        seed: u64,
    ) -> Result<Generation, GenerateError> {
        sampling.validate()?;
        let [vocabulary, _] = self.token_embedding.dims();
        let [context, _] = self.position_embedding.dims();
        if prompt.is_empty() {
            return Err(GenerateError::EmptyPrompt);
        }
        if let Some(&token) = prompt.iter().find(|token| **token as usize >= vocabulary) {
            return Err(GenerateError::UnknownToken { token, vocabulary });
        }
        // Without a graph, which would keep all activations.
        let model = self.valid();
        Ok(Generation {
            cache: Cache::new(&model),
            model,
            sampling,
            generator: ChaCha8Rng::seed_from_u64(seed),
            context,
            window: prompt[prompt.len().saturating_sub(context)..].to_vec(),
        })
    }
}

impl Generation {
    /// The logits of the token that follows the window.
    fn logits(&mut self) -> Vec<f32> {
        if self.window.len() > self.context {
            let kept = self.context.div_ceil(2);
            self.window.drain(..self.window.len() - kept);
            self.cache.clear();
        }
        let unread = &self.window[self.cache.tokens()..];
        let hidden = self.model.hidden_cached(unread, &mut self.cache);
        let [tokens, width] = hidden.dims();
        let last: Tensor<2> = hidden.slice([tokens - 1..tokens, 0..width]);
        let logits = self.model.operations.linear_tied(last, self.model.head_weight());
        logits.into_data().iter::<f32>().collect()
    }
}

impl Iterator for Generation {
    type Item = Result<u32, GenerateError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.window.len() == self.cache.tokens() {
            return None; // An error was the last item.
        }
        let logits = self.logits();
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Some(Err(GenerateError::NotFinite));
        }
        // Uniform in [0, 1), from the upper 53 bits.
        let uniform = (self.generator.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let token = self.sampling.draw(&logits, uniform);
        self.window.push(token);
        Some(Ok(token))
    }
}
