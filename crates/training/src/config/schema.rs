use serde_json::{Value as Json, json};

/// Makes the schema of a file of tables, as `schemars` writes it, say what [`check`](super::check) does: no table has
/// other keys than its own, and the variant that is the default need not be named.
pub fn close_tables(mut schema: Json) -> Json {
    schema["additionalProperties"] = json!(false);
    let tables: Vec<(String, Option<String>)> = properties(&schema)
        .filter_map(|(_, table)| {
            let definition = table.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?;
            let variant = table.pointer("/default/name").and_then(Json::as_str);
            Some((definition.to_owned(), variant.map(str::to_owned)))
        })
        .collect();
    for (definition, variant) in tables {
        let table = &mut schema["$defs"][&definition];
        table["unevaluatedProperties"] = json!(false);
        let variants = table.get_mut("oneOf").and_then(Json::as_array_mut);
        for candidate in variants.into_iter().flatten() {
            let name = candidate.pointer("/properties/name/const").and_then(Json::as_str);
            if name.is_some() && name == variant.as_deref() {
                let required = candidate.get_mut("required").and_then(Json::as_array_mut);
                required
                    .into_iter()
                    .for_each(|keys| keys.retain(|key| key != "name"));
            }
        }
    }
    schema
}

/// Every key of every table of a file, dotted, with its schema: once for each variant that has it.
pub fn table_keys(schema: &Json) -> Vec<(String, &Json)> {
    let follow = |from: &'_ Json| -> &Json {
        let definition = from
            .get("$ref")
            .and_then(Json::as_str)
            .and_then(|path| schema.pointer(path.strip_prefix('#')?));
        definition.unwrap_or(&Json::Null)
    };
    let mut keys = Vec::new();
    for (name, table) in properties(schema) {
        let table = follow(table);
        let variants = table.get("oneOf").and_then(Json::as_array).into_iter().flatten();
        let parts = variants.flat_map(|variant| [variant, follow(variant)]);
        for part in std::iter::once(table).chain(parts) {
            keys.extend(properties(part).map(|(key, schema)| (format!("{name}.{key}"), schema)));
        }
    }
    keys
}

fn properties(schema: &Json) -> impl Iterator<Item = (&String, &Json)> {
    let properties = schema.get("properties").and_then(Json::as_object);
    properties.into_iter().flatten()
}
