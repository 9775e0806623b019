//! The probe, against plain loops over the model's numbers.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use burn::{
    module::Param,
    tensor::{Device, Int, Tensor},
};
use model::{Gpt2, Mode, ModelConfig, Place, Preset};

const HEADS: usize = 2;
const WIDTH: usize = 12;

fn model() -> Gpt2 {
    let config = ModelConfig {
        layers: 3,
        heads: HEADS,
        width: WIDTH,
        context: 9,
        ..Preset::Tiny.config()
    };
    Gpt2::new(&config, 30, 3, &Device::flex()).unwrap()
}

fn tokens() -> Tensor<2, Int> {
    Tensor::from_ints(
        [[1, 5, 2, 29, 0, 7, 7], [3, 3, 3, 11, 12, 20, 4]],
        &Device::flex(),
    )
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter().collect()
}

#[test]
fn uniform_attention_has_the_entropy_of_the_tokens_that_are_there() {
    let mut model = model();
    for block in &mut model.blocks {
        let zeros = block.attention.qkv.weight.val().zeros_like();
        block.attention.qkv.weight = Param::from_tensor(zeros);
    }
    let expected = (1..=7).map(|i| f64::from(i).ln()).sum::<f64>() / 7.0;
    for block in model.probe(tokens()) {
        // A logarithm and a product each within an ULP or two, and a sum of 7 of them.
        assert!((block.attention_entropy - expected).abs() <= 16.0 * f64::from(f32::EPSILON));
    }
}

#[test]
fn entropy_and_rms_are_those_of_plain_loops() {
    let mut model = model();
    // Initial weights attend to all alike; larger ones do not.
    for block in &mut model.blocks {
        let larger = block.attention.qkv.weight.val() * 40.0;
        block.attention.qkv.weight = Param::from_tensor(larger);
    }
    let [batch, context] = tokens().dims();
    let mut streams = Vec::new();
    model.hidden_observed(tokens(), Mode::Evaluation, |place, x| {
        streams.push((place, values(x.clone())))
    });
    let stream = |place: Place| &streams.iter().find(|(there, _)| *there == place).unwrap().1;

    for (i, probe) in model.probe(tokens()).iter().enumerate() {
        let behind = stream(Place::Mlp(i));
        let rms = (behind.iter().map(|x| x * x).sum::<f64>() / behind.len() as f64).sqrt();
        assert!((probe.activation_rms / rms - 1.0).abs() <= behind.len() as f64 * f64::from(f32::EPSILON));

        let before = stream(if i == 0 {
            Place::Embedding
        } else {
            Place::Mlp(i - 1)
        });
        let weight = values(model.blocks[i].attention.qkv.weight.val());
        let qkv = |row: usize, column: usize| -> f64 {
            let x = &before[row * WIDTH..(row + 1) * WIDTH];
            let mean = x.iter().sum::<f64>() / WIDTH as f64;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / WIDTH as f64;
            let normed = x.iter().map(|x| (x - mean) / (variance + 1e-5).sqrt());
            normed
                .enumerate()
                .map(|(k, x)| x * weight[k * 3 * WIDTH + column])
                .sum()
        };
        let channels = WIDTH / HEADS;
        let (mut sum, mut least, mut most) = (0.0, f64::INFINITY, 0f64);
        for sequence in 0..batch {
            for head in 0..HEADS {
                for query in 0..context {
                    let score = |key: usize| -> f64 {
                        let product = |c: usize| {
                            let column = head * channels + c;
                            let row = |t: usize| sequence * context + t;
                            qkv(row(query), column) * qkv(row(key), WIDTH + column)
                        };
                        (0..channels).map(product).sum::<f64>() / (channels as f64).sqrt()
                    };
                    let powers: Vec<f64> = (0..=query).map(|key| score(key).exp()).collect();
                    let total: f64 = powers.iter().sum();
                    let entropy: f64 = powers.iter().map(|p| -(p / total) * (p / total).ln()).sum();
                    sum += entropy;
                    if query == context - 1 {
                        (least, most) = (least.min(entropy), most.max(entropy));
                    }
                }
            }
        }
        let expected = sum / (batch * HEADS * context) as f64;
        // The case is one where it matters which weights are meant.
        assert!(most - least > 0.1, "{least} to {most}");
        // Scores of size up to 10 or so in f32, sums of 12 and 7 terms: their error is that of the logarithms.
        assert!(
            (probe.attention_entropy - expected).abs() <= 1000.0 * f64::from(f32::EPSILON),
            "block {i}: {} and {expected}",
            probe.attention_entropy
        );
    }
}

#[test]
fn the_first_number_that_is_not_finite_is_found_where_it_begins() {
    let infinite = |weight: &mut Param<Tensor<2>>| {
        let spoilt = weight.val().full_like(f32::INFINITY);
        *weight = Param::from_tensor(spoilt);
    };
    let first = |spoil: &dyn Fn(&mut Gpt2)| {
        let mut model = model();
        spoil(&mut model);
        model
            .first_non_finite(tokens(), Mode::Evaluation)
            .map(|place| place.to_string())
    };
    assert_eq!(first(&|_| ()), None);
    let name = |text: &str| Some(text.to_owned());
    assert_eq!(first(&|m| infinite(&mut m.position_embedding)), name("embedding"));
    assert_eq!(
        first(&|m| infinite(&mut m.blocks[1].attention.output.weight)),
        name("blocks.1.attention")
    );
    assert_eq!(
        first(&|m| infinite(&mut m.blocks[2].mlp.input.weight)),
        name("blocks.2.mlp")
    );
    assert_eq!(
        first(&|m| {
            let norm = m.final_norm.as_mut().unwrap();
            norm.weight = Param::from_tensor(norm.weight.val().full_like(f32::NAN));
        }),
        name("final_norm")
    );
}

#[test]
fn whoever_observes_changes_nothing() {
    let model = model();
    let mode = Mode::Training { dropout_key: 11 };
    let mut places = Vec::new();
    let mut kept = Vec::new();
    let observed = model.hidden_observed(tokens(), mode, |place, x| {
        places.push(place);
        kept.push(x.clone());
    });
    assert_eq!(values(observed), values(model.hidden(tokens(), mode)));
    let names: Vec<String> = places.iter().map(ToString::to_string).collect();
    assert_eq!(
        (names[..4].join(" "), names[7].as_str()),
        (
            "embedding blocks.0.attention blocks.0.mlp blocks.1.attention".to_owned(),
            "final_norm"
        )
    );
}
