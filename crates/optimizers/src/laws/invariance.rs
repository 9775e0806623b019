use std::fmt::Debug;

use burn::optim::Optimizer;
use proptest::prelude::*;

use super::case::{Case, Verdict, any_number, cases, check, equal, ordinary_number};

/// Without a gradient and without decay nothing moves: `theta_t = theta_0`, exactly, from an empty state.
///
/// Holds for every optimizer without weight decay. It needs `eps > 0`: 0 / 0 is no number.
///
/// # Errors
/// The smallest case in which it does not hold.
pub fn zero_gradient_is_a_fixed_point<O: Optimizer + Debug>(optimizers: impl Strategy<Value = O>) -> Verdict {
    let zeros = cases(Just(0.0).boxed());
    check(
        "zero_gradient_is_a_fixed_point",
        optimizers,
        zeros,
        |optimizer, case| stays(case, optimizer),
    )
}

/// With a learning rate of 0 nothing moves, exactly, whatever the gradients and the decay.
///
/// Holds for every optimizer.
///
/// # Errors
/// The smallest case in which it does not hold.
pub fn no_learning_rate_no_move<O: Optimizer + Debug>(optimizers: impl Strategy<Value = O>) -> Verdict {
    let cases = cases(any_number()).prop_map(|mut case| {
        case.lrs.fill(0.0);
        case
    });
    check(
        "no_learning_rate_no_move",
        optimizers,
        cases,
        |optimizer, case| stays(case, optimizer),
    )
}

fn stays<O: Optimizer>(case: &Case, optimizer: &O) -> Result<(), String> {
    let still = vec![case.theta.clone(); case.gradients.len()];
    equal(&still, &case.run(optimizer), 0.0)
}

/// From `-theta` with gradients `-g` the path is mirrored, exactly.
///
/// Holds for every optimizer: rounding is symmetric, and the loss has no preferred direction.
///
/// # Errors
/// The smallest case in which it does not hold.
pub fn sign_symmetry<O: Optimizer + Debug>(optimizers: impl Strategy<Value = O>) -> Verdict {
    let cases = cases(any_number());
    check("sign_symmetry", optimizers, cases, |optimizer, case| {
        let mirrored = case.map(|x| -x).run(optimizer);
        let expected: Vec<Vec<f64>> = case
            .run(optimizer)
            .into_iter()
            .map(|theta| theta.into_iter().map(|x| -x).collect())
            .collect();
        equal(&expected, &mirrored, 0.0)
    })
}

/// The elements in another order take the same paths, exactly.
///
/// Holds for element-wise methods, where no element knows of another.
///
/// # Errors
/// The smallest case in which it does not hold.
pub fn permutation_equivariance<O: Optimizer + Debug>(optimizers: impl Strategy<Value = O>) -> Verdict {
    let cases = cases(any_number()).prop_flat_map(|case| {
        let order: Vec<usize> = (0..case.theta.len()).collect();
        (Just(case), Just(order).prop_shuffle())
    });
    check(
        "permutation_equivariance",
        optimizers,
        cases,
        |optimizer, (case, order)| {
            let permuted = |numbers: &Vec<f64>| order.iter().map(|&i| numbers[i]).collect::<Vec<_>>();
            let other = Case {
                theta: permuted(&case.theta),
                gradients: case.gradients.iter().map(permuted).collect(),
                ..case.clone()
            };
            let expected: Vec<_> = case.run(optimizer).iter().map(permuted).collect();
            equal(&expected, &other.run(optimizer), 0.0)
        },
    )
}

/// A tensor cut in two takes the same path as the whole, exactly.
///
/// Holds for element-wise methods.
///
/// # Errors
/// The smallest case in which it does not hold.
pub fn splitting_changes_nothing<O: Optimizer + Debug>(optimizers: impl Strategy<Value = O>) -> Verdict {
    let cases = cases(any_number()).prop_flat_map(|case| {
        let rows = case.shape[0];
        (Just(case), 0..rows)
    });
    check(
        "splitting_changes_nothing",
        optimizers,
        cases,
        |optimizer, (case, row)| {
            let at = row * case.shape[1];
            let part = |rows: usize, cut: &dyn Fn(&Vec<f64>) -> Vec<f64>| {
                let part = Case {
                    shape: [rows, case.shape[1]],
                    theta: cut(&case.theta),
                    gradients: case.gradients.iter().map(cut).collect(),
                    lrs: case.lrs.clone(),
                };
                if rows == 0 {
                    vec![Vec::new(); case.gradients.len()]
                } else {
                    part.run(optimizer)
                }
            };
            let upper = part(*row, &|numbers| numbers[..at].to_vec());
            let lower = part(case.shape[0] - row, &|numbers| numbers[at..].to_vec());
            let joined: Vec<_> = upper
                .into_iter()
                .zip(lower)
                .map(|(u, l)| [u, l].concat())
                .collect();
            equal(&case.run(optimizer), &joined, 0.0)
        },
    )
}

/// Rotated parameters and gradients, `U theta V^T` and `U g V^T`, take the rotated path.
///
/// Holds for methods that know no basis: gradient descent, momentum, and Muon, whose iteration multiplies what was
/// rounded before it by up to 3.4445^5 = 485. Allowed are 2^-52 times that, times the size of the sums, for each step.
///
/// # Errors
/// The smallest case in which it does not hold.
pub fn orthogonal_equivariance<O: Optimizer + Debug>(optimizers: impl Strategy<Value = O>) -> Verdict {
    let cases = (cases(ordinary_number()), prop::array::uniform8(0.0..6.3f64));
    check(
        "orthogonal_equivariance",
        optimizers,
        cases,
        |optimizer, (case, angles)| {
            let turned = |numbers: &Vec<f64>| rotated(numbers, case.shape, angles);
            let other = Case {
                theta: turned(&case.theta),
                gradients: case.gradients.iter().map(turned).collect(),
                ..case.clone()
            };
            let path = case.run(optimizer);
            let expected: Vec<_> = path.iter().map(turned).collect();
            let gradients = case
                .gradients
                .iter()
                .flatten()
                .fold(1.0, |a: f64, g| a.max(g.abs()));
            let steps = case.gradients.len() as f64;
            let tolerance = 485.0 * 25.0 * steps * f64::EPSILON * case.largest(&path).max(gradients);
            equal(&expected, &other.run(optimizer), tolerance)
        },
    )
}

/// `U x V^T`, U and V products of rotations of neighbouring rows and columns.
fn rotated(numbers: &[f64], [rows, columns]: [usize; 2], angles: &[f64; 8]) -> Vec<f64> {
    let mut x = numbers.to_vec();
    let mut turn = |a: usize, b: usize, angle: f64| {
        let (sin, cos) = angle.sin_cos();
        (x[a], x[b]) = (cos * x[a] - sin * x[b], sin * x[a] + cos * x[b]);
    };
    for (row, &angle) in (1..rows).zip(angles) {
        for column in 0..columns {
            turn((row - 1) * columns + column, row * columns + column, angle);
        }
    }
    for (column, &angle) in (1..columns).zip(&angles[4..]) {
        for row in 0..rows {
            turn(row * columns + column - 1, row * columns + column, angle);
        }
    }
    x
}
