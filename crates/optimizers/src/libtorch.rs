use burn::tensor::{DType, Tensor};
use kernels::fused::{AdamWStep, adamw};

use crate::{AdamW, At, Rule};

/// The update of one parameter on LibTorch: by its kernel for AdamW, else by the rule's tensor instance.
pub(crate) fn update<A: Rule<K>, const K: usize>(
    rule: &A,
    at: At,
    theta: Tensor<1>,
    g: Tensor<1>,
    state: [Tensor<1>; K],
) -> (Tensor<1>, [Tensor<1>; K]) {
    const TWO_MOMENTS: &str = "AdamW has two moments";
    match rule.as_adamw() {
        Some(rule) if theta.dtype() == DType::F32 => {
            let moments = Vec::from(state).try_into().expect(TWO_MOMENTS);
            let (theta, moments) = adamw(step(&rule, at), theta, g, moments);
            (theta, Vec::from(moments).try_into().expect(TWO_MOMENTS))
        }
        _ => rule.update(at, theta, g, state),
    }
}

fn step(rule: &AdamW, at: At) -> AdamWStep {
    AdamWStep {
        t: at.t,
        lr: at.lr,
        beta1: rule.beta1,
        beta2: rule.beta2,
        eps: rule.eps,
        weight_decay: rule.weight_decay,
    }
}
