//! The operations, fused and reference, against loops in f64.

mod common;

use common::{
    Case, FUSED,
    cases::{self, DIVIDED, LARGE},
    loops,
};
use kernels::Operations;
use proptest::prelude::*;

fn check(case: &Case) -> Result<(), TestCaseError> {
    let expected = loops::outputs(case, &case.inputs);
    for operations in [FUSED, Operations::REFERENCE] {
        let actual = case.values(operations);
        prop_assert_eq!(actual.len(), expected.len());
        for (index, (&actual, expected)) in actual.iter().zip(&expected).enumerate() {
            let error = (f64::from(actual) - expected.value).abs();
            // The smallest normal number, where rounding is no longer relative.
            let bound = expected.units * f64::from(f32::EPSILON) + f64::from(f32::MIN_POSITIVE);
            prop_assert!(
                error <= bound,
                "{:?}: output {index} is {actual}, not {}: off by {error:e}, bound {bound:e}",
                operations.kernels,
                expected.value
            );
        }
    }
    Ok(())
}

macro_rules! values_of {
    ($($operation:ident),*) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(24))]
            $(
                #[test]
                fn $operation(case in cases::$operation(LARGE)) {
                    check(&case)?;
                }
            )*
        }
        mod divided {
            use super::*;
            proptest! {
                #![proptest_config(ProptestConfig { max_shrink_iters: 0, ..ProptestConfig::with_cases(4) })]
                $(
                    #[test]
                    fn $operation(case in cases::$operation(DIVIDED)) {
                        check(&case)?;
                    }
                )*
            }
        }
    };
}

values_of!(
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
