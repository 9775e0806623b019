//! Every switch of the model, and every combination of them, against loops in f64.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

mod common;

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{DType, Device, Gradients, Tensor},
};
use common::{
    Parameters, configs, distance, logits, loops::Loops, model, numbers, parameters, randomised, rounding,
    tensor,
};
use kernels::{Activation, Kernels, Operations};
use model::{DropoutRates, Gpt2, Mode, ModelConfig, ModelError, Norm, Preset};
use proptest::prelude::*;

const VOCABULARY: usize = 7;

/// Some sequences of one length, that the context has room for.
fn sequences(context: usize) -> impl Strategy<Value = Vec<Vec<u32>>> {
    (1..=context).prop_flat_map(|length| {
        let sequence = prop::collection::vec(0..VOCABULARY as u32, length);
        prop::collection::vec(sequence, 1..4)
    })
}

fn cases() -> impl Strategy<Value = (ModelConfig, Vec<Vec<u32>>, u64)> {
    configs().prop_flat_map(|config| {
        let sequences = sequences(config.context);
        (Just(config), sequences, any::<u64>())
    })
}

const MODES: [(Mode, Option<u64>); 2] = [
    (Mode::Evaluation, None),
    (Mode::Training { dropout_key: 5 }, Some(5)),
];

/// Whether the activation has a derivative everywhere.
fn smooth(config: &ModelConfig) -> bool {
    !matches!(config.activation, Activation::Relu | Activation::SquaredRelu)
}

/// A fixed direction in the space of logits, so that a scalar depends on all of them.
fn direction(length: usize) -> Vec<f64> {
    (0..length).map(|index| (index as f64).sin()).collect()
}

struct CollectGradients<'a> {
    gradients: &'a Gradients,
    path: Vec<String>,
    all: Parameters,
}

impl ModuleVisitor for CollectGradients<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad(self.gradients).expect("a gradient");
        self.all.insert(self.path.join("."), numbers(gradient));
    }
}

/// The gradients of the logits' product with the direction.
fn gradients(model: &Gpt2, sequences: &[Vec<u32>], mode: Mode) -> Parameters {
    let device = model.token_embedding.device();
    let logits = model.logits(tensor(sequences, &device), mode);
    let dtype = logits.dtype();
    let direction = direction(logits.shape().num_elements());
    let direction = burn::tensor::TensorData::new(direction, logits.dims());
    let direction = Tensor::from_data(direction, (&device, dtype));
    let mut collect = CollectGradients {
        gradients: &(logits * direction).sum().backward(),
        path: Vec::new(),
        all: Parameters::new(),
    };
    model.visit(&mut collect);
    collect.all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_combination_has_the_parameters_that_its_configuration_counts(
        config in configs(), vocabulary in 1..20usize,
    ) {
        let model = Gpt2::new(&config, vocabulary, 0, &Device::flex()).unwrap();
        prop_assert_eq!(model.num_params(), config.parameters(vocabulary));
    }

    #[test]
    fn every_combination_computes_what_loops_compute((config, sequences, seed) in cases()) {
        let model = model(&config, VOCABULARY, seed, &Device::flex());
        let parameters = parameters(&model);
        for (mode, dropout_key) in MODES {
            let expected = Loops { config: &config, parameters: &parameters, dropout_key }.run(&sequences).logits;
            let bound = rounding(&config, f64::EPSILON, &expected);
            let error = distance(&logits(&model, &sequences, mode), &expected);
            prop_assert!(error <= bound, "off by {error:e}, bound {bound:e}");
        }
    }

    #[test]
    fn every_combination_is_the_same_fused_and_composed((config, sequences, seed) in cases()) {
        let device = Device::flex().autodiff();
        let fused = randomised(Gpt2::new(&config, VOCABULARY, 0, &device).unwrap(), seed, DType::F32);
        let reference = fused.clone().with_operations(Operations::REFERENCE);
        let weights = parameters(&fused);
        for (mode, dropout_key) in MODES {
            let exact = Loops { config: &config, parameters: &weights, dropout_key }.run(&sequences);
            let bound = rounding(&config, f64::from(f32::EPSILON), &exact.logits);
            for model in [&fused, &reference] {
                let error = distance(&logits(model, &sequences, mode), &exact.logits);
                prop_assert!(error <= bound, "off by {error:e}, bound {bound:e}");
            }
            // Where rounding moves a number over a rectifier's edge, its derivative jumps.
            prop_assume!(smooth(&config) || exact.nearest_to_zero > bound);
            let composed = gradients(&reference, &sequences, mode);
            for (path, fused) in gradients(&fused, &sequences, mode) {
                // A gradient sums over all tokens, each of them as wrong as its logits.
                let tokens = (sequences.len() * sequences[0].len()) as f64;
                let bound = tokens * VOCABULARY as f64 * rounding(&config, f64::from(f32::EPSILON), &fused);
                let error = distance(&fused, &composed[&path]);
                prop_assert!(error <= bound, "{path}: {error:e} apart, bound {bound:e}");
            }
        }
    }

    #[test]
    fn the_gradient_of_every_parameter_is_the_slope_of_the_loops((config, sequences, seed) in cases()) {
        let model = model(&config, VOCABULARY, seed, &Device::flex().autodiff());
        let weights = parameters(&model);
        for (mode, dropout_key) in MODES {
            let run = |parameters: &Parameters| Loops { config: &config, parameters, dropout_key }.run(&sequences);
            prop_assume!(smooth(&config) || run(&weights).nearest_to_zero > 1e-4);
            for (path, gradient) in gradients(&model, &sequences, mode) {
                // Along the gradient itself the slope is its norm.
                let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
                if norm == 0.0 {
                    continue;
                }
                let scalar = |shift: f64| {
                    let mut moved = weights.clone();
                    for (x, g) in moved.get_mut(&path).unwrap().iter_mut().zip(&gradient) {
                        *x += shift * g / norm;
                    }
                    let logits = run(&moved).logits;
                    logits.iter().zip(direction(logits.len())).map(|(a, b)| a * b).sum::<f64>()
                };
                let slope = |h: f64| {
                    (8.0 * (scalar(h) - scalar(-h)) - (scalar(2.0 * h) - scalar(-2.0 * h))) / (12.0 * h)
                };
                let (coarse, fine) = (slope(1e-5), slope(5e-6));
                // f64's rounding over h, and the fifth derivative times h^4, by how much the halved h changed it: near a
                // normalised row without spread, and over the edge of a rectifier, no constant bounds that.
                let bound = 1e-6 * norm.max(1.0) + (coarse - fine).abs();
                prop_assert!((fine - norm).abs() <= bound, "{path}: {fine} and {norm}, bound {bound:e}");
            }
        }
    }

    #[test]
    fn a_model_is_read_back_as_it_is_written_in_one_spelling(config in configs()) {
        // Each place's own key, whatever `dropout` says.
        let DropoutRates { embedding, attention, residual } = config.dropout;
        let written = serde_json::to_value(&config).unwrap();
        let mut spelled = written.clone();
        spelled["dropout"] = 0.5.into();
        spelled["embedding_dropout"] = embedding.into();
        spelled["attention_dropout"] = attention.into();
        spelled["residual_dropout"] = residual.into();
        for spelling in [written.clone(), spelled] {
            let read: ModelConfig = serde_json::from_value(spelling).unwrap();
            prop_assert_eq!(&read, &config);
            prop_assert_eq!(serde_json::to_value(&read).unwrap(), written.clone());
        }
    }
}

