//! The decoder as loops in f64, written from its papers and not from its code.

use kernels::{Activation, Dropout};
use model::{ModelConfig, Norm};

use super::Parameters;

/// Queries of a block of `kernels::cpu::attention`, which the order of its mask depends on.
const BLOCK: usize = 16;

type Rows = Vec<Vec<f64>>;

/// What the loops compute.
pub struct Output {
    /// `[sequence, token, vocabulary]`.
    pub logits: Vec<f64>,
    /// How near a perceptron's input comes to zero, where a rectifier has no derivative.
    pub nearest_to_zero: f64,
}

/// A model, by its configuration and its parameters.
pub struct Loops<'a> {
    pub config: &'a ModelConfig,
    pub parameters: &'a Parameters,
    /// What dropout is drawn with; off, if nothing.
    pub dropout_key: Option<u64>,
}

impl Loops<'_> {
    pub fn run(&self, sequences: &[Vec<u32>]) -> Output {
        let context = sequences[0].len();
        let embedding = self.factors(self.config.dropout.embedding, &[0]);
        let mut x: Rows = Vec::new();
        for sequence in sequences {
            for (position, &token) in sequence.iter().enumerate() {
                let content = self.row("token_embedding", token as usize);
                let place = self.row("position_embedding", position);
                x.push(content.iter().zip(place).map(|(a, b)| a + b).collect());
            }
        }
        drop_out(&mut x, &embedding);

        let mut nearest_to_zero = f64::INFINITY;
        for layer in 0..self.config.layers {
            let block = format!("blocks.{layer}");
            let place = layer as u64 + 1;
            let norm = format!("{block}.attention_norm");
            let read = self.on_the_way_in(&x, &norm);
            let qkv = self.linear(&read, &format!("{block}.attention.qkv"));
            let mixed = self.attention(&qkv, context, place);
            let branch = self.linear(&mixed, &format!("{block}.attention.output"));
            x = self.join(x, branch, &norm, &[place, 1]);

            let norm = format!("{block}.mlp_norm");
            let read = self.on_the_way_in(&x, &norm);
            let mut hidden = self.linear(&read, &format!("{block}.mlp.input"));
            for value in hidden.iter_mut().flatten() {
                nearest_to_zero = nearest_to_zero.min(value.abs());
                *value = activation(self.config.activation, *value);
            }
            let branch = self.linear(&hidden, &format!("{block}.mlp.output"));
            x = self.join(x, branch, &norm, &[place, 2]);
        }
        if self.config.norm == Norm::Pre {
            x = self.layer_norm(&x, "final_norm");
        }
        let head = if self.config.tied {
            "token_embedding"
        } else {
            "head"
        };
        let vocabulary = self.parameters["token_embedding"].len() / self.config.width;
        let logits = x
            .iter()
            .flat_map(|x| (0..vocabulary).map(move |token| dot(x, self.row(head, token))))
            .collect();
        Output {
            logits,
            nearest_to_zero,
        }
    }

    fn on_the_way_in(&self, x: &Rows, norm: &str) -> Rows {
        match self.config.norm {
            Norm::Pre => self.layer_norm(x, norm),
            Norm::Post | Norm::None => x.clone(),
        }
    }

    fn join(&self, x: Rows, mut branch: Rows, norm: &str, places: &[u64]) -> Rows {
        drop_out(&mut branch, &self.factors(self.config.dropout.residual, places));
        if self.config.residual {
            for (branch, x) in branch.iter_mut().flatten().zip(x.iter().flatten()) {
                *branch += x;
            }
        }
        match self.config.norm {
            Norm::Post => self.layer_norm(&branch, norm),
            Norm::Pre | Norm::None => branch,
        }
    }

    fn layer_norm(&self, x: &Rows, name: &str) -> Rows {
        let weight = &self.parameters[&format!("{name}.weight")];
        let bias = self.parameters.get(&format!("{name}.bias"));
        let normal = |x: &Vec<f64>| {
            let width = x.len() as f64;
            let mean = x.iter().sum::<f64>() / width;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width;
            let one = |(channel, x): (usize, &f64)| {
                (x - mean) / (variance + 1e-5).sqrt() * weight[channel]
                    + bias.map_or(0.0, |bias| bias[channel])
            };
            x.iter().enumerate().map(one).collect()
        };
        x.iter().map(normal).collect()
    }

    fn linear(&self, x: &Rows, name: &str) -> Rows {
        let weight = &self.parameters[&format!("{name}.weight")];
        let bias = self.parameters.get(&format!("{name}.bias"));
        let outputs = weight.len() / x[0].len();
        let one = |x: &Vec<f64>, output: usize| {
            let sum: f64 = (0..x.len())
                .map(|input| x[input] * weight[input * outputs + output])
                .sum();
            sum + bias.map_or(0.0, |bias| bias[output])
        };
        x.iter()
            .map(|x| (0..outputs).map(|output| one(x, output)).collect())
            .collect()
    }

    fn attention(&self, qkv: &Rows, context: usize, place: u64) -> Rows {
        let (width, heads) = (self.config.width, self.config.heads);
        let channels = width / heads;
        let factor = self.factors(self.config.dropout.attention, &[place, 0]);
        let blocks = context.div_ceil(BLOCK);
        let mut out = vec![vec![0.0; width]; qkv.len()];
        for (row, out) in out.iter_mut().enumerate() {
            let (sequence, query) = (row / context, row % context);
            for head in 0..heads {
                let part = |token: usize, part: usize| {
                    &qkv[sequence * context + token][part * width + head * channels..][..channels]
                };
                let scores: Vec<f64> = (0..=query)
                    .map(|key| dot(part(query, 0), part(key, 1)) / (channels as f64).sqrt())
                    .collect();
                // Without normalisation a score may be in the thousands, whose exponential is beyond f64.
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
                let sum: f64 = weights.iter().sum();
                for (key, weight) in weights.iter().enumerate() {
                    let index = ((sequence * heads + head) * blocks + query / BLOCK) * context + key;
                    let weight = weight / sum * factor(index * BLOCK + query % BLOCK);
                    for channel in 0..channels {
                        out[head * channels + channel] += weight * part(key, 2)[channel];
                    }
                }
            }
        }
        out
    }

    fn row(&self, name: &str, row: usize) -> &[f64] {
        &self.parameters[name][row * self.config.width..][..self.config.width]
    }

    /// The factor of every element at a place in the model.
    fn factors(&self, probability: f64, places: &[u64]) -> impl Fn(usize) -> f64 + use<> {
        let dropout = self.dropout_key.map(|key| {
            let whole = Dropout { probability, key };
            places.iter().fold(whole, |dropout, &place| dropout.at(place))
        });
        move |index| dropout.map_or(1.0, |dropout| f64::from(dropout.factor(index as u64)))
    }
}

fn drop_out(x: &mut Rows, factor: &impl Fn(usize) -> f64) {
    for (index, x) in x.iter_mut().flatten().enumerate() {
        *x *= factor(index);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn activation(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Gelu => x * normal_distribution(x),
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            x * (1.0 + inner.tanh()) / 2.0
        }
        Activation::Relu => x.max(0.0),
        Activation::SquaredRelu => x.max(0.0) * x.max(0.0),
        Activation::Silu => x / (1.0 + (-x).exp()),
    }
}

/// The integral of the normal density up to `x`, as the series `1/2 + density(x) (x + x^3/3 + x^5/(3 5) + ...)`.
fn normal_distribution(x: f64) -> f64 {
    let density = (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let (mut term, mut sum) = (x, x);
    for odd in (3..).step_by(2).map(f64::from) {
        term *= x * x / odd;
        sum += term;
        if term.abs() <= sum.abs() * f64::EPSILON {
            break;
        }
    }
    0.5 + density * sum
}
