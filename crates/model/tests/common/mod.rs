//! Models with weights of a size at which every part shows, and the decoder as loops in f64.
#![allow(dead_code, reason = "each test uses its part")]

pub mod loops;

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{DType, Device, Int, Tensor, TensorData},
};
use kernels::Activation;
use model::{DropoutRates, Gpt2, Mode, ModelConfig, Norm};
use proptest::{prelude::*, sample::select};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// Parameters by their paths, such as `blocks.0.attention.qkv.weight`.
pub type Parameters = BTreeMap<String, Vec<f64>>;

/// A model of every combination of switches.
pub fn configs() -> impl Strategy<Value = ModelConfig> {
    let shape = (1..3usize, 1..3usize, 2..5usize, 1..9usize);
    let switches = (
        any::<bool>(),
        any::<bool>(),
        select(Norm::ALL.to_vec()),
        select(Activation::ALL.to_vec()),
        any::<bool>(),
    );
    let rate = || select(vec![0.0, 0.1, 0.4]);
    (shape, switches, (rate(), rate(), rate())).prop_map(
        |(
            (layers, heads, channels, context),
            (bias, residual, norm, activation, tied),
            (embedding, attention, residual_dropout),
        )| ModelConfig {
            layers,
            heads,
            // At least four: with two channels, normalised rows are plus and minus one whatever is in them.
            width: 2 * heads * channels,
            context,
            bias,
            residual,
            norm,
            activation,
            tied,
            dropout: DropoutRates {
                embedding,
                attention,
                residual: residual_dropout,
            },
        },
    )
}

/// Weights with which signals keep their size; as initialised, they are too small for a mistake to show.
pub fn randomised(model: Gpt2, seed: u64, dtype: DType) -> Gpt2 {
    model.map(&mut Randomise {
        generator: ChaCha8Rng::seed_from_u64(seed),
        dtype,
        path: Vec::new(),
    })
}

/// A model of these weights, in f64.
pub fn model(config: &ModelConfig, vocabulary: usize, seed: u64, device: &Device) -> Gpt2 {
    let model = Gpt2::new(config, vocabulary, 0, device).expect("a model");
    randomised(model, seed, DType::F64)
}

struct Randomise {
    generator: ChaCha8Rng,
    dtype: DType,
    path: Vec<String>,
}

impl ModuleMapper for Randomise {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.shape().to_vec();
        let is_scale = self.path.join(".").ends_with("norm.weight");
        let (centre, spread) = match (D, is_scale) {
            (1, true) => (1.0, 0.3),
            (1, false) => (0.0, 0.3),
            // The rows of a matrix that maps are its inputs, of which a sum has as many terms.
            _ if self.path.len() == 1 => (0.0, 1.0),
            _ => (0.0, (3.0 / shape[0] as f64).sqrt()),
        };
        let mut draw = || {
            let uniform = (self.generator.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
            // f32 values, so that models of both types have the same.
            f64::from((centre + spread * (2.0 * uniform - 1.0)) as f32)
        };
        let values: Vec<f64> = (0..shape.iter().product()).map(|_| draw()).collect();
        let data = TensorData::new(values, shape);
        let dtype = self.dtype;
        param.map(|tensor| {
            let moved = Tensor::from_data(data, (&tensor.device(), dtype));
            if tensor.is_autodiff() {
                moved.require_grad()
            } else {
                moved
            }
        })
    }
}

#[derive(Default)]
struct Collect {
    path: Vec<String>,
    parameters: Parameters,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = param.val().into_data().iter::<f64>().collect();
        self.parameters.insert(self.path.join("."), values);
    }
}

pub fn parameters(model: &Gpt2) -> Parameters {
    let mut collect = Collect::default();
    model.visit(&mut collect);
    collect.parameters
}

pub fn tensor(sequences: &[Vec<u32>], device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i32> = sequences.iter().flatten().map(|&token| token as i32).collect();
    let shape = [sequences.len(), sequences[0].len()];
    Tensor::from_data(TensorData::new(ids, shape), device)
}

pub fn logits(model: &Gpt2, sequences: &[Vec<u32>], mode: Mode) -> Vec<f64> {
    let tokens = tensor(sequences, &model.token_embedding.device());
    numbers(model.logits(tokens, mode))
}

pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// The largest difference.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// A bound of what rounding may make of logits.
///
/// A sum of n terms is off by n units of its size; the sums of a block have 12 widths of terms and a context, one behind
/// the other. What a block reads wrong it multiplies by its own slope, which is near one for these weights, and four here.
pub fn rounding(config: &ModelConfig, unit: f64, logits: &[f64]) -> f64 {
    let terms = (config.layers * (12 * config.width + config.context)) as f64;
    let size = logits.iter().fold(1.0, |size: f64, logit| size.max(logit.abs()));
    4f64.powi(config.layers as i32) * terms * unit * size
}
