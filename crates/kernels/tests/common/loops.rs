//! The operations as loops in f64, written from their formulas. Every output comes with a bound of the error that f32
//! may make in it: of first order in the unit of rounding, and in its multiples.
//!
//! A sum of n terms is off by at most n units times the sum of the terms' absolute values, in whatever order it is taken;
//! a function is off by its derivative times what its argument is off by. Each bound says its terms.

use kernels::{Activation, AttentionShape, Dropout};

use super::{Case, EPSILON, Kind, Matrix};

/// Queries of a block of `kernels::cpu::attention`, which the order of its mask depends on.
const BLOCK: usize = 16;

/// A value, and the bound of its error in units of f32's rounding.
#[derive(Clone, Copy, Debug)]
pub struct Bounded {
    pub value: f64,
    pub units: f64,
}

/// All outputs, row-major.
pub fn outputs(case: &Case, inputs: &[Matrix]) -> Vec<Bounded> {
    let x = &inputs[0];
    match &case.kind {
        Kind::Linear => product(x, inputs.get(2), inputs[1].columns, |k, o| inputs[1].row(k)[o]),
        Kind::LinearTied => product(x, None, inputs[1].rows, |k, o| inputs[1].row(o)[k]),
        Kind::LayerNorm => layer_norm(x, inputs[1].row(0), inputs.get(2)),
        Kind::BiasGelu => elements(x, |row, column| {
            gelu(x.row(row)[column], bias(inputs.get(1), column))
        }),
        Kind::BiasActivation(activation) => elements(x, |row, column| {
            activated(*activation, x.row(row)[column], bias(inputs.get(1), column))
        }),
        Kind::BiasDropout(dropout) => elements(x, |row, column| {
            let factor = factor(*dropout, row * x.columns + column);
            let (x, bias) = (x.row(row)[column], bias(inputs.get(1), column));
            Bounded {
                value: (x + bias) * factor,
                units: 3.0 * (x.abs() + bias.abs()) * factor,
            }
        }),
        Kind::BiasDropoutAdd(dropout) => elements(x, |row, column| {
            let factor = factor(*dropout, row * x.columns + column);
            let (x, bias) = (x.row(row)[column], bias(inputs.get(2), column));
            let residual = inputs[1].row(row)[column];
            // Two sums, the product and the factor's own rounding.
            Bounded {
                value: residual + (x + bias) * factor,
                units: 4.0 * (residual.abs() + (x.abs() + bias.abs()) * factor),
            }
        }),
        Kind::Embedding {
            tokens,
            context,
            dropout,
        } => {
            let (table, positions) = (&inputs[0], &inputs[1]);
            let rows = tokens.iter().enumerate();
            rows.flat_map(|(row, &token)| {
                (0..table.columns).map(move |column| {
                    let factor = factor(*dropout, row * table.columns + column);
                    let (content, position) =
                        (table.row(token)[column], positions.row(row % context)[column]);
                    Bounded {
                        value: (content + position) * factor,
                        units: 3.0 * (content.abs() + position.abs()) * factor,
                    }
                })
            })
            .collect()
        }
        Kind::Attention { shape, dropout } => attention(x, *shape, *dropout),
        Kind::CachedAttention { new, heads } => {
            let shape = AttentionShape {
                batch: 1,
                context: x.rows,
                heads: *heads,
            };
            attention(x, shape, Dropout::NONE).split_off((x.rows - new) * x.columns / 3)
        }
        Kind::CrossEntropy { targets } => (0..x.rows)
            .map(|row| cross_entropy(x.row(row), targets[row]))
            .collect(),
    }
}

fn factor(dropout: Dropout, index: usize) -> f64 {
    f64::from(dropout.factor(index as u64))
}

fn bias(bias: Option<&Matrix>, column: usize) -> f64 {
    bias.map_or(0.0, |bias| bias.elements[column])
}

fn elements(x: &Matrix, one: impl Fn(usize, usize) -> Bounded) -> Vec<Bounded> {
    (0..x.elements.len())
        .map(|index| one(index / x.columns, index % x.columns))
        .collect()
}

