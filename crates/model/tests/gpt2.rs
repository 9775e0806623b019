//! The decoder: its size, its initial weights, causality, and its gradients against central differences.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use burn::{
    module::Module,
    tensor::{Device, Int, Tensor},
};
use model::{DropoutRates, Gpt2, Mode, ModelConfig, ModelError, Preset};
use proptest::prelude::*;

fn small(layers: usize, heads: usize, channels: usize, context: usize, bias: bool) -> ModelConfig {
    ModelConfig {
        layers,
        heads,
        width: heads * channels,
        context,
        bias,
        dropout: DropoutRates::all(0.0),
        ..ModelConfig::default()
    }
}

fn logits(model: &Gpt2, tokens: &[i32], mode: Mode) -> Vec<f32> {
    let device = model.token_embedding.device();
    let tokens = Tensor::<1, Int>::from_ints(tokens, &device).unsqueeze();
    model
        .logits(tokens, mode)
        .into_data()
        .try_to_vec::<f32>()
        .unwrap()
}

#[test]
fn the_presets_have_their_published_sizes() {
    // Radford et al. 2019 as counted from the released weights, vocabulary 50,257.
    let published = [
        (Preset::Gpt2_124m, 124_439_808),
        (Preset::Gpt2_350m, 354_823_168),
        (Preset::Gpt2_774m, 774_030_080),
        (Preset::Gpt2_1_5b, 1_557_611_200),
    ];
    for (preset, parameters) in published {
        assert_eq!(preset.config().parameters(50_257), parameters, "{preset:?}");
    }
}

#[test]
fn gpt2_124m_has_124_439_808_parameters() {
    let model = Gpt2::new(&Preset::Gpt2_124m.config(), 50_257, 0, &Device::flex()).unwrap();
    assert_eq!(model.num_params(), 124_439_808);
}

#[test]
fn impossible_shapes_name_their_key() {
    let device = Device::flex();
    let error = |config: ModelConfig| Gpt2::new(&config, 65, 0, &device).unwrap_err();
    let config = Preset::Tiny.config();
    assert_eq!(
        error(ModelConfig {
            heads: 3,
            ..config.clone()
        }),
        ModelError::HeadsDoNotDivideWidth { width: 64, heads: 3 }
    );
    assert_eq!(
        error(ModelConfig {
            layers: 0,
            ..config.clone()
        })
        .key(),
        "layers"
    );
    assert_eq!(
        error(ModelConfig {
            dropout: DropoutRates::all(1.0),
            ..config
        })
        .key(),
        "embedding_dropout"
    );
}

#[test]
fn initial_weights_have_their_deviations_and_depend_on_the_seed_alone() {
    let config = Preset::NanogptCpu.config();
    let new = |seed| Gpt2::new(&config, 65, seed, &Device::flex()).unwrap();
    let values = |tensor: Tensor<2>| tensor.into_data().try_to_vec::<f32>().unwrap();
    let (a, b, c) = (new(1), new(1), new(2));
    assert_eq!(values(a.token_embedding.val()), values(b.token_embedding.val()));
    assert_ne!(values(a.token_embedding.val()), values(c.token_embedding.val()));
    assert_ne!(
        values(a.blocks[0].attention.qkv.weight.val()),
        values(a.blocks[1].attention.qkv.weight.val())
    );
    for (weight, expected) in [
        (&a.blocks[0].attention.qkv.weight, 0.02),
        (&a.blocks[3].attention.output.weight, 0.02 / 8f64.sqrt()),
        (&a.blocks[2].mlp.output.weight, 0.02 / 8f64.sqrt()),
    ] {
        let values = values(weight.val());
        let n = values.len() as f64;
        let deviation = (values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n).sqrt();
        // The deviation of a sample's deviation is sigma / sqrt(2 n); five of them.
        assert!(
            (deviation - expected).abs() < 5.0 * expected / (2.0 * n).sqrt(),
            "{deviation} for {expected}"
        );
    }
}

#[test]
fn dropout_is_off_in_evaluation_and_follows_the_key_in_training() {
    let device = Device::flex();
    let config = ModelConfig {
        dropout: DropoutRates::all(0.2),
        ..small(2, 2, 4, 8, true)
    };
    let model = Gpt2::new(&config, 11, 0, &device).unwrap();
    let without = Gpt2::new(
        &ModelConfig {
            dropout: DropoutRates::all(0.0),
            ..config
        },
        11,
        0,
        &device,
    )
    .unwrap();
    let tokens = [1, 2, 3, 4, 5];
    assert_eq!(
        logits(&model, &tokens, Mode::Evaluation),
        logits(&without, &tokens, Mode::Training { dropout_key: 1 })
    );
    let keyed = |dropout_key| logits(&model, &tokens, Mode::Training { dropout_key });
    assert_eq!(keyed(1), keyed(1));
    assert_ne!(keyed(1), keyed(2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_shape_has_the_parameters_that_its_configuration_counts(
        layers in 1..4usize, heads in 1..4usize, channels in 1..5usize, context in 1..9usize, bias: bool,
        vocabulary in 1..20usize,
    ) {
        let config = small(layers, heads, channels, context, bias);
        let model = Gpt2::new(&config, vocabulary, 0, &Device::flex()).unwrap();
        prop_assert_eq!(model.num_params(), config.parameters(vocabulary));
    }

    #[test]
    fn a_token_sees_nothing_that_comes_after_it(
        tokens in prop::collection::vec(0..9i32, 2..9), other in 0..9i32, bias: bool, seed: u64,
    ) {
        let model = Gpt2::new(&small(2, 2, 4, 8, bias), 9, seed, &Device::flex()).unwrap();
        let mut changed = tokens.clone();
        *changed.last_mut().unwrap() = other;
        let (a, b) = (logits(&model, &tokens, Mode::Evaluation), logits(&model, &changed, Mode::Evaluation));
        let before = (tokens.len() - 1) * 9;
        prop_assert_eq!(&a[..before], &b[..before]);
    }

    #[test]
    fn sequences_of_a_batch_do_not_touch_each_other(
        first in prop::collection::vec(0..9i32, 5), second in prop::collection::vec(0..9i32, 5), seed: u64,
    ) {
        let device = Device::flex();
        let model = Gpt2::new(&small(2, 2, 4, 8, true), 9, seed, &device).unwrap();
        let both: Vec<i32> = first.iter().chain(&second).copied().collect();
        let both = Tensor::<1, Int>::from_ints(both.as_slice(), &device).reshape([2, 5]);
        let both = model.logits(both, Mode::Evaluation).into_data().try_to_vec::<f32>().unwrap();
        let apart = [logits(&model, &first, Mode::Evaluation), logits(&model, &second, Mode::Evaluation)].concat();
        for (a, b) in both.iter().zip(&apart) {
            // Products of another shape may sum in another order: width 8 and 32, logits far below one.
            prop_assert!((a - b).abs() <= 64.0 * f32::EPSILON, "{} and {}", a, b);
        }
    }
}
