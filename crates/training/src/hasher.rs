use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::Recipe;

/// Hashes recipes one after the other, as [`Recipe::hash`] does, and writes only those tables that differ from the last
/// recipe's.
#[derive(Debug, Default)]
pub struct RecipeHasher {
    last: Option<Recipe>,
    /// The tables of the last recipe, as TOML.
    tables: [String; 6],
}

impl RecipeHasher {
    /// The first 12 hexadecimal digits of the SHA-256 of [`Recipe::to_toml`].
    pub fn hash(&mut self, recipe: &Recipe) -> String {
        let last = self.last.as_ref();
        let [data, model, loss, optimizer, schedule, training] = &mut self.tables;
        write(data, "data", &recipe.data, last.map(|last| &last.data));
        write(model, "model", &recipe.model, last.map(|last| &last.model));
        write(loss, "loss", &recipe.loss, last.map(|last| &last.loss));
        write(
            optimizer,
            "optimizer",
            &recipe.optimizer,
            last.map(|last| &last.optimizer),
        );
        write(
            schedule,
            "schedule",
            &recipe.schedule,
            last.map(|last| &last.schedule),
        );
        write(
            training,
            "training",
            &recipe.training,
            last.map(|last| &last.training),
        );
        self.last = Some(recipe.clone());
        let mut digest = Sha256::new();
        for (i, table) in self.tables.iter().enumerate() {
            if i > 0 {
                digest.update("\n");
            }
            digest.update(table);
        }
        short(&digest.finalize())
    }
}

fn write<T: Serialize + PartialEq>(text: &mut String, name: &str, table: &T, last: Option<&T>) {
    if last != Some(table) {
        // Serialising numbers, strings and tables with string keys cannot fail.
        *text = toml::to_string(&BTreeMap::from([(name, table)])).unwrap_or_default();
    }
}

/// The first 12 hexadecimal digits.
pub(crate) fn short(digest: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)]));
    digest.iter().take(6).flat_map(digits).collect()
}
