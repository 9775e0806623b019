//! A checkpoint's parameters as Python reads them, with the package `safetensors`.
//!
//! `cargo xtask test` names a Python that has it in `CUPEL_PYTHON`.
#![cfg(feature = "tch")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

mod common;

use std::{collections::BTreeMap, env, process::Command};

use common::{checkpoint, finish, pointed, recipe};
use serde::Deserialize;

/// Prints every tensor's type, shape and values; a float of Python's is a double, in which every single is exact.
const READ: &str = "
import json, sys
from safetensors import safe_open
tensors = {}
with safe_open(sys.argv[1], framework='numpy') as file:
    for name in file.keys():
        tensor = file.get_tensor(name)
        tensors[name] = {
            'type': str(tensor.dtype), 'shape': tensor.shape, 'values': tensor.astype('float64').ravel().tolist()
        }
print(json.dumps(tensors))
";

#[derive(Deserialize)]
struct Read {
    r#type: String,
    shape: Vec<usize>,
    values: Vec<f64>,
}

#[test]
fn parameters_and_state_are_the_same_to_the_last_bit_in_python() {
    let Some(python) = env::var_os("CUPEL_PYTHON") else {
        eprintln!("not run: CUPEL_PYTHON names no Python; `cargo xtask test` does");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    finish(
        &recipe(&["training.steps=3", "schedule.warmup=1"]),
        directory.path(),
    );
    let (parameters, state) = checkpoint(directory.path(), "latest");
    for (file, ours) in [
        ("model.safetensors", parameters),
        ("optimizer.safetensors", state),
    ] {
        let output = Command::new(&python)
            .args(["-c", READ])
            .arg(pointed(directory.path(), "latest").join(file))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let theirs: BTreeMap<String, Read> = serde_json::from_slice(&output.stdout).unwrap();
        assert!(theirs.keys().eq(ours.keys()));
        for (name, data) in &ours {
            let read = &theirs[name];
            assert_eq!(read.shape, data.shape().to_vec(), "{name}");
            let values: Vec<f64> = match read.r#type.as_str() {
                "float32" => data
                    .as_slice::<f32>()
                    .unwrap()
                    .iter()
                    .map(|x| f64::from(*x))
                    .collect(),
                "int64" => data
                    .as_slice::<i64>()
                    .unwrap()
                    .iter()
                    .map(|x| *x as f64)
                    .collect(),
                other => panic!("{name} is of the type {other}"),
            };
            assert_eq!(read.values, values, "{name}");
        }
    }
}
