use std::fmt::Debug;

use burn::optim::Optimizer;
use proptest::prelude::*;

use super::case::{Verdict, cases, check, equal, ordinary_number};

/// Weight decay takes `lr weight_decay theta` from the first step, whatever the gradient.
///
/// Holds for decoupled decay (AdamW, Lion, Signum, AdEMAMix, Muon, MARS, Adafactor, ...), and for gradient descent, where
/// L2 is the same; not for Adam's L2. The strategy gives an optimizer without decay, the same with it, and the decay.
///
/// # Errors
/// The smallest case in which it does not hold.
pub fn decay_ignores_the_gradient<O: Optimizer + Debug>(
    optimizers: impl Strategy<Value = (O, O, f64)>,
) -> Verdict {
    let cases = cases(ordinary_number()).prop_map(|mut case| {
        case.gradients.truncate(1);
        case
    });
    let law = "decay_ignores_the_gradient";
    check(law, optimizers, cases, |(without, with, weight_decay), case| {
        let lr = case.lrs[0];
        let plain = case.run(without);
        let expected: Vec<f64> = plain[0]
            .iter()
            .zip(&case.theta)
            .map(|(moved, theta)| moved - lr * weight_decay * theta)
            .collect();
        // Either sum is rounded a few times, at most at the size of the parameter or of the step.
        let tolerance = 16.0 * f64::EPSILON * (case.largest(&plain) + 1.0);
        equal(&[expected], &case.run(with), tolerance)
    })
}

/// Without gradients, decay alone leaves `theta_0` times the product of `1 - lr weight_decay` over the steps.
///
/// Holds for decoupled decay and for gradient descent's L2. The strategy gives the optimizer and its decay.
///
/// # Errors
/// The smallest case in which it does not hold.
pub fn decay_shrinks_geometrically<O: Optimizer + Debug>(
    optimizers: impl Strategy<Value = (O, f64)>,
) -> Verdict {
    let cases = cases(Just(0.0).boxed());
    check(
        "decay_shrinks_geometrically",
        optimizers,
        cases,
        |(optimizer, weight_decay), case| {
            let mut theta = case.theta.clone();
            let expected: Vec<Vec<f64>> = case
                .lrs
                .iter()
                .map(|lr| {
                    theta.iter_mut().for_each(|x| *x *= 1.0 - lr * weight_decay);
                    theta.clone()
                })
                .collect();
            let tolerance = 4.0 * case.lrs.len() as f64 * f64::EPSILON * case.largest(&expected);
            equal(&expected, &case.run(optimizer), tolerance)
        },
    )
}
