//! The gradients by every input: of small operations against central differences of the loops in f64, of large ones the
//! fused against the reference.

mod common;

use common::{
    Case, FUSED, Matrix,
    cases::{self, DIVIDED, LARGE, SMALL},
    loops,
};
use kernels::Operations;
use proptest::prelude::*;

/// The derivative of every output by every number of an input: `[numbers, outputs]`, by central differences. They are off
/// by h^2 times the third derivative and by f64's rounding over h: 1e-9 here.
fn jacobian(case: &Case, input: usize) -> Vec<Vec<f64>> {
    const H: f64 = 1e-5;
    let shifted = |number: usize, by: f64| {
        let mut inputs: Vec<Matrix> = case.inputs.clone();
        inputs[input].elements[number] += by;
        loops::outputs(case, &inputs)
    };
    (0..case.inputs[input].elements.len())
        .map(|number| {
            let (above, below) = (shifted(number, H), shifted(number, -H));
            above
                .iter()
                .zip(&below)
                .map(|(a, b)| (a.value - b.value) / (2.0 * H))
                .collect()
        })
        .collect()
}

fn check_small(case: &Case) -> Result<(), TestCaseError> {
    let weights = &case.weights.elements;
    let lengths: usize = case
        .inputs
        .iter()
        .map(|input| input.elements.len())
        .max()
        .unwrap_or(0);
    // Every sum on the way, forward and backward, has at most as many terms as the largest tensor has numbers.
    let units = 16.0 + 4.0 * (lengths + weights.len()) as f64;
    let relative = units * f64::from(f32::EPSILON) + 1e-8;
    let of = [FUSED, Operations::REFERENCE].map(|operations| (operations, case.gradients(operations)));
    for input in 0..case.inputs.len() {
        let jacobian = jacobian(case, input);
        // What is summed: the terms that make up a derivative are taken to be no larger than the largest derivative of
        // the same output, and one.
        let size: f64 = weights
            .iter()
            .enumerate()
            .map(|(output, weight)| {
                weight.abs() * jacobian.iter().map(|by| by[output].abs()).fold(1.0, f64::max)
            })
            .sum();
        for (operations, gradients) in &of {
            prop_assert_eq!(gradients[input].len(), jacobian.len());
            for (number, (&actual, by)) in gradients[input].iter().zip(&jacobian).enumerate() {
                let expected: f64 = by
                    .iter()
                    .zip(weights)
                    .map(|(derivative, weight)| derivative * weight)
                    .sum();
                let error = (f64::from(actual) - expected).abs();
                prop_assert!(
                    error <= relative * size,
                    "{:?}: by number {number} of input {input} it is {actual}, not {expected}: off by {error:e}",
                    operations.kernels
                );
            }
        }
    }
    Ok(())
}

/// Both are off by what f32 rounds: sums of at most `length` terms, none larger than the largest gradient of the input
/// or one.
fn check_large(case: &Case) -> Result<(), TestCaseError> {
    let length = case
        .inputs
        .iter()
        .map(|input| input.rows + input.columns)
        .sum::<usize>()
        + case.weights.rows;
    let fused = case.gradients(FUSED);
    for (input, (fused, reference)) in fused
        .iter()
        .zip(case.gradients(Operations::REFERENCE))
        .enumerate()
    {
        let largest = reference.iter().fold(1.0, |largest: f32, x| largest.max(x.abs()));
        let bound = 8.0 * length as f32 * f32::EPSILON * largest;
        prop_assert_eq!(fused.len(), reference.len());
        for (number, (a, b)) in fused.iter().zip(&reference).enumerate() {
            prop_assert!(
                (a - b).abs() <= bound,
                "by number {number} of input {input}: {a} fused, {b} in reference, bound {bound:e}"
            );
        }
    }
    Ok(())
}

macro_rules! gradients_of {
    ($($operation:ident),*) => {
        mod small {
            use super::*;
            proptest! {
                #![proptest_config(ProptestConfig::with_cases(24))]
                $(
                    #[test]
                    fn $operation(case in cases::$operation(SMALL)) {
                        check_small(&case)?;
                    }
                )*
            }
        }
        mod divided {
            use super::*;
            proptest! {
                #![proptest_config(ProptestConfig { max_shrink_iters: 0, ..ProptestConfig::with_cases(4) })]
                $(
                    #[test]
                    fn $operation(case in cases::$operation(DIVIDED)) {
                        check_large(&case)?;
                    }
                )*
            }
        }
        mod large {
            use super::*;
            proptest! {
                #![proptest_config(ProptestConfig::with_cases(12))]
                $(
                    #[test]
                    fn $operation(case in cases::$operation(LARGE)) {
                        check_large(&case)?;
                    }
                )*
            }
        }
    };
}

gradients_of!(
    linear,
    linear_tied,
    layer_norm,
    bias_gelu,
    bias_activation,
    bias_dropout,
    bias_dropout_add,
    embedding,
    attention,
    cached_attention,
    cross_entropy
);
