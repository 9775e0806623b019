use std::sync::LazyLock;

use training::{
    Recipe,
    config::{nearest, table_keys},
};

/// The recipe key that `seeds` sets.
pub(crate) const SEED: &str = "training.seed";

/// The dotted keys of a recipe, in the order of their letters.
static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut keys: Vec<String> = table_keys(Recipe::schema())
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    keys.sort();
    keys.dedup();
    keys
});

/// Whether a recipe has that key.
pub(crate) fn is_key(key: &str) -> bool {
    KEYS.binary_search_by(|known| known.as_str().cmp(key)).is_ok()
}

/// The key that was meant, if one is near enough: a key without its table is nearest to those that end in it.
pub(crate) fn nearest_key(name: &str) -> Option<&'static str> {
    let known: Vec<&str> = KEYS.iter().map(String::as_str).collect();
    let tail = format!(".{name}");
    let ends = known.iter().find(|key| key.ends_with(&tail)).copied();
    ends.or_else(|| nearest(name, &known))
}
