use std::fmt;

use burn::{
    optim::Optimizer,
    tensor::{DType, Device, FloatDType, Tensor, TensorData},
};
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};

/// A parameter and the gradients that it meets.
#[derive(Clone, PartialEq)]
pub struct Case {
    /// `[rows, columns]`.
    pub shape: [usize; 2],
    /// The parameter, row by row.
    pub theta: Vec<f64>,
    /// The gradient of each step, row by row.
    pub gradients: Vec<Vec<f64>>,
    /// The learning rate of each step.
    pub lrs: Vec<f64>,
}

/// A case in which a law does not hold: the smallest that was found.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{law} is broken: {reason}\nby {optimizer}\nwith {case}")]
pub struct CounterExample {
    /// The law.
    pub law: &'static str,
    /// What was found instead.
    pub reason: String,
    /// The optimizer.
    pub optimizer: String,
    /// The case.
    pub case: String,
}

/// Whether a law holds.
pub type Verdict = Result<(), CounterExample>;

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            shape,
            theta,
            gradients,
            lrs,
        } = self;
        write!(f, "theta {theta:?} of shape {shape:?}")?;
        for (lr, g) in lrs.iter().zip(gradients) {
            write!(f, "\n  lr {lr:e}, gradient {g:?}")?;
        }
        Ok(())
    }
}

impl Case {
    /// The parameter after each step, in f64.
    pub fn run<O: Optimizer>(&self, optimizer: &O) -> Vec<Vec<f64>> {
        self.run_in(optimizer, FloatDType::F64)
    }

    pub(super) fn run_in<O: Optimizer>(&self, optimizer: &O, dtype: FloatDType) -> Vec<Vec<f64>> {
        let mut theta = self.tensor(&self.theta, dtype);
        let mut state = None;
        let steps = self.gradients.iter().zip(&self.lrs);
        steps
            .map(|(g, &lr)| {
                let (updated, next) = optimizer.step(lr, theta.clone(), self.tensor(g, dtype), state.take());
                (theta, state) = (updated, next);
                numbers(&theta)
            })
            .collect()
    }

    pub(super) fn tensor(&self, numbers: &[f64], dtype: FloatDType) -> Tensor<2> {
        let dtype = DType::from(dtype);
        let data = TensorData::new(numbers.to_vec(), self.shape).convert_dtype(dtype);
        Tensor::from_data(data, (&Device::flex(), dtype))
    }

    /// The largest number that an update can be rounded at: the parameter and its whole path, step by step.
    pub(super) fn largest(&self, path: &[Vec<f64>]) -> f64 {
        let all = self.theta.iter().chain(path.iter().flatten());
        all.fold(0.0, |largest: f64, x| largest.max(x.abs()))
    }

    pub(super) fn map(&self, map: impl Fn(f64) -> f64) -> Self {
        let all = |numbers: &[f64]| numbers.iter().map(|&x| map(x)).collect();
        Self {
            theta: all(&self.theta),
            gradients: self.gradients.iter().map(|g| all(g)).collect(),
            ..self.clone()
        }
    }
}

pub(super) fn numbers<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.to_data().iter::<f64>().collect()
}

/// Numbers of both signs: zeros, f32's denormals, and from 1e-30 to 1e30.
pub(super) fn any_number() -> BoxedStrategy<f64> {
    prop_oneof![
        1 => Just(0.0),
        1 => (1u32..0x80_0000, any::<bool>()).prop_map(|(bits, negative)| {
            let x = f64::from(f32::from_bits(bits));
            if negative { -x } else { x }
        }),
        4 => magnitude(-30.0..30.0),
        4 => magnitude(-2.0..1.0),
    ]
    .boxed()
}

/// Numbers as training meets them, zeros among them.
pub(super) fn ordinary_number() -> BoxedStrategy<f64> {
    prop_oneof![1 => Just(0.0), 9 => magnitude(-3.0..1.0)].boxed()
}

/// Numbers of both signs whose decimal exponent lies in a range, in f32 so that every instance sees the same one.
pub(super) fn magnitude(exponents: std::ops::Range<f64>) -> BoxedStrategy<f64> {
    (exponents, any::<bool>())
        .prop_map(|(exponent, negative)| {
            let x = f64::from(10f64.powf(exponent) as f32);
            if negative { -x } else { x }
        })
        .boxed()
}

/// Cases of every shape up to 5 x 5 and 1 to 50 steps.
pub(super) fn cases(number: BoxedStrategy<f64>) -> BoxedStrategy<Case> {
    (1..6usize, 1..6usize, 1..=50usize)
        .prop_flat_map(move |(rows, columns, steps)| {
            let numbers = prop::collection::vec(number.clone(), rows * columns);
            (
                prop::collection::vec(ordinary_number(), rows * columns),
                prop::collection::vec(numbers, steps),
                prop::collection::vec((-4.0..0.0f64).prop_map(|e| 10f64.powf(e)), steps),
            )
                .prop_map(move |(theta, gradients, lrs)| Case {
                    shape: [rows, columns],
                    theta,
                    gradients,
                    lrs,
                })
        })
        .boxed()
}

/// Checks a law on optimizers and cases; `Err` of the check is what was found instead.
pub(super) fn check<O, C>(
    law: &'static str,
    optimizers: impl Strategy<Value = O>,
    cases: impl Strategy<Value = C>,
    holds: impl Fn(&O, &C) -> Result<(), String>,
) -> Verdict
where
    O: fmt::Debug,
    C: fmt::Debug,
{
    let cases_wanted = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    let config = Config {
        cases: cases_wanted.unwrap_or(40),
        failure_persistence: None,
        max_shrink_iters: 4000,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&(optimizers, cases), |(optimizer, case)| {
        holds(&optimizer, &case).map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => Ok(()),
        Err(TestError::Fail(reason, (optimizer, case))) => Err(CounterExample {
            law,
            reason: reason.to_string(),
            optimizer: format!("{optimizer:?}"),
            case: format!("{case:?}"),
        }),
        Err(TestError::Abort(reason)) => Err(CounterExample {
            law,
            reason: reason.to_string(),
            optimizer: "none".to_owned(),
            case: "no case".to_owned(),
        }),
    }
}

/// Whether two paths agree to within `tolerance`, absolutely.
pub(super) fn equal(expected: &[Vec<f64>], actual: &[Vec<f64>], tolerance: f64) -> Result<(), String> {
    for (step, (expected, actual)) in expected.iter().zip(actual).enumerate() {
        for (i, (e, a)) in expected.iter().zip(actual).enumerate() {
            let error = (e - a).abs();
            if !(error <= tolerance || e == a) {
                return Err(format!(
                    "element {i} after step {} is {a:e} and not {e:e}: off by {error:e}, allowed {tolerance:e}",
                    step + 1
                ));
            }
        }
    }
    Ok(())
}
