use serde_json::{Map, Value as Json};
use toml::Value;

use super::{ConfigError, Node, NodeKind};

type Object = Map<String, Json>;

/// Checks a node against a JSON Schema, as `schemars` writes it for the configuration structs: keys, types, ranges
/// and names.
///
/// Of JSON Schema it knows what those structs need: objects, whose variants are told apart by a constant `name`,
/// arrays, scalars with bounds, choices, and references. `path` is the dotted key of `node`, empty at the root.
///
/// # Errors
/// The first key or value that does not fit, with its place, what was expected, and the nearest valid name.
pub fn check(node: &Node, path: &str, schema: &Json) -> Result<(), ConfigError> {
    Checker {
        definitions: schema.get("$defs"),
    }
    .check(node, path, schema)
}

/// Checks the entry `name` of a table, and no other, against the table's schema.
///
/// # Errors
/// As [`check`].
pub fn check_entry(table: &Node, name: &str, schema: &Json) -> Result<(), ConfigError> {
    let checker = Checker {
        definitions: schema.get("$defs"),
    };
    let entry = table.entries().iter().find(|(other, _)| other == name);
    entry.map_or(Ok(()), |(name, child)| {
        checker.check_child(name, child, "", &properties(schema))
    })
}

struct Checker<'a> {
    definitions: Option<&'a Json>,
}

impl<'a> Checker<'a> {
    fn check(&self, node: &Node, path: &str, schema: &'a Json) -> Result<(), ConfigError> {
        let schema = self.resolve(schema);
        if let Some(choices) = self.choices(schema) {
            return one_of(node, path, &choices);
        }
        // An optional key is anything of its type or null, which TOML does not have.
        if let Some(alternatives) = schema.get("anyOf").and_then(Json::as_array) {
            let alternative = alternatives
                .iter()
                .find(|a| a.get("type").is_none_or(|t| t != "null"));
            return alternative.map_or(Ok(()), |alternative| self.check(node, path, alternative));
        }
        match &node.kind {
            NodeKind::Table(entries) if expects(schema, "object") => {
                self.check_table(node, entries, path, schema)
            }
            NodeKind::Scalar(value) => check_scalar(node, value, path, schema),
            NodeKind::Array(items) if expects(schema, "array") => match schema.get("items") {
                Some(schema) => items.iter().try_for_each(|item| self.check(item, path, schema)),
                None => Ok(()),
            },
            _ => Err(wrong_type(node, path, schema)),
        }
    }

    fn check_table(
        &self,
        node: &Node,
        entries: &[(String, Node)],
        path: &str,
        schema: &'a Json,
    ) -> Result<(), ConfigError> {
        let mut properties: Vec<(&String, &Json)> = properties(schema);
        if let Some(variants) = schema.get("oneOf").and_then(Json::as_array) {
            properties.extend(self.variant(node, path, variants)?);
        }
        entries
            .iter()
            .try_for_each(|(name, child)| self.check_child(name, child, path, &properties))
    }

    fn check_child(
        &self,
        name: &str,
        child: &Node,
        path: &str,
        properties: &[(&'a String, &'a Json)],
    ) -> Result<(), ConfigError> {
        let key = if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        };
        match properties.iter().find(|(known, _)| *known == name) {
            Some((_, schema)) => self.check(child, &key, schema),
            None => Err(unknown_key(child, name, path, properties)),
        }
    }

    /// The properties of the variant that the table's `name` chooses.
    fn variant(
        &self,
        node: &Node,
        path: &str,
        variants: &'a [Json],
    ) -> Result<Vec<(&'a String, &'a Json)>, ConfigError> {
        let named: Vec<(&str, &Json)> = variants
            .iter()
            .map(|variant| self.resolve(variant))
            .filter_map(|variant| Some((variant.pointer("/properties/name/const")?.as_str()?, variant)))
            .collect();
        let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
        let Some(name) = node.get("name") else {
            let message = format!("[{path}] needs a `name`");
            return Err(ConfigError::at(&node.key, message, "in this table").help(list("one of", &names)));
        };
        match named.iter().find(|(known, _)| name.as_str() == Some(known)) {
            Some((_, variant)) => {
                let mut all = properties(variant);
                // A variant's own struct stands behind a reference.
                if let Some(reference) = variant.get("$ref") {
                    all.extend(properties(self.follow(reference)));
                }
                Ok(all)
            }
            None => Err(one_of(name, &format!("{path}.name"), &names)
                .err()
                .unwrap_or_else(|| wrong_type(name, path, &Json::Null))),
        }
    }

    /// The strings that an enumeration allows.
    fn choices(&self, schema: &'a Json) -> Option<Vec<&'a str>> {
        if let Some(values) = schema.get("enum").and_then(Json::as_array) {
            return Some(values.iter().filter_map(Json::as_str).collect());
        }
        let constants: Option<Vec<&str>> = schema
            .get("oneOf")?
            .as_array()?
            .iter()
            .map(|choice| choice.get("const").and_then(Json::as_str))
            .collect();
        constants
    }

    /// The schema itself, or what it refers to where a reference is all it is.
    fn resolve(&self, schema: &'a Json) -> &'a Json {
        match schema.get("$ref") {
            Some(reference) if schema.get("properties").is_none() => self.follow(reference),
            _ => schema,
        }
    }

    fn follow(&self, reference: &Json) -> &'a Json {
        const NOTHING: &Json = &Json::Null;
        let name = reference
            .as_str()
            .and_then(|reference| reference.strip_prefix("#/$defs/"));
        name.and_then(|name| self.definitions?.get(name))
            .unwrap_or(NOTHING)
    }
}

