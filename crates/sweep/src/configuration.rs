use std::{cmp::Ordering, collections::BTreeMap};

use toml::Value;
use training::Recipe;

use crate::keys::SEED;

/// The keys of a resolved recipe with their values as TOML writes them, the seed left out.
pub(crate) type Configuration = BTreeMap<String, String>;

pub(crate) fn configuration(recipe: &Recipe) -> Configuration {
    fn walk(prefix: &str, value: &Value, all: &mut Configuration) {
        match value {
            Value::Table(table) => {
                for (name, value) in table {
                    let key = if prefix.is_empty() {
                        name.clone()
                    } else {
                        format!("{prefix}.{name}")
                    };
                    walk(&key, value, all);
                }
            }
            Value::String(text) => {
                all.insert(prefix.to_owned(), text.clone());
            }
            other => {
                all.insert(prefix.to_owned(), other.to_string());
            }
        }
    }
    let mut all = Configuration::new();
    if let Ok(value) = Value::try_from(recipe) {
        walk("", &value, &mut all);
    }
    all.remove(SEED);
    all
}

/// The keys whose values are not the same in all of the configurations.
pub(crate) fn varied_keys<'a>(configurations: impl IntoIterator<Item = &'a Configuration>) -> Vec<String> {
    let mut seen: BTreeMap<&str, (&str, usize, bool)> = BTreeMap::new();
    let mut total = 0;
    for configuration in configurations {
        total += 1;
        for (key, value) in configuration {
            let entry = seen.entry(key).or_insert((value, 0, false));
            entry.1 += 1;
            entry.2 |= entry.0 != value;
        }
    }
    let varies = |(_, count, differs): &(&str, usize, bool)| *differs || *count < total;
    seen.iter()
        .filter(|(_, entry)| varies(entry))
        .map(|(key, _)| (*key).to_owned())
        .collect()
}

/// Numbers by size, everything else by its letters.
pub(crate) fn compare_values(a: &str, b: &str) -> Ordering {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        _ => a.cmp(b),
    }
}
