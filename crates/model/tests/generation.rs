//! Generation: the cache, the window, and the draws.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

mod common;

use burn::tensor::{DType, Device};
use common::{configs, distance, logits, model, numbers, randomised, rounding};
use model::{Cache, GenerateError, Gpt2, Mode, ModelConfig, Sampling, SamplingError};
use proptest::prelude::*;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

const VOCABULARY: usize = 9;

fn token() -> std::ops::Range<u32> {
    0..VOCABULARY as u32
}

/// A model, a sequence that its context has room for, and where the sequence is cut into parts.
fn cases() -> impl Strategy<Value = (ModelConfig, Vec<u32>, Vec<bool>, u64)> {
    configs().prop_flat_map(|config| {
        let tokens = prop::collection::vec(token(), 1..=config.context);
        let cuts = prop::collection::vec(any::<bool>(), config.context);
        (Just(config), tokens, cuts, any::<u64>())
    })
}

/// The logits of a sequence that is read part by part.
fn in_parts(model: &Gpt2, tokens: &[u32], cuts: &[bool]) -> Vec<f64> {
    let mut cache = Cache::new(model);
    let mut all = Vec::new();
    let mut part = Vec::new();
    for (index, &token) in tokens.iter().enumerate() {
        part.push(token);
        if cuts[index] || index + 1 == tokens.len() {
            all.extend(numbers(model.logits_cached(&part, &mut cache)));
            part.clear();
            assert_eq!(cache.tokens(), index + 1);
        }
    }
    all
}

/// The same generation without a cache: the whole window is read for every token.
fn uncached(
    model: &Gpt2,
    context: usize,
    prompt: &[u32],
    sampling: Sampling,
    seed: u64,
    tokens: usize,
) -> Vec<u32> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let mut window = prompt[prompt.len().saturating_sub(context)..].to_vec();
    let mut generated = Vec::new();
    for _ in 0..tokens {
        if window.len() == context + 1 {
            window = window[window.len() - context.div_ceil(2)..].to_vec();
        }
        let logits = logits(model, &[window.clone()], Mode::Evaluation);
        let last: Vec<f32> = logits[logits.len() - VOCABULARY..]
            .iter()
            .map(|&x| x as f32)
            .collect();
        let uniform = (generator.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let token = sampling.draw(&last, uniform);
        window.push(token);
        generated.push(token);
    }
    generated
}

fn generated(model: &Gpt2, prompt: &[u32], sampling: Sampling, seed: u64, tokens: usize) -> Vec<u32> {
    let generation = model.generate(prompt, sampling, seed).unwrap();
    generation.take(tokens).collect::<Result<_, _>>().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn logits_are_the_same_with_a_cache((config, tokens, cuts, seed) in cases()) {
        let device = Device::flex();
        let exact = model(&config, VOCABULARY, seed, &device);
        let expected = logits(&exact, std::slice::from_ref(&tokens), Mode::Evaluation);
        let error = distance(&in_parts(&exact, &tokens, &cuts), &expected);
        let bound = rounding(&config, f64::EPSILON, &expected);
        prop_assert!(error <= bound, "in f64 off by {error:e}, bound {bound:e}");

        let model = randomised(Gpt2::new(&config, VOCABULARY, 0, &device).unwrap(), seed, DType::F32);
        let error = distance(&in_parts(&model, &tokens, &cuts), &expected);
        let bound = rounding(&config, f64::from(f32::EPSILON), &expected);
        prop_assert!(error <= bound, "in f32 off by {error:e}, bound {bound:e}");
    }

    #[test]
    fn a_generation_is_what_it_would_be_without_a_cache(
        config in configs(), prompt in prop::collection::vec(token(), 1..12), seed: u64, tokens in 0..20usize,
        temperature in prop_oneof![Just(0.0), Just(1.0)], top_k in prop::option::of(1..5usize),
    ) {
        // In f64: the logits are equal but for 1e-13 of them, and no draw falls in between.
        let model = model(&config, VOCABULARY, seed, &Device::flex());
        let sampling = Sampling { temperature, top_k, ..Sampling::default() };
        prop_assert_eq!(
            generated(&model, &prompt, sampling, seed, tokens),
            uncached(&model, config.context, &prompt, sampling, seed, tokens)
        );
    }
}

fn small() -> Gpt2 {
    let config = ModelConfig {
        layers: 1,
        heads: 2,
        width: 8,
        context: 6,
        ..ModelConfig::default()
    };
    randomised(
        Gpt2::new(&config, VOCABULARY, 0, &Device::flex()).unwrap(),
        1,
        DType::F32,
    )
}

#[test]
fn the_seed_decides() {
    let write = |seed| generated(&small(), &[1, 2], Sampling::default(), seed, 50);
    assert_eq!(write(3), write(3));
    assert_ne!(write(3), write(4));
    let greedy = Sampling {
        temperature: 0.0,
        ..Sampling::default()
    };
    assert_eq!(
        generated(&small(), &[1, 2], greedy, 3, 50),
        generated(&small(), &[1, 2], greedy, 4, 50)
    );
}

#[test]
fn a_model_in_training_generates_without_a_graph_and_the_same() {
    let model = small();
    let prompt = [1, 2, 3];
    assert_eq!(
        generated(
            &burn::module::Module::train(model.clone()),
            &prompt,
            Sampling::default(),
            0,
            20
        ),
        generated(&model, &prompt, Sampling::default(), 0, 20)
    );
}

#[test]
fn what_cannot_be_gone_on_from_is_an_error() {
    let model = small();
    let error = |prompt: &[u32], sampling| model.generate(prompt, sampling, 0).unwrap_err();
    assert_eq!(error(&[], Sampling::default()), GenerateError::EmptyPrompt);
    assert_eq!(
        error(&[1, 9], Sampling::default()),
        GenerateError::UnknownToken {
            token: 9,
            vocabulary: VOCABULARY
        }
    );
    let nothing = Sampling {
        top_k: Some(0),
        ..Sampling::default()
    };
    assert_eq!(error(&[1], nothing), GenerateError::Sampling(SamplingError::TopK));
}

#[test]
fn a_model_that_diverged_says_so_and_ends() {
    let mut model = small();
    model.token_embedding = model.token_embedding.map(|weight| weight * f32::NAN);
    let generation = model.generate(&[1], Sampling::default(), 0).unwrap();
    assert_eq!(generation.collect::<Vec<_>>(), [Err(GenerateError::NotFinite)]);
}