fn properties(schema: &Json) -> Vec<(&String, &Json)> {
    schema
        .get("properties")
        .and_then(Json::as_object)
        .map(Object::iter)
        .into_iter()
        .flatten()
        .collect()
}

/// Whether the schema's type is, or may be, `kind`.
fn expects(schema: &Json, kind: &str) -> bool {
    match schema.get("type") {
        Some(Json::String(only)) => only == kind,
        Some(Json::Array(several)) => several.iter().any(|one| one == kind),
        _ => kind == "object" && (schema.get("properties").is_some() || schema.get("oneOf").is_some()),
    }
}

fn check_scalar(node: &Node, value: &Value, path: &str, schema: &Json) -> Result<(), ConfigError> {
    let number = match value {
        Value::Integer(integer) if expects(schema, "integer") || expects(schema, "number") => {
            Some(*integer as f64)
        }
        Value::Float(float) if expects(schema, "number") => Some(*float),
        Value::String(_) if expects(schema, "string") => None,
        Value::Boolean(_) if expects(schema, "boolean") => None,
        _ => return Err(wrong_type(node, path, schema)),
    };
    let Some(number) = number else { return Ok(()) };
    let bound = |key: &str| schema.get(key).and_then(Json::as_f64);
    let fits = number.is_finite()
        && bound("minimum").is_none_or(|minimum| number >= minimum)
        && bound("maximum").is_none_or(|maximum| number <= maximum)
        && bound("exclusiveMinimum").is_none_or(|minimum| number > minimum)
        && bound("exclusiveMaximum").is_none_or(|maximum| number < maximum);
    if fits {
        return Ok(());
    }
    let message = format!("{path} = {value} is out of range");
    Err(
        ConfigError::at(&node.place, message, format!("expected {}", expected(schema)))
            .help(described(path, schema)),
    )
}

fn one_of(node: &Node, path: &str, choices: &[&str]) -> Result<(), ConfigError> {
    match node.as_str() {
        Some(text) if choices.contains(&text) => Ok(()),
        text => {
            let message = format!("{path} has no choice {}", node.to_value());
            let nearest = text.and_then(|text| nearest(text, choices));
            let label = nearest.map_or_else(
                || "not one of them".to_owned(),
                |name| format!("did you mean `{name}`?"),
            );
            Err(ConfigError::at(&node.place, message, label).help(list("one of", choices)))
        }
    }
}

fn wrong_type(node: &Node, path: &str, schema: &Json) -> ConfigError {
    let found = match &node.kind {
        NodeKind::Table(_) => "a table".to_owned(),
        NodeKind::Array(_) => "an array".to_owned(),
        NodeKind::Scalar(value) => format!("the {} {value}", value.type_str()),
    };
    let message = format!("{path} cannot be {found}");
    ConfigError::at(&node.place, message, format!("expected {}", expected(schema)))
        .help(described(path, schema))
}

fn unknown_key(node: &Node, name: &str, path: &str, properties: &[(&String, &Json)]) -> ConfigError {
    let known: Vec<&str> = properties.iter().map(|(name, _)| name.as_str()).collect();
    let label = match nearest(name, &known) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "unknown key".to_owned(),
    };
    let place = if path.is_empty() {
        "a recipe".to_owned()
    } else {
        format!("[{path}]")
    };
    ConfigError::at(&node.key, format!("{place} has no key `{name}`"), label)
        .help(list(&format!("the keys of {place} are"), &known))
}

/// The nearest of the `known` names, if one is near enough to be a slip.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let similarity = |candidate: &str| strsim::jaro_winkler(name, candidate);
    let best = known
        .iter()
        .max_by(|a, b| similarity(a).total_cmp(&similarity(b)))?;
    (similarity(best) > 0.75).then_some(best)
}

fn list(what: &str, names: &[&str]) -> String {
    format!(
        "{what} {}",
        names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ")
    )
}

/// `a number, at least 0, below 1`.
fn expected(schema: &Json) -> String {
    let mut text = [
        ("object", "a table"),
        ("string", "a string"),
        ("integer", "a whole number"),
        ("number", "a number"),
        ("boolean", "true or false"),
        ("array", "an array"),
    ]
    .iter()
    .find(|(kind, _)| expects(schema, kind))
    .map_or("something else", |(_, text)| text)
    .to_owned();
    let bounds = [
        ("minimum", "at least"),
        ("exclusiveMinimum", "above"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "below"),
    ];
    for (key, words) in bounds {
        if let Some(bound) = schema.get(key).and_then(Json::as_f64) {
            text += &format!(", {words} {bound}");
        }
    }
    text
}

/// `optimizer.clip: The largest global norm ...`.
fn described(path: &str, schema: &Json) -> String {
    match schema.get("description").and_then(Json::as_str) {
        Some(description) => format!("{path}: {}", description.replace('\n', " ")),
        None => format!("expected {}", expected(schema)),
    }
}
