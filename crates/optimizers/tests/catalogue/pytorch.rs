//! The algorithms and clipping against what PyTorch 2.9.0 gave: `cargo xtask oracle` writes the fixtures.
use std::{fs, path::Path};

use burn::{
    module::Param,
    optim::GradientsParams,
    tensor::{DType, Device, Tensor, TensorData},
};
use optimizers::{Algorithm, Clip, ClipBy, Optimizer, ParameterGroup};
use serde::{Deserialize, de::DeserializeOwned};

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
    cases: Vec<ClipCase>,
}

#[derive(Deserialize)]
struct ClipCase {
    function: String,
    threshold: f64,
    gradients: Vec<Vec<f64>>,
    norm: f64,
    clipped: Vec<Vec<f64>>,
}

/// PyTorch multiplies by `c / (norm + 1e-6)`, ours by `c / norm`; values are clipped alike.
#[test]
fn clipping_follows_pytorch_but_for_its_1e_6() {
    let ClipFixture { cases } = fixture("clip");
    let device = Device::flex();
    for case in &cases {
        let parameters: Vec<Param<Tensor<1>>> = case
            .gradients
            .iter()
            .map(|g| Param::from_tensor(Tensor::zeros([g.len()], &device)))
            .collect();
        let mut gradients = GradientsParams::new();
        for (parameter, g) in parameters.iter().zip(&case.gradients) {
            let data = TensorData::new(g.clone(), [g.len()]);
            gradients.register(parameter.id, Tensor::<1>::from_data(data, (&device, DType::F64)));
        }
        let by = match case.function.as_str() {
            "clip_grad_norm_" => ClipBy::GlobalNorm,
            _ => ClipBy::Value,
        };
        let limit = case.threshold;
        let (clipped, norm) = Clip { by, limit }.apply(&parameters, gradients);
        // A sum of squares in f32, of as many numbers as there are.
        let numbers = case.gradients.iter().map(Vec::len).sum::<usize>() as f64;
        let bound = numbers * f64::from(f32::EPSILON);
        assert!(
            (norm - case.norm).abs() <= bound * case.norm,
            "{norm} {}",
            case.norm
        );
        let relation = match by {
            ClipBy::GlobalNorm if case.norm > limit => (case.norm + 1e-6) / case.norm,
            // Just below the threshold PyTorch's 1e-6 may clip what ours leaves.
            _ => 1.0,
        };
        for (parameter, expected) in parameters.iter().zip(&case.clipped) {
            let actual = clipped.get::<1>(parameter.id).unwrap().to_data();
            for (actual, expected) in actual.iter::<f64>().zip(expected) {
                let expected = expected * relation;
                assert!(
                    (actual - expected).abs() <= 2.0 * bound * expected.abs(),
                    "{actual} {expected}"
                );
            }
        }
    }
    assert_eq!(cases.len(), 8);
}
