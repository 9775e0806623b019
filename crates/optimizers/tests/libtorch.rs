//! AdamW by LibTorch's own kernel, against the rule.
#![cfg(feature = "tch")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]
#![expect(deprecated, reason = "Burn's LibTorch backend is in its last release")]

use burn::{
    backend::{Backend, LibTorch},
    optim::Optimizer,
    tensor::{Device, Tensor},
};
use optimizers::{AdamW, At, Elementwise, Rule};
use proptest::prelude::*;

/// Every device that the kernel runs on.
fn devices() -> Vec<Device> {
    const CUDA: u16 = 0;
    let gpu = (LibTorch::device_count(CUDA) > 0).then(|| Device::libtorch_cuda(0));
    std::iter::once(Device::libtorch()).chain(gpu).collect()
}

proptest! {
    #[test]
    fn the_kernel_follows_the_rule(
        theta in prop::collection::vec(-2.0f32..2.0, 1..100),
        gradients in prop::collection::vec(prop::collection::vec(-2.0f32..2.0, 100), 1..6),
        weight_decay in 0.0..0.5,
    ) {
        const LR: f64 = 0.01;
        let rule = AdamW { weight_decay, ..AdamW::default() };
        let optimizer = Elementwise::new(rule.clone());
        for device in devices() {
            let initial = Tensor::<1>::from_floats(theta.as_slice(), &device);
            let (mut actual, mut state) = (initial.clone(), None);
            let mut expected: Vec<(f64, [f64; 2])> = theta.iter().map(|&x| (f64::from(x), [0.0; 2])).collect();
            for (t, g) in (1..).zip(&gradients) {
                let g = &g[..theta.len()];
                let gradient = Tensor::from_floats(g, &device);
                (actual, state) = optimizer.step(LR, actual, gradient, state);
                for ((theta, moments), &g) in expected.iter_mut().zip(g) {
                    (*theta, *moments) = rule.update(At::new(t, LR), *theta, f64::from(g), *moments);
                }
            }
            // An update changes a parameter by about lr, known to some 20 roundings, and rounds the parameter thrice.
            let steps = gradients.len() as f64;
            let bound = |theta: f64| f64::from(f32::EPSILON) * steps * (20.0 * LR + 3.0 * theta.abs());
            let actual = actual.into_data().try_to_vec::<f32>().unwrap();
            for (actual, (expected, _)) in actual.into_iter().zip(expected) {
                let error = (f64::from(actual) - expected).abs();
                prop_assert!(error <= bound(expected), "{actual} instead of {expected}: off by {error:e}");
            }
            // What another holds is not written over.
            prop_assert_eq!(initial.into_data().try_to_vec::<f32>().unwrap(), theta.clone());
        }
    }
}
