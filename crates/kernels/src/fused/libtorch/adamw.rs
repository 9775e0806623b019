use burn::{backend::LibTorch, tensor::Tensor};
use tch::Kind;

use super::{
    script,
    tensors::{contiguous, writable},
};

/// One update by AdamW (arXiv 1711.05101): its number, and its hyperparameters as PyTorch has them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// The number of the update, counted from 1.
    pub t: u64,
    /// The learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the square root of the second moment.
    pub eps: f64,
    /// The update takes `lr * weight_decay * theta` from the parameter.
    pub weight_decay: f64,
}

/// The parameter and its two moments after an update with the gradient `g`, all f32 on LibTorch: one pass over memory, in
/// place wherever the tensors share theirs with no other.
///
/// # Panics
/// Where one of the tensors is not on LibTorch.
pub fn adamw(
    step: AdamWStep,
    theta: Tensor<1>,
    g: Tensor<1>,
    moments: [Tensor<1>; 2],
) -> (Tensor<1>, [Tensor<1>; 2]) {
    let primitive = |tensor: Tensor<1>| {
        let tensor = tensor.try_into_primitive::<LibTorch>();
        contiguous(tensor.expect("tensors of one update are on LibTorch"))
    };
    let theta = writable(primitive(theta));
    let moments = moments.map(|moment| writable(primitive(moment)));
    let g = primitive(g);
    let [m, v] = &moments;
    let t = tch::Tensor::full([], step.t as f64, (Kind::Float, theta.tensor.device()));
    let AdamWStep {
        lr,
        beta1,
        beta2,
        weight_decay,
        eps,
        ..
    } = step;
    script::adamw(
        [&theta.tensor, &g.tensor, &m.tensor, &v.tensor, &t],
        [lr, beta1, beta2, weight_decay, eps],
    );
    (
        Tensor::from_primitive::<LibTorch>(theta),
        moments.map(Tensor::from_primitive::<LibTorch>),
    )
}
