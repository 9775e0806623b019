use std::fmt::Debug;

use burn::optim::Optimizer;
use proptest::prelude::*;

use super::case::{Case, Verdict, any_number, cases, check, equal, magnitude};

/// Gradients all multiplied by one number lead along the same path.
///
/// Holds, as eps goes to 0 and without decay, for methods that divide by a moment of the gradient (the Adam family,
/// AdaGrad, RMSprop, LAMB, Muon, SOAP) or take its sign (Lion, Signum). The number is a power of two, which scales
/// without rounding; methods with sums over elements may still round them otherwise, by 2^-52 for each step and element.
///
/// # Errors
/// The smallest case in which it does not hold.
pub fn scale_invariance_in_the_gradient<O: Optimizer + Debug>(
    optimizers: impl Strategy<Value = O>,
) -> Verdict {
    let number = prop_oneof![1 => Just(0.0), 9 => magnitude(-6.0..6.0)].boxed();
    let cases = (cases(number), -30..30i32);
    let law = "scale_invariance_in_the_gradient";
    check(law, optimizers, cases, |optimizer, (case, power)| {
        let factor = 2f64.powi(*power);
        let mut scaled = case.clone();
        for g in scaled.gradients.iter_mut().flatten() {
            *g *= factor;
        }
        let path = case.run(optimizer);
        let roundings = (case.theta.len() * case.gradients.len()) as f64;
        let tolerance = roundings * f64::EPSILON * case.largest(&path);
        equal(&path, &scaled.run(optimizer), tolerance)
    })
}

/// From 0, gradients all multiplied by a power of two lead to the parameter multiplied by it, exactly.
///
/// Holds for gradient descent and momentum, with L2 too.
///
/// # Errors
/// The smallest case in which it does not hold.
pub fn linear_in_the_gradient<O: Optimizer + Debug>(optimizers: impl Strategy<Value = O>) -> Verdict {
    let cases = (cases(magnitude(-6.0..6.0)), -30..30i32);
    check(
        "linear_in_the_gradient",
        optimizers,
        cases,
        |optimizer, (case, power)| {
            let factor = 2f64.powi(*power);
            let mut case = case.clone();
            case.theta.fill(0.0);
            let expected: Vec<Vec<f64>> = case
                .run(optimizer)
                .into_iter()
                .map(|theta| theta.into_iter().map(|x| x * factor).collect())
                .collect();
            equal(&expected, &case.map(|g| g * factor).run(optimizer), 0.0)
        },
    )
}

/// No element moves by more than `lr * bound(optimizer, t)` at the update `t`, counted from 1.
///
/// Holds, without decay, for the methods whose paper bounds the step: Adam (with Cauchy and Schwarz's inequality), and
/// Lion and Signum, whose bound is 1. Allowed beyond it are the roundings of the step, and of the parameter that it is
/// read from.
///
/// # Errors
/// The smallest case in which it does not hold.
pub fn bounded_update<O: Optimizer + Debug>(
    optimizers: impl Strategy<Value = O>,
    bound: impl Fn(&O, u64) -> f64,
) -> Verdict {
    let cases = cases(any_number());
    check("bounded_update", optimizers, cases, |optimizer, case| {
        let path = case.run(optimizer);
        let rounding = 4.0 * f64::EPSILON * case.largest(&path);
        let before = std::iter::once(&case.theta).chain(&path);
        for (t, ((before, after), lr)) in (1..).zip(before.zip(&path).zip(&case.lrs)) {
            let largest = lr * bound(optimizer, t);
            for (i, (b, a)) in before.iter().zip(after).enumerate() {
                // Each of the t averages is rounded a few times.
                if (b - a).abs() > largest * (1.0 + 8.0 * t as f64 * f64::EPSILON) + rounding {
                    return Err(format!(
                        "element {i} moves by {:e} at step {t}, bound {largest:e}",
                        b - a
                    ));
                }
            }
        }
        Ok(())
    })
}

/// The first step is `-lr sign(g)`, exactly up to rounding.
///
/// Holds, as eps goes to 0 and without decay, for methods with exact bias correction (Adam, AdamW, AMSGrad, Adan,
/// Schedule-Free), for AdaGrad, and for sign methods.
///
/// # Errors
/// The smallest case in which it does not hold.
pub fn first_step_is_the_sign<O: Optimizer + Debug>(optimizers: impl Strategy<Value = O>) -> Verdict {
    let cases = cases(any_number()).prop_map(|mut case| {
        case.gradients.truncate(1);
        case
    });
    check("first_step_is_the_sign", optimizers, cases, |optimizer, case| {
        every_step_is_the_sign(case, optimizer, 16.0)
    })
}

/// With a constant gradient every step is `-lr sign(g)`.
///
/// Holds, as eps goes to 0 and without decay, for methods with exact bias correction (Adam, AdamW, AMSGrad, Adan) and for
/// sign methods. The correction `1 - beta^t` is as small as `1 - beta`, so that roundings count up to 1e4 times.
///
/// # Errors
/// The smallest case in which it does not hold.
pub fn bias_correction_is_exact<O: Optimizer + Debug>(optimizers: impl Strategy<Value = O>) -> Verdict {
    let cases = cases(any_number()).prop_map(|mut case| {
        let first = case.gradients[0].clone();
        case.gradients.fill(first);
        case
    });
    check(
        "bias_correction_is_exact",
        optimizers,
        cases,
        |optimizer, case| every_step_is_the_sign(case, optimizer, 1e4),
    )
}

fn every_step_is_the_sign<O: Optimizer>(case: &Case, optimizer: &O, roundings: f64) -> Result<(), String> {
    let mut theta = case.theta.clone();
    let expected: Vec<Vec<f64>> = case
        .gradients
        .iter()
        .zip(&case.lrs)
        .map(|(g, lr)| {
            for (theta, &g) in theta.iter_mut().zip(g) {
                *theta -= if g == 0.0 { 0.0 } else { lr * g.signum() };
            }
            theta.clone()
        })
        .collect();
    let travelled: f64 = case.lrs.iter().sum();
    let size = travelled + case.largest(&expected);
    equal(&expected, &case.run(optimizer), roundings * f64::EPSILON * size)
}
