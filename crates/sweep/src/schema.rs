//! The JSON Schema of sweep files.

use std::{collections::BTreeMap, sync::LazyLock};

use serde_json::{Map, Value as Json, json};
use training::{
    Recipe,
    config::{close_tables, table_keys},
};

use crate::{Method, space::ZIP};

static SCHEMA: LazyLock<Json> = LazyLock::new(schema);

/// The JSON Schema of sweep files: a recipe's, and around it axes, trials and derived keys that know the recipe's keys.
pub fn sweep_schema() -> &'static Json {
    &SCHEMA
}

fn schema() -> Json {
    let recipe = Recipe::schema();
    let method = schemars::schema_for!(Method).to_value();
    let mut definitions = recipe["$defs"].as_object().cloned().unwrap_or_default();
    for definition in ["Draw", "Search"] {
        definitions.insert(definition.to_owned(), method["$defs"][definition].clone());
    }
    definitions.insert("Method".to_owned(), without(&method, &["$defs", "$schema"]));
    definitions.insert("Recipe".to_owned(), without(recipe, &["$defs", "$schema"]));
    definitions.insert("Range".to_owned(), range());

    let values = |key: &Json| json!({ "type": "array", "items": key, "minItems": 1 });
    let axis = |key: &Json| {
        described(
            key,
            json!({ "anyOf": [values(key), { "$ref": "#/$defs/Range" }] }),
        )
    };
    let zip = |key: &Json| described(key, values(key));
    let expression = |key: &Json| described(key, json!({ "type": "string" }));
    let mut axes = tables(recipe, &axis);
    axes["properties"][ZIP] = json!({
        "description": "Axes that move together, as one: lists of one length.",
        "type": "array",
        "items": { "$ref": "#/$defs/Zip" },
    });
    definitions.insert("Axes".to_owned(), axes);
    definitions.insert("Zip".to_owned(), tables(recipe, &zip));
    definitions.insert("Point".to_owned(), tables(recipe, &|key| key.clone()));
    definitions.insert("Derive".to_owned(), tables(recipe, &expression));

    close_tables(json!({
        "$schema": recipe["$schema"],
        "title": "Sweep",
        "description": "A sweep file of Cupel.",
        "type": "object",
        "properties": {
            "name": {
                "description": "The sweep's name, and its directory's below `results`.",
                "type": "string",
                "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]*$",
            },
            "base": {
                "description": "The recipe around which the axes are: a table, or a file beside this one.",
                "anyOf": [{ "$ref": "#/$defs/Recipe" }, { "type": "string" }],
            },
            "seeds": {
                "description": "The replicates: every point is run with each of these seeds; the base's own if left out.",
                "type": "array",
                "items": { "type": "integer", "minimum": 0 },
                "minItems": 1,
            },
            "skip": {
                "description": "Conditions, such as \"schedule.warmup >= training.steps\": a point for which one holds is no trial.",
                "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
            },
            "method": {
                "description": "Which points of the axes' space become trials: the grid if left out, the list where there are [[trials]].",
                "$ref": "#/$defs/Method",
            },
            "axes": {
                "description": "The keys that vary and what they take; several are several spaces, one after the other.",
                "anyOf": [{ "$ref": "#/$defs/Axes" }, { "type": "array", "items": { "$ref": "#/$defs/Axes" }, "minItems": 1 }],
            },
            "trials": {
                "description": "Points spelt out: the keys in which each of them is not the base.",
                "type": "array",
                "items": { "$ref": "#/$defs/Point" },
            },
            "derive": {
                "description": "Keys that follow from others, each an expression such as \"6e-4 * training.batch_tokens / 524288\".",
                "$ref": "#/$defs/Derive",
            },
        },
        "required": ["name"],
        "$defs": definitions,
    }))
}

/// The schema of tables like a recipe's, in which each key's schema is what `of` makes of its own. A quoted key, such as
/// "schedule.lr", may stand in place of a table's.
fn tables(recipe: &Json, of: &dyn Fn(&Json) -> Json) -> Json {
    let mut variants: BTreeMap<(String, String), Vec<Json>> = BTreeMap::new();
    for (key, schema) in table_keys(recipe) {
        if let Some((table, key)) = key.split_once('.') {
            let known = variants.entry((table.to_owned(), key.to_owned())).or_default();
            if !known.contains(schema) {
                known.push(schema.clone());
            }
        }
    }
    let mut tables = Map::new();
    for ((table, key), schemas) in variants {
        let schema = match &schemas[..] {
            [only] => only.clone(),
            several => one_of(several),
        };
        let table = tables
            .entry(table)
            .or_insert_with(|| json!({ "type": "object", "properties": {}, "additionalProperties": false }));
        table["properties"][&key] = of(&without(&schema, &["default"]));
    }
    json!({
        "type": "object",
        "properties": tables,
        "patternProperties": { "^[a-z_]+\\.[a-z0-9_]+$": {} },
        "additionalProperties": false,
    })
}

/// A key that is another in each variant of its table: the names of the variants, or any of the schemas.
fn one_of(schemas: &[Json]) -> Json {
    let names: Option<Vec<&Json>> = schemas.iter().map(|schema| schema.get("const")).collect();
    match names {
        Some(names) => json!({ "enum": names }),
        None => json!({ "anyOf": schemas }),
    }
}

fn range() -> Json {
    let pair =
        |kind: &str| json!({ "type": "array", "items": { "type": kind }, "minItems": 2, "maxItems": 2 });
    json!({
        "description": "The lowest and the highest value of a range, for the methods that draw points; or a choice of values.",
        "type": "object",
        "properties": {
            "uniform": pair("number"),
            "log-uniform": pair("number"),
            "integer": pair("integer"),
            "choice": { "type": "array", "minItems": 1 },
        },
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": false,
    })
}

/// What is made of a key's schema, under the key's own description.
fn described(key: &Json, mut made: Json) -> Json {
    if let Some(description) = key.get("description") {
        made["description"] = description.clone();
    }
    made
}

fn without(schema: &Json, keys: &[&str]) -> Json {
    let mut schema = schema.clone();
    if let Some(object) = schema.as_object_mut() {
        object.retain(|key, _| !keys.contains(&key.as_str()));
    }
    schema
}