#[test]
fn a_key_for_a_place_is_written_only_where_it_differs() {
    let keys = |embedding, attention, residual| {
        let config = ModelConfig {
            dropout: DropoutRates {
                embedding,
                attention,
                residual,
            },
            ..Preset::Tiny.config()
        };
        let written = serde_json::to_value(config).unwrap();
        [
            "dropout",
            "embedding_dropout",
            "attention_dropout",
            "residual_dropout",
        ]
        .map(|key| written.get(key).map(|value| value.as_f64().unwrap()))
    };
    assert_eq!(keys(0.1, 0.1, 0.1), [Some(0.1), None, None, None]);
    assert_eq!(keys(0.1, 0.2, 0.1), [Some(0.1), None, Some(0.2), None]);
    assert_eq!(keys(0.1, 0.2, 0.2), [Some(0.2), Some(0.1), None, None]);
    assert_eq!(keys(0.1, 0.2, 0.3), [None, Some(0.1), Some(0.2), Some(0.3)]);
}

#[test]
fn a_dropout_that_is_none_names_its_key() {
    let with = |dropout| ModelConfig {
        dropout,
        ..Preset::Tiny.config()
    };
    let good = DropoutRates::all(0.1);
    for (dropout, key) in [
        (
            DropoutRates {
                embedding: 1.0,
                ..good
            },
            "embedding_dropout",
        ),
        (
            DropoutRates {
                attention: -0.1,
                ..good
            },
            "attention_dropout",
        ),
        (
            DropoutRates {
                residual: f64::NAN,
                ..good
            },
            "residual_dropout",
        ),
    ] {
        let error = with(dropout).validate().unwrap_err();
        assert!(matches!(error, ModelError::Dropout { .. }));
        assert_eq!(error.key(), key);
    }
}

#[test]
fn the_default_is_gpt2() {
    let config = ModelConfig::default();
    assert_eq!(
        (
            config.residual,
            config.norm,
            config.activation,
            config.tied,
            config.bias
        ),
        (true, Norm::Pre, Activation::GeluTanh, true, true)
    );
    assert_eq!(Operations::default().kernels, Kernels::Fused);
}

#[test]
fn switches_leave_the_initial_weights_that_both_models_have() {
    let device = Device::flex();
    let gpt2 = Preset::Tiny.config();
    let initial = |config: &ModelConfig| parameters(&Gpt2::new(config, 65, 3, &device).unwrap());
    let reference = initial(&gpt2);
    let others = [
        ModelConfig {
            norm: Norm::Post,
            ..gpt2.clone()
        },
        ModelConfig {
            norm: Norm::None,
            ..gpt2.clone()
        },
        ModelConfig {
            tied: false,
            ..gpt2.clone()
        },
        ModelConfig {
            bias: false,
            ..gpt2.clone()
        },
        ModelConfig {
            activation: Activation::SquaredRelu,
            ..gpt2.clone()
        },
    ];
    for config in others {
        for (path, values) in initial(&config) {
            match reference.get(&path) {
                Some(expected) => assert_eq!(&values, expected, "{path}"),
                None => assert_eq!(path, "head"),
            }
        }
    }
}

#[test]
fn without_a_residual_stream_no_projection_starts_smaller() {
    let config = ModelConfig {
        residual: false,
        ..Preset::NanogptCpu.config()
    };
    let model = Gpt2::new(&config, 65, 1, &Device::flex()).unwrap();
    for values in [
        numbers(model.blocks[3].attention.output.weight.val()),
        numbers(model.blocks[0].mlp.output.weight.val()),
    ] {
        let n = values.len() as f64;
        let deviation = (values.iter().map(|x| x * x).sum::<f64>() / n).sqrt();
        // The deviation of a sample's deviation is sigma / sqrt(2 n); five of them.
        assert!(
            (deviation - 0.02).abs() < 5.0 * 0.02 / (2.0 * n).sqrt(),
            "{deviation}"
        );
    }
}
