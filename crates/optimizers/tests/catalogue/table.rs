//! The table of the crate's documentation says what is measured.

use std::collections::BTreeMap;

use burn::tensor::DType;
use optimizers::Algorithm;

use crate::{
    laws::{BOUNDED, CONVERGE, OBEYED, decoupled_decay, deviations},
    pytorch::{SHARED, worst},
};

const TABLE: &str = include_str!("../../CATALOGUE.md");

/// What is measured of an algorithm: how many laws it was found to obey, its deviations from the reference in f64 and f32, and from PyTorch in both.
struct Measured {
    laws: usize,
    numbers: [Option<f64>; 4],
}

fn measured() -> BTreeMap<&'static str, Measured> {
    let deviations = deviations();
    let of = |name: &'static str| {
        let underscored = name.replace('-', "_");
        let is = |other: &str| other == underscored;
        let deviation = deviations.iter().find(|(other, ..)| *other == underscored);
        let shared = SHARED.contains(&name);
        // Two laws of decay and of convergence each, and the agreement with the reference.
        let laws = OBEYED
            .iter()
            .filter(|(_, algorithms)| algorithms.iter().any(|a| is(a)))
            .count()
            + 2 * usize::from(decoupled_decay::DECAY.iter().any(|a| is(a)))
            + 2 * usize::from(CONVERGE.iter().any(|a| is(a)))
            + usize::from(BOUNDED.iter().any(|a| is(a)))
            + usize::from(deviation.is_some());
        let numbers = [
            deviation.map(|d| d.1),
            deviation.map(|d| d.2),
            shared.then(|| worst(name, DType::F64)),
            shared.then(|| worst(name, DType::F32)),
        ];
        (name, Measured { laws, numbers })
    };
    Algorithm::CATALOGUE.iter().map(|(name, _)| of(name)).collect()
}

/// The cells of the row of that name.
pub fn row(name: &str) -> Option<Vec<&'static str>> {
    let row = TABLE
        .lines()
        .find(|line| line.starts_with(&format!("| `{name}` |")))?;
    Some(row.trim_matches('|').split('|').map(str::trim).collect())
}

/// How far f32 may be from the f64 reference, in units in the last place of the largest number of the path: each of up to
/// 50 updates rounds numbers of at most that size, at most 16 times. Muon's iteration multiplies what was rounded before
/// it by up to 3.4445^5 = 485.
fn derived(name: &str) -> f64 {
    let growth = if name == "muon" { 485.0 } else { 1.0 };
    50.0 * 16.0 * growth
}

/// The stated number is a bound, at least what is measured here; another CPU's powers may be off by another last bit.
#[test]
fn the_table_says_what_is_measured() {
    let mut wrong = Vec::new();
    for (name, measured) in measured() {
        let bound = |x: Option<f64>| {
            x.map_or("".to_owned(), |x| {
                (1.5 * x).max(1.0).log2().ceil().exp2().to_string()
            })
        };
        let expected: Vec<String> = std::iter::once(measured.laws.to_string())
            .chain(measured.numbers.map(bound))
            .collect();
        let Some(cells) = row(name) else {
            wrong.push(format!("{name} lacks: {}", expected.join(" | ")));
            continue;
        };
        let stated = &cells[2..7];
        if let Some(f32) = measured.numbers[1] {
            assert!(f32 <= derived(name), "{name}: {f32} units in f32");
        }
        let holds = stated[0] == expected[0]
            && stated[1..]
                .iter()
                .zip(measured.numbers)
                .all(|(stated, measured)| match measured {
                    None => stated.is_empty(),
                    Some(measured) => stated.parse::<f64>().is_ok_and(|stated| measured <= stated),
                });
        if !holds {
            wrong.push(format!("{name}: {stated:?} should be {}", expected.join(" | ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A new line of the catalogue is put under these laws, or this fails.
#[test]
fn what_holds_for_every_optimizer_is_put_to_every_one() {
    let laws = [
        "zero_gradient_is_a_fixed_point",
        "no_learning_rate_no_move",
        "sign_symmetry",
        "state_survives_saving",
        "finite_stays_finite",
    ];
    for law in laws {
        let (_, algorithms) = OBEYED.iter().find(|(name, _)| *name == law).unwrap();
        for (name, _) in Algorithm::CATALOGUE {
            assert!(
                algorithms.contains(&name.replace('-', "_").as_str()),
                "{name}: {law}"
            );
        }
    }
    for (name, _) in Algorithm::CATALOGUE {
        assert!(CONVERGE.contains(&name.replace('-', "_").as_str()), "{name}");
    }
}
