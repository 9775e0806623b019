//! Tensors from plain numbers and back, and the f32 bounds that the tests share.
#![allow(dead_code, reason = "every test file uses its own part")]

use burn::tensor::{Device, Int, Tensor, TensorData};

/// Half the distance from one to the next f32: the relative error of one rounding.
pub const ROUNDING: f64 = f32::EPSILON as f64 / 2.0;

pub fn matrix(values: &[f64], shape: [usize; 2], device: &Device) -> Tensor<2> {
    let values: Vec<f32> = values.iter().map(|&x| x as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

pub fn vector(values: &[f64], device: &Device) -> Tensor<1> {
    matrix(values, [1, values.len()], device).reshape([values.len()])
}

pub fn integers(values: &[i64], device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// How far f32 may lie from the truth for tokens of `vocabulary` logits of at most `largest` in magnitude.
#[derive(Clone, Copy)]
pub struct Bounds {
    vocabulary: f64,
    largest: f64,
    /// How far the logits themselves are from the truth.
    logit: f64,
}

impl Bounds {
    pub fn new(vocabulary: usize, largest: f64) -> Self {
        Self {
            vocabulary: vocabulary as f64,
            largest,
            logit: 0.0,
        }
    }

    /// The same, for logits that are products of `width` terms whose magnitudes sum to at most `largest`: each of the
    /// `width` products and sums rounds a number of at most that size.
    pub fn of_products(self, width: usize) -> Self {
        Self {
            logit: 2.0 * width as f64 * ROUNDING * self.largest,
            ..self
        }
    }

    /// Of log p, and relative of p. In this order, in roundings: x - max, of at most 2 `largest`, once for the
    /// numerator and once for all of the sum; exp, 2 each; the sum, of `vocabulary` terms, and its logarithm, 2 of at
    /// most ln(vocabulary) < vocabulary; the last difference, of at most 2 `largest` + ln(vocabulary). A logit that is
    /// off by d moves log p by at most 2 d.
    pub fn log_probability(self) -> f64 {
        let roundings = 2.0 * 2.0 * self.largest
            + 4.0
            + (self.vocabulary + 2.0 * self.vocabulary)
            + (2.0 * self.largest + self.vocabulary);
        roundings * ROUNDING + 2.0 * self.logit
    }

    /// Of one token's loss: its log p; the mean of `vocabulary` logits for the smoothing `a`, its difference from the
    /// target's logit and the product with a; and the square and product of the z-loss, whose log-sum-exp, of at most
    /// `largest` + ln(vocabulary), is off by as much as log p and one logit.
    pub fn loss(self, a: f64, z: f64) -> f64 {
        let smoothing = a * ((self.vocabulary + 6.0) * self.largest * ROUNDING + 2.0 * self.logit);
        let log_sum_exp = self.log_sum_exp();
        let z = z * (2.0 * log_sum_exp * self.of_log_sum_exp() + 4.0 * log_sum_exp.powi(2) * ROUNDING);
        // The three terms are added up: each once, of at most their sum's size.
        self.log_probability() + smoothing + z + 3.0 * self.size(a, z) * ROUNDING
    }

    /// Of an entry of one token's gradient, `(1 + 2 z log-sum-exp) p - (1 - a) one_hot - a / vocabulary`: p times its
    /// relative error, the coefficient's own error, and six roundings of terms of at most the coefficient's size.
    pub fn gradient(self, z: f64) -> f64 {
        let coefficient = 1.0 + 2.0 * z * self.log_sum_exp();
        coefficient * (self.log_probability() + 6.0 * ROUNDING) + 2.0 * z * self.of_log_sum_exp()
    }

    /// Of the MSE of one token, and of an entry of its gradient `2 p[v] (e[v] - sum_u e[u] p[u])`, e = p - one_hot: sums
    /// of `vocabulary` terms that together are at most 2, products of at most three factors, each of them off by p's
    /// relative error and a rounding; a factor 4 for the two outer factors and the two terms.
    pub fn mse(self) -> f64 {
        4.0 * 2.0 * (3.0 * (self.log_probability() + ROUNDING) + self.vocabulary * ROUNDING)
    }

    /// The largest possible log-sum-exp.
    fn log_sum_exp(self) -> f64 {
        self.largest + self.vocabulary.ln()
    }

    fn of_log_sum_exp(self) -> f64 {
        self.log_probability() + self.logit + self.log_sum_exp() * ROUNDING
    }

    /// The largest possible loss of one token.
    pub fn size(self, a: f64, z: f64) -> f64 {
        (1.0 + a) * 2.0 * self.largest + self.vocabulary.ln() + z * self.log_sum_exp().powi(2)
    }
}
