use std::process::ExitCode;

use optimizers::Algorithm;
use toml::Value;

use crate::{arguments::Catalogue, table::table};

pub fn list(what: Catalogue) -> ExitCode {
    match what {
        Catalogue::Optimizers => println!("{}", optimizers()),
    }
    ExitCode::SUCCESS
}

fn optimizers() -> String {
    let about = Algorithm::CATALOGUE.iter().map(|(_, about)| about.trim());
    let rows: Vec<[String; 3]> = Algorithm::all()
        .iter()
        .zip(about)
        .map(|(algorithm, about)| [algorithm.name().to_owned(), about.to_owned(), defaults(algorithm)])
        .collect();
    let table = table(
        &["name", "what it is", "hyper-parameters and their defaults"],
        &rows,
    );
    format!("{table}\n[optimizer] of a recipe takes these keys; schedule.lr is the learning rate")
}

/// The keys of the algorithm as TOML writes them, its name left out.
fn defaults(algorithm: &Algorithm) -> String {
    let Ok(Value::Table(keys)) = Value::try_from(algorithm) else {
        return String::new();
    };
    let keys = keys.iter().filter(|(key, _)| *key != "name");
    let keys: Vec<String> = keys
        .map(|(key, value)| format!("{key} = {}", short(value)))
        .collect();
    keys.join(", ")
}

/// Small and large numbers by their exponent.
fn short(value: &Value) -> String {
    match value {
        Value::Float(x) if *x != 0.0 && x.abs() < 1e-3 => format!("{x:e}"),
        other => other.to_string(),
    }
}
