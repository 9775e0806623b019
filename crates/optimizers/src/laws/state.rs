use std::{cell::Cell, fmt::Debug};

use burn::{
    optim::{Optimizer, RecordState, StateSink, StateSource},
    tensor::{Device, FloatDType},
};
use proptest::prelude::*;

use super::case::{Case, Verdict, any_number, cases, check, equal, numbers, ordinary_number};

/// A state that is written and read back goes on bit for bit, in f32.
///
/// Holds for every optimizer. A state that lacks a tensor or a number must not be read: that is no part of the law, but is
/// told apart by what [`RecordState`] gives.
///
/// # Errors
/// The smallest case in which it does not hold.
pub fn state_survives_saving<O: Optimizer + Debug>(optimizers: impl Strategy<Value = O>) -> Verdict {
    let cases = cases(ordinary_number()).prop_flat_map(|case| {
        let steps = case.gradients.len();
        (Just(case), 0..steps)
    });
    check(
        "state_survives_saving",
        optimizers,
        cases,
        |optimizer, (case, at)| {
            let expected = case.run_in(optimizer, FloatDType::F32);
            let mut theta = case.tensor(&case.theta, FloatDType::F32);
            let mut state: Option<O::State<2>> = None;
            for (i, (g, &lr)) in case.gradients.iter().zip(&case.lrs).enumerate() {
                let g = case.tensor(g, FloatDType::F32);
                let (updated, next) = optimizer.step(lr, theta, g, state.take());
                theta = updated;
                state = match next {
                    Some(next) if i == *at => {
                        let mut sink = StateSink::default();
                        next.state_flatten("parameter", &mut sink);
                        let mut source = StateSource::new(sink.scalars.into_iter().collect());
                        for (name, data) in sink.tensors {
                            source.insert_tensor(name, data);
                        }
                        let read = RecordState::state_unflatten("parameter", &mut source, &Device::flex());
                        Some(read.ok_or_else(|| "what was written cannot be read".to_owned())?)
                    }
                    next => next,
                };
                equal(&expected[i..=i], &[numbers(&theta)], 0.0)?;
            }
            Ok(())
        },
    )
}

/// Nothing finite becomes NaN, in f32, with gradients from denormals to 1e30.
///
/// Holds for every optimizer: a square that overflows may stop an element, never poison it.
///
/// # Errors
/// The smallest case in which it does not hold.
pub fn finite_stays_finite<O: Optimizer + Debug>(optimizers: impl Strategy<Value = O>) -> Verdict {
    let cases = cases(any_number());
    check("finite_stays_finite", optimizers, cases, |optimizer, case| {
        let path = case.run_in(optimizer, FloatDType::F32);
        match path.iter().position(|theta| theta.iter().any(|x| x.is_nan())) {
            Some(step) => Err(format!("NaN after step {}", step + 1)),
            None => Ok(()),
        }
    })
}

/// The path is the one that `reference` computes, in f64: each element to within `ulps` units in the last place of the
/// largest number of the path.
///
/// Holds for every optimizer, with a reference written from its paper.
///
/// # Errors
/// The smallest case in which it does not hold.
pub fn agrees_with<O: Optimizer + Debug>(
    optimizers: impl Strategy<Value = O>,
    reference: impl Fn(&O, &Case) -> Vec<Vec<f64>>,
    ulps: f64,
) -> Verdict {
    let cases = cases(ordinary_number());
    check("agrees_with", optimizers, cases, |optimizer, case| {
        let expected = reference(optimizer, case);
        let tolerance = ulps * f64::EPSILON * case.largest(&expected);
        equal(&expected, &case.run(optimizer), tolerance)
    })
}

/// How far paths are from the ones that `reference` computes, at most: in units in the last place of the largest number of
/// the path, in the precision `dtype`.
pub fn deviation<O: Optimizer + Debug>(
    optimizers: impl Strategy<Value = O>,
    reference: impl Fn(&O, &Case) -> Vec<Vec<f64>>,
    dtype: FloatDType,
) -> f64 {
    let worst = Cell::new(0.0f64);
    let all_seen = check(
        "deviation",
        optimizers,
        cases(ordinary_number()),
        |optimizer, case| {
            let expected = reference(optimizer, case);
            let unit = dtype.finfo().epsilon * case.largest(&expected).max(f64::MIN_POSITIVE);
            let actual = case.run_in(optimizer, dtype);
            for (expected, actual) in expected.iter().flatten().zip(actual.iter().flatten()) {
                worst.set(worst.get().max((expected - actual).abs() / unit));
            }
            Ok(())
        },
    );
    if all_seen.is_ok() {
        worst.get()
    } else {
        f64::INFINITY
    }
}
