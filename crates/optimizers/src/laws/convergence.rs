use std::fmt::Debug;

use burn::{optim::Optimizer, tensor::FloatDType};
use proptest::prelude::*;

use super::case::{Case, Verdict, check, numbers};

/// A convex quadratic of condition number up to 100, `sum_i lambda_i theta_i^2 / 2` with `lambda` from 0.01 to 1, falls to a
/// hundredth of what it was in `steps` steps, at a learning rate that falls linearly from `lr` to 0.
///
/// Holds for every optimizer, with a learning rate that fits it.
///
/// # Errors
/// The smallest case in which it does not hold.
pub fn converges_on_quadratics<O: Optimizer + Debug>(
    optimizers: impl Strategy<Value = O>,
    lr: f64,
    steps: usize,
) -> Verdict {
    let size =
        |exponents: std::ops::Range<f64>| prop::collection::vec(exponents.prop_map(|e| 10f64.powf(e)), 6);
    let cases = (size(-2.0..0.0), size(-0.3..0.3));
    check(
        "converges_on_quadratics",
        optimizers,
        cases,
        |optimizer, (curvature, start)| {
            let value =
                |theta: &[f64]| -> f64 { theta.iter().zip(curvature).map(|(x, c)| c * x * x / 2.0).sum() };
            let gradient = |theta: &[f64]| theta.iter().zip(curvature).map(|(x, c)| c * x).collect();
            let end = descend(optimizer, start, [2, 3], gradient, lr, steps);
            let (before, after) = (value(start), value(&end));
            if after <= before / 100.0 {
                Ok(())
            } else {
                Err(format!("{before:e} only falls to {after:e}"))
            }
        },
    )
}

/// Rosenbrock's function, `(1 - x)^2 + 100 (y - x^2)^2`, is lower than its value at the start, (-1.2, 1), after `steps`
/// steps.
///
/// Holds for every optimizer, with a learning rate that fits it.
///
/// # Errors
/// The optimizer for which it does not hold.
pub fn improves_rosenbrock<O: Optimizer + Debug>(
    optimizers: impl Strategy<Value = O>,
    lr: f64,
    steps: usize,
) -> Verdict {
    check("improves_rosenbrock", optimizers, Just(()), |optimizer, ()| {
        let value = |p: &[f64]| (1.0 - p[0]).powi(2) + 100.0 * (p[1] - p[0] * p[0]).powi(2);
        let gradient = |p: &[f64]| {
            let valley = 200.0 * (p[1] - p[0] * p[0]);
            vec![-2.0 * (1.0 - p[0]) - 2.0 * p[0] * valley, valley]
        };
        let start = [-1.2, 1.0];
        let end = descend(optimizer, &start, [1, 2], gradient, lr, steps);
        if value(&end) < value(&start) {
            Ok(())
        } else {
            Err(format!("{:e} rises to {:e}", value(&start), value(&end)))
        }
    })
}

/// The parameter after `steps` steps down a function, at a learning rate that falls linearly to 0.
fn descend<O: Optimizer>(
    optimizer: &O,
    start: &[f64],
    shape: [usize; 2],
    gradient: impl Fn(&[f64]) -> Vec<f64>,
    lr: f64,
    steps: usize,
) -> Vec<f64> {
    let case = Case {
        shape,
        theta: start.to_vec(),
        gradients: Vec::new(),
        lrs: Vec::new(),
    };
    let mut theta = case.tensor(start, FloatDType::F64);
    let mut state = None;
    for step in 0..steps {
        let g = case.tensor(&gradient(&numbers(&theta)), FloatDType::F64);
        let lr = lr * (1.0 - step as f64 / steps as f64);
        (theta, state) = optimizer.step(lr, theta, g, state);
    }
    numbers(&theta)
}
