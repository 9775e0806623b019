//! The same bits in every run and with any number of threads, at sizes that are divided among them.

mod common;

use common::{Case, FUSED, cases};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

fn bits(case: &Case) -> Vec<Vec<u32>> {
    let mut all = vec![case.values(FUSED)];
    all.extend(case.gradients(FUSED));
    all.iter()
        .map(|floats| floats.iter().map(|x| x.to_bits()).collect())
        .collect()
}

fn check(operation: impl Strategy<Value = Case>) {
    let case = operation
        .new_tree(&mut TestRunner::deterministic())
        .expect("a case")
        .current();
    let first = bits(&case);
    for threads in [1, 2, 3] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads");
        for run in 0..3 {
            assert!(
                pool.install(|| bits(&case)) == first,
                "run {run} with {threads} threads"
            );
        }
    }
}

macro_rules! determinism_of {
    ($($operation:ident),*) => {
        $(
            #[test]
            fn $operation() {
                check(cases::$operation(cases::DIVIDED));
            }
        )*
    };
}

determinism_of!(
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