fn product(
    x: &Matrix,
    offset: Option<&Matrix>,
    columns: usize,
    weight: impl Fn(usize, usize) -> f64,
) -> Vec<Bounded> {
    (0..x.rows * columns)
        .map(|index| {
            let (row, column) = (index / columns, index % columns);
            let terms = (0..x.columns).map(|k| x.row(row)[k] * weight(k, column));
            let (value, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
            let bias = bias(offset, column);
            Bounded {
                value: value + bias,
                units: (x.columns + 2) as f64 * (size + bias.abs()),
            }
        })
        .collect()
}

/// The mean is off by `width` units of the mean of |x|, call it m; the variance by `width + 4` units of itself and by m^2.
fn layer_norm(x: &Matrix, weight: &[f64], offset: Option<&Matrix>) -> Vec<Bounded> {
    let width = x.columns as f64;
    let unit = f64::from(f32::EPSILON);
    elements(x, |row, column| {
        let x = x.row(row);
        let mean = x.iter().sum::<f64>() / width;
        let size = x.iter().map(|x| x.abs()).sum::<f64>() / width;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width;
        let inverse = 1.0 / (variance + EPSILON).sqrt();
        let normal = (x[column] - mean) * inverse;
        let (weight, bias) = (weight[column], bias(offset, column));
        let mean_units = width * size + x[column].abs() + size;
        let inverse_units = width + 4.0 + (width * size).powi(2) * unit / (variance + EPSILON);
        Bounded {
            value: normal * weight + bias,
            units: weight.abs() * (inverse * mean_units + normal.abs() * (inverse_units + 4.0))
                + 2.0 * bias.abs(),
        }
    })
}

/// The sum is off by a unit of |x| + |bias|; GELU's slope is below 1.13, and |2u| sigmoid' below 0.23, so that a
/// relative error of 2u by 6 units costs 1.4; tanh, the sums and the products cost 8 of |x|.
fn gelu(x: f64, bias: f64) -> Bounded {
    let size = x.abs() + bias.abs();
    let x = x + bias;
    let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
    Bounded {
        value: x / (1.0 + (-2.0 * u).exp()),
        units: 11.0 * size,
    }
}

/// As for GELU; a squared sum is off by twice its root times what that is off by, and by a unit of itself.
fn activated(activation: Activation, x: f64, bias: f64) -> Bounded {
    let (size, sum) = (x.abs() + bias.abs(), x + bias);
    let (value, units) = match activation {
        Activation::Gelu => (sum * normal_distribution(sum), 11.0 * size),
        Activation::GeluTanh => return gelu(x, bias),
        Activation::Relu => (sum.max(0.0), size),
        Activation::SquaredRelu => (sum.max(0.0).powi(2), 3.0 * size.powi(2)),
        Activation::Silu => (sum / (1.0 + (-sum).exp()), 11.0 * size),
    };
    Bounded { value, units }
}

/// The integral of the normal density up to `x`, as the series `1/2 + density(x) (x + x^3/3 + x^5/(3 5) + ...)`, whose
/// terms are all of one sign.
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

/// Of each `exp(x - maximum)`: a unit of |x - maximum| and 4 of itself; the sum's terms are positive.
fn cross_entropy(row: &[f64], target: usize) -> Bounded {
    let maximum = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let largest = row.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    let sum: f64 = row.iter().map(|x| (x - maximum).exp()).sum();
    Bounded {
        value: sum.ln() + maximum - row[target],
        units: row.len() as f64 + 8.0 + 2.0 * sum.ln() + 8.0 * largest,
    }
}

/// A score is off by `channels + 4` units of the sum of its |terms|, the largest of which is s; a weight, by twice that
/// and the softmax's own sum relative to itself.
fn attention(qkv: &Matrix, shape: AttentionShape, dropout: Dropout) -> Vec<Bounded> {
    let width = qkv.columns / 3;
    let channels = width / shape.heads;
    let scale = 1.0 / (channels as f64).sqrt();
    let (context, blocks) = (shape.context, shape.context.div_ceil(BLOCK));
    let mut out = vec![
        Bounded {
            value: 0.0,
            units: 0.0
        };
        qkv.rows * width
    ];
    for (sequence, head, query) in (0..shape.batch)
        .flat_map(|b| (0..shape.heads).flat_map(move |h| (0..context).map(move |q| (b, h, q))))
    {
        let of = |token: usize, part: usize| {
            &qkv.row(sequence * context + token)[part * width + head * channels..][..channels]
        };
        let terms = |key: usize| of(query, 0).iter().zip(of(key, 1)).map(|(q, k)| q * k * scale);
        let scores: Vec<f64> = (0..=query).map(|key| terms(key).sum()).collect();
        let size = (0..=query)
            .map(|key| terms(key).map(f64::abs).sum())
            .fold(0.0, f64::max);
        let maximum = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = scores.iter().map(|score| (score - maximum).exp()).sum();
        let units = 2.0 * (channels as f64 + 4.0) * size + 4.0 * size + 2.0 * query as f64 + 16.0;
        for channel in 0..channels {
            let out = &mut out[(sequence * context + query) * width + head * channels + channel];
            for (key, score) in scores.iter().enumerate() {
                let row = ((sequence * shape.heads + head) * blocks + query / BLOCK) * context + key;
                let weight = (score - maximum).exp() / sum * factor(dropout, row * BLOCK + query % BLOCK);
                out.value += weight * of(key, 2)[channel];
                out.units += units * weight * of(key, 2)[channel].abs();
            }
        }
    }
    out
}
