//! The committed JSON Schemas, with which editors complete and check recipe and sweep files.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value as Json;
use sweep::sweep_schema;
use training::Recipe;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
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
fn every_file_that_ships_names_its_schema() {
    let mut seen = 0;
    for (directory, schemas) in [("sweeps", "../schemas"), ("sweeps/chapter", "../../schemas")] {
        for entry in fs::read_dir(project(directory)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                continue;
            }
            let kind = if path.ends_with("recipe.toml") {
                "recipe"
            } else {
                "sweep"
            };
            let text = fs::read_to_string(&path).unwrap();
            let named = format!("#:schema {schemas}/{kind}.json");
            assert_eq!(text.lines().next(), Some(named.as_str()), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen} files");
}

/// Every definition that is referred to is there.
#[test]
fn the_schemas_stand_alone() {
    fn references(schema: &Json, all: &mut Vec<String>) {
        match schema {
            Json::Object(object) => {
                all.extend(object.get("$ref").and_then(Json::as_str).map(str::to_owned));
                object.values().for_each(|value| references(value, all));
            }
            Json::Array(array) => array.iter().for_each(|value| references(value, all)),
            _ => {}
        }
    }
    for schema in [Recipe::schema(), sweep_schema()] {
        let mut all = Vec::new();
        references(schema, &mut all);
        assert!(!all.is_empty());
        for reference in all {
            let definition = reference
                .strip_prefix('#')
                .and_then(|pointer| schema.pointer(pointer));
            assert!(definition.is_some_and(|found| !found.is_null()), "{reference}");
        }
    }
}
