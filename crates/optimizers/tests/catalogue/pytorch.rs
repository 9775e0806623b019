//! The algorithms and clipping against what PyTorch 2.9.0 gave: `cargo xtask oracle` writes the fixtures.
use std::{fs, path::Path};

use burn::{
    module::Param,
    optim::GradientsParams,
    tensor::{DType, Device, Tensor, TensorData},
};
use optimizers::{Algorithm, Clip, ClipBy, Optimizer, ParameterGroup};
use serde::{Deserialize, de::DeserializeOwned};

use crate::table::row;

#[derive(Deserialize)]
struct Inputs {
    inputs: Vec<Input>,
}

#[derive(Deserialize)]
struct Input {
    theta: Vec<f64>,
    gradients: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Fixture {
    torch: String,
    optimizer: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    shape: Vec<usize>,
    input: usize,
    parameters: serde_json::Map<String, serde_json::Value>,
    lrs: Vec<f64>,
    expected: std::collections::BTreeMap<usize, Vec<f64>>,
}

fn fixture<T: DeserializeOwned>(name: &str) -> T {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pytorch");
    let text = fs::read(directory.join(format!("{name}.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// The algorithms that PyTorch has.
pub const SHARED: &[&str] = &[
    "sgd",
    "momentum",
    "adam",
    "amsgrad",
    "adamw",
    "nadam",
    "radam",
    "adagrad",
    "rmsprop",
    "adafactor",
    "muon",
];

/// The largest difference of all cases, in units in the last place.
pub fn worst(name: &str, dtype: DType) -> f64 {
    let Inputs { inputs } = fixture("inputs");
    let fixture: Fixture = fixture(name);
    assert_eq!(
        (fixture.torch.as_str(), fixture.optimizer.as_str()),
        ("2.9.0", name)
    );
    assert!(fixture.cases.len() >= 15);
    let cases = fixture.cases.iter().map(|case| match case.shape.len() {
        1 => difference::<1>(name, case, &inputs[case.input], dtype),
        2 => difference::<2>(name, case, &inputs[case.input], dtype),
        _ => difference::<3>(name, case, &inputs[case.input], dtype),
    });
    cases.fold(0.0, f64::max)
}

fn difference<const D: usize>(name: &str, case: &Case, input: &Input, dtype: DType) -> f64 {
    let mut keys = case.parameters.clone();
    keys.insert("name".to_owned(), name.into());
    let algorithm: Algorithm = serde_json::from_value(keys.into()).unwrap();
    // PyTorch's weights are [outputs, inputs], and only for Muon does it matter which is which.
    let transposed = name == "muon";
    let device = Device::flex();
    let tensor = |numbers: &[f64]| -> Tensor<D> {
        let data = TensorData::new(numbers.to_vec(), case.shape.clone()).convert_dtype(dtype);
        let tensor = Tensor::from_data(data, (&device, dtype));
        if transposed {
            tensor.swap_dims(0, 1)
        } else {
            tensor
        }
    };
    let epsilon = if dtype == DType::F64 {
        f64::EPSILON
    } else {
        f64::from(f32::EPSILON)
    };

    let mut optimizer = Optimizer::new(vec![ParameterGroup::all(algorithm.into())]);
    let mut theta = Param::from_tensor(tensor(&input.theta));
    let mut worst: f64 = 0.0;
    for (step, (g, &lr)) in (1..).zip(input.gradients.iter().zip(&case.lrs)) {
        let mut gradients = GradientsParams::new();
        gradients.register(theta.id, tensor(g));
        theta = optimizer.step(lr, theta, gradients);
        if let Some(expected) = case.expected.get(&step) {
            let value = if transposed {
                theta.val().swap_dims(0, 1)
            } else {
                theta.val()
            };
            let largest = expected.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
            for (actual, expected) in value.to_data().iter::<f64>().zip(expected) {
                worst = worst.max((actual - expected).abs() / (epsilon * largest));
            }
        }
    }
    worst
}

#[derive(Deserialize)]
struct ClipFixture {
    torch: String,
    cases: Vec<ClipCase>,
}

/// The gradients of some inputs, clipped together at every step.
#[derive(Deserialize)]
struct ClipCase {
    function: String,
    limit: f64,
    inputs: Vec<usize>,
    norms: Vec<f64>,
    clipped: std::collections::BTreeMap<usize, Vec<Vec<f64>>>,
}

/// The gradients after clipping, and their norm before.
fn clipped(clip: Clip, gradients: &[&Vec<f64>]) -> (Vec<Vec<f64>>, f64) {
    let device = Device::flex();
    let mut params = GradientsParams::new();
    let mut parameters = Vec::new();
    for g in gradients {
        let parameter = Param::from_tensor(Tensor::<1>::zeros([g.len()], &device));
        let data = TensorData::new((*g).clone(), [g.len()]);
        params.register(parameter.id, Tensor::<1>::from_data(data, (&device, DType::F64)));
        parameters.push(parameter);
    }
    let (params, norm) = clip.apply(&parameters, params);
    let numbers = |parameter: &Param<Tensor<1>>| {
        let gradient = params.get::<1>(parameter.id).unwrap();
        gradient.to_data().iter::<f64>().collect()
    };
    (parameters.iter().map(numbers).collect(), norm)
}

/// PyTorch multiplies by `c / (norm + 1e-6)`, ours by `c / norm`; values are clipped alike.
#[test]
fn clipping_follows_pytorch_but_for_its_1e_6() {
    let Inputs { inputs } = fixture("inputs");
    let ClipFixture { torch, cases } = fixture("clip");
    assert_eq!((torch.as_str(), cases.len()), ("2.9.0", 19));
    // In units in the last place of f32, in which the norm is summed.
    let distance = |actual: f64, expected: f64| {
        let error = (actual - expected).abs();
        if error == 0.0 {
            0.0
        } else {
            error / (f64::from(f32::EPSILON) * expected.abs())
        }
    };
    for (by, name, function) in [
        (ClipBy::GlobalNorm, "global-norm", "clip_grad_norm_"),
        (ClipBy::Value, "value", "clip_grad_value_"),
    ] {
        let (mut of_norms, mut of_gradients) = (0.0f64, 0.0f64);
        for case in cases.iter().filter(|case| case.function == function) {
            let limit = case.limit;
            for (step, &norm) in case.norms.iter().enumerate() {
                let gradients: Vec<_> = case.inputs.iter().map(|&i| &inputs[i].gradients[step]).collect();
                let (actual, before) = clipped(Clip { by, limit }, &gradients);
                of_norms = of_norms.max(distance(before, norm));
                let relation = match by {
                    ClipBy::GlobalNorm if norm > limit => (norm + 1e-6) / norm,
                    _ => 1.0,
                };
                let expected = case.clipped.get(&(step + 1)).into_iter().flatten().flatten();
                for (actual, expected) in actual.iter().flatten().zip(expected) {
                    of_gradients = of_gradients.max(distance(*actual, expected * relation));
                }
            }
        }
        let cells = row(name).unwrap();
        let stated = [2, 3].map(|column| cells[column].parse::<f64>().unwrap());
        assert!(
            of_norms <= stated[0] && of_gradients <= stated[1],
            "{name}: {of_norms} and {of_gradients} units, stated {stated:?}"
        );
    }
}
