//! Numbers at the ends of what is met: enormous, vanishing, equal.

mod common;

use common::{Case, FUSED, Kind, Layout, Matrix, loops};
use kernels::{AttentionShape, Dropout, Operations};

const BOTH: [Operations; 2] = [FUSED, Operations::REFERENCE];

fn matrix(rows: &[&[f32]]) -> Matrix {
    Matrix {
        rows: rows.len(),
        columns: rows[0].len(),
        elements: rows
            .iter()
            .flat_map(|row| row.iter().map(|&x| f64::from(x)))
            .collect(),
    }
}

fn case(kind: Kind, inputs: Vec<Matrix>, output: [usize; 2]) -> Case {
    let [rows, columns] = output;
    let weights = Matrix {
        rows,
        columns,
        elements: vec![1.0; rows * columns],
    };
    Case {
        kind,
        inputs,
        weights,
        layout: Layout::Contiguous,
    }
}

fn check_values(case: &Case) {
    for operations in BOTH {
        for (actual, expected) in case
            .values(operations)
            .iter()
            .zip(loops::outputs(case, &case.inputs))
        {
            let bound = expected.units * f64::from(f32::EPSILON) + f64::from(f32::MIN_POSITIVE);
            let error = (f64::from(*actual) - expected.value).abs();
            assert!(
                error <= bound,
                "{:?}: {actual}, not {}",
                operations.kernels,
                expected.value
            );
        }
    }
}

#[test]
fn logits_of_ten_thousand() {
    let logits = matrix(&[
        &[1e4, -1e4, 0.0],
        &[1e4, -1e4, 0.0],
        &[-1e4, -1e4, -1e4],
        &[1e4, 9999.0, 9998.0],
        &[1e-30, -1e-38, 0.0],
    ]);
    let case = case(
        Kind::CrossEntropy {
            targets: vec![0, 1, 2, 1, 0],
        },
        vec![logits],
        [5, 1],
    );
    check_values(&case);
    for operations in BOTH {
        let gradient = &case.gradients(operations)[0];
        assert_eq!(
            gradient[..6],
            [0.0, 0.0, 0.0, 1.0, -1.0, 0.0],
            "{:?}",
            operations.kernels
        );
        // softmax of (2, 1, 0), whatever is added to them. Reference subtracts a logarithm from the differences: 4 units.
        for (actual, expected) in gradient[9..12]
            .iter()
            .zip([0.665_240_96, 0.244_728_47 - 1.0, 0.090_030_57])
        {
            assert!(
                (actual - expected).abs() < 4.0 * f32::EPSILON,
                "{actual}, not {expected}"
            );
        }
    }
}

/// Rows of several blocks, whose maximum rises from block to block, falls, or stays.
#[test]
fn logits_of_many_blocks() {
    const WIDTH: usize = 10_007;
    let rising: Vec<f32> = (0..WIDTH).map(|i| i as f32 * 1e-3).collect();
    let falling: Vec<f32> = rising.iter().rev().copied().collect();
    let rows: [&[f32]; 3] = [&rising, &falling, &[0.5; WIDTH]];
    let targets = vec![0, WIDTH - 1, WIDTH / 2];
    check_values(&case(Kind::CrossEntropy { targets }, vec![matrix(&rows)], [3, 1]));
}

#[test]
fn gelu_at_its_ends() {
    let x = matrix(&[&[-1e4, -40.0, -13.0, -1e-30, -0.0, 0.0, 1e-38, 13.0, 40.0, 1e4]]);
    let case = case(Kind::BiasGelu, vec![x], [1, 10]);
    check_values(&case);
    for operations in BOTH {
        let expected = [0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0];
        for (actual, expected) in case.gradients(operations)[0].iter().zip(expected) {
            assert!(
                (actual - expected).abs() < 2.0 * f32::EPSILON,
                "{:?}: {actual}",
                operations.kernels
            );
        }
    }
}

/// A row of equal numbers has no deviation: it becomes the bias, and epsilon keeps the gradient finite.
#[test]
fn layer_norm_of_equal_numbers() {
    let x = matrix(&[&[0.0; 5], &[3.0; 5], &[-0.25; 5]]);
    let (weight, bias) = (matrix(&[&[2.0; 5]]), matrix(&[&[0.5, -1.0, 0.0, 7.0, 1.0]]));
    let case = case(Kind::LayerNorm, vec![x, weight, bias], [3, 5]);
    check_values(&case);
    for operations in BOTH {
        assert!(case.gradients(operations).iter().flatten().all(|x| x.is_finite()));
    }
}

/// The one large score takes all the weight.
#[test]
fn attention_to_one_token() {
    let qkv = matrix(&[&[1e3, 10.0, 1.0], &[1e3, -10.0, 2.0], &[-1e3, 0.0, 4.0]]);
    let shape = AttentionShape {
        batch: 1,
        context: 3,
        heads: 1,
    };
    let case = case(
        Kind::Attention {
            shape,
            dropout: Dropout::NONE,
        },
        vec![qkv],
        [3, 1],
    );
    for operations in BOTH {
        assert_eq!(
            case.values(operations),
            [1.0, 1.0, 2.0],
            "{:?}",
            operations.kernels
        );
        assert!(case.gradients(operations)[0].iter().all(|x| x.is_finite()));
    }
}
