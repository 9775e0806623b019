//! What the benchmarks share: the shapes that they train, and a text of any vocabulary.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has nothing to go on with"
)]

use std::{fmt::Write, fs, path::Path};

use burn::tensor::Device;
use data::{Dataset, OpenOptions};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, Zipf};
use training::{DeviceName, Recipe, config::Node};

/// The shapes by which throughput is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ShapeName {
    /// nanoGPT's for a CPU.
    NanogptCpu,
    /// nanoGPT's for one GPU, with a batch for a CPU.
    Small,
    /// GPT-2's smallest, with a context and a batch for a CPU.
    #[value(name = "gpt2-124m")]
    Gpt2_124m,
}

/// A model and its batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Blocks.
    pub layers: usize,
    /// Attention heads of a block.
    pub heads: usize,
    /// Channels of the residual stream.
    pub width: usize,
    /// Tokens of a sequence.
    pub context: usize,
    /// Sequences of a step.
    pub batch: usize,
    /// Token ids.
    pub vocabulary: usize,
}

impl ShapeName {
    /// The shape of that name.
    pub fn shape(self) -> Shape {
        let (layers, heads, width, context, batch, vocabulary) = match self {
            Self::NanogptCpu => (4, 4, 128, 64, 12, 65),
            Self::Small => (6, 6, 384, 256, 4, 65),
            Self::Gpt2_124m => (12, 12, 768, 256, 1, 50_257),
        };
        Shape {
            layers,
            heads,
            width,
            context,
            batch,
            vocabulary,
        }
    }
}

impl Shape {
    /// A recipe of this shape, and its text, written to `directory`.
    ///
    /// The learning rate is constant and small enough that ten steps without a warm-up amplify no rounding.
    pub fn recipe(self, dropout: f64, directory: &Path) -> Recipe {
        let Self {
            layers,
            heads,
            width,
            context,
            batch,
            vocabulary,
        } = self;
        let corpus = directory.join("text.txt");
        fs::write(&corpus, text(vocabulary)).unwrap();
        let recipe = format!(
            "data = {{ corpus = {corpus:?}, tokenizer = 'char' }}\n\
             model = {{ layers = {layers}, heads = {heads}, width = {width}, context = {context}, dropout = {dropout:?} }}\n\
             schedule = {{ name = 'constant', lr = 1e-4, warmup = 0 }}\n\
             training = {{ batch_size = {batch}, accumulate = 1 }}\n"
        );
        let node = Node::parse("the benchmark's recipe", &recipe).unwrap();
        Recipe::from_node(&node).unwrap()
    }
}

/// The text of a recipe in `directory`, with its tokens kept there as well.
pub fn dataset(recipe: &Recipe, directory: &Path) -> Dataset {
    let options = OpenOptions {
        data_directory: None,
        cache_directory: directory.to_owned(),
    };
    Dataset::open(&recipe.data, &options).unwrap()
}

/// The devices of this build and this machine.
pub fn devices() -> Vec<(DeviceName, Device)> {
    [
        DeviceName::Flex,
        DeviceName::Libtorch,
        DeviceName::LibtorchCuda(0),
    ]
    .into_iter()
    .filter_map(|name| Some((name, name.open().ok()?)))
    .collect()
}

/// A text of `vocabulary` different characters, each at least once, and otherwise as frequent as words are (Zipf's law).
fn text(vocabulary: usize) -> String {
    const LENGTH: usize = 400_000;
    /// From here on more than 50,257 code points are characters.
    const FIRST: u32 = 0x100;
    let character = |rank: usize| char::from_u32(FIRST + rank as u32).unwrap();
    let frequencies = Zipf::new(vocabulary as f64, 1.0).unwrap();
    let generator = ChaCha8Rng::seed_from_u64(0);
    let drawn = frequencies
        .sample_iter(generator)
        .map(|rank: f64| rank as usize - 1);
    let mut text = String::new();
    for rank in (0..vocabulary).chain(drawn.take(LENGTH)) {
        text.write_char(character(rank)).unwrap();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_gets_the_vocabulary_that_it_asks_for() {
        let directory = tempfile::tempdir().unwrap();
        for name in [ShapeName::NanogptCpu, ShapeName::Gpt2_124m] {
            let shape = name.shape();
            let recipe = shape.recipe(0.1, directory.path());
            assert_eq!(dataset(&recipe, directory.path()).vocabulary(), shape.vocabulary);
            assert_eq!(recipe.tokens_per_step(), (shape.batch * shape.context) as u64);
        }
    }
}
