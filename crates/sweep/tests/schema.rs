//! The committed JSON Schemas, and the files that ship held against them by an independent validator.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use jsonschema::Validator;
use serde_json::Value as Json;
use sweep::sweep_schema;
use training::Recipe;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn validator(schema: &Json) -> Validator {
    jsonschema::validator_for(schema).unwrap()
}

fn json(toml: &str) -> Json {
    serde_json::to_value(toml.parse::<toml::Table>().unwrap()).unwrap()
}

#[test]
fn the_committed_schemas_are_what_the_code_says() {
    for (file, schema) in [("recipe", Recipe::schema()), ("sweep", sweep_schema())] {
        let path = project("schemas").join(format!("{file}.json"));
        let committed: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert!(
            committed == *schema,
            "run: cargo run -- schema {file} > schemas/{file}.json"
        );
    }
}

#[test]
fn every_sweep_that_ships_fits_the_schema_and_names_it() {
    let validator = validator(sweep_schema());
    let mut count = 0;
    for entry in fs::read_dir(project("sweeps")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&json(&text))
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
        assert!(
            text.starts_with("#:schema ../schemas/sweep.json\n"),
            "{}",
            path.display()
        );
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn a_resolved_recipe_fits_the_schema() {
    let validator = validator(Recipe::schema());
    assert!(validator.is_valid(&json(&Recipe::default().to_toml())));
}

#[test]
fn what_the_schema_says_of_a_file_is_what_reading_says() {
    let (recipes, sweeps) = (validator(Recipe::schema()), validator(sweep_schema()));
    for (fits, text) in [
        (true, "[optimizer]\nweight_decay = 0.0"),
        (true, "[optimizer]\nname = 'sgd'"),
        (true, "[schedule]\nname = 'wsd'\nlr = 1"),
        (false, "[optimizer]\nname = 'sgd'\nbeta1 = 0.9"),
        (false, "[optimizer]\nname = 'admw'"),
        (false, "[optimizer]\nwieght_decay = 0.0"),
        (false, "[optimiser]\nname = 'sgd'"),
        (false, "[model]\ndropout = 1.0"),
        (false, "[model]\npreset = 'huge'"),
        (false, "[training]\nsteps = 'many'"),
    ] {
        assert_eq!(recipes.is_valid(&json(text)), fits, "{text}");
        let node = training::config::Node::parse("recipe.toml", text).unwrap();
        assert_eq!(training::Draft::new(node).is_ok(), fits, "{text}");
    }
    for (fits, text) in [
        (true, "[axes]\nschedule.lr = [1e-3, 1]"),
        (true, "[axes]\n\"schedule.lr\" = [1e-3, 1]"),
        (true, "[[axes]]\noptimizer.name = ['sgd', 'lion']\n[[axes.zip]]\nmodel.heads = [1, 2]\nmodel.width = [32, 64]"),
        (true, "method = { name = 'sobol', points = 3 }\n[axes]\nmodel.layers = { integer = [1, 4] }"),
        (true, "[[trials]]\nschedule.lr = 1e-3"),
        (true, "skip = 'model.layers > 3'\n[derive]\n\"schedule.lr\" = '1e-3'"),
        (true, "base = 'recipe.toml'"),
        (false, "seed = [1]"),
        (false, "seeds = ['one']"),
        (false, "[axes]\nschedule.rl = [1e-3]"),
        (false, "[axes]\nschedule.lr = 1e-3"),
        (false, "[axes]\nschedule.lr = []"),
        (false, "[axes]\nmodel.dropout = [1.0]"),
        (false, "[axes]\noptimizer.name = ['admw']"),
        (false, "[axes]\nmodel.layers = { integer = [1] }"),
        (false, "[axes]\nmodel.layers = { integral = [1, 2] }"),
        (false, "method = { name = 'sobol' }"),
        (false, "method = { name = 'sobol', points = 3, trials = 3 }"),
        (false, "[derive]\nschedule.lr = 1e-3"),
        (false, "[base.model]\ndropout = 1.0"),
    ] {
        let text = format!("name = 'test'\n{text}");
        assert_eq!(sweeps.is_valid(&json(&text)), fits, "{text}");
    }
}
