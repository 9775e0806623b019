use std::sync::LazyLock;

use serde::{Serialize, de::DeserializeOwned};
use toml::Value;

use crate::{
    Recipe,
    config::{ConfigError, Node, NodeKind, check, check_entry},
};

/// A recipe on its way: each key read and checked by itself, the keys not yet checked against one another, and those
/// that follow from others not yet computed.
///
/// A sweep sets a few keys for each of its trials; only the tables whose values change are read again.
///
/// ```
/// use training::{Draft, config::Node};
///
/// let base = Node::parse("recipe.toml", "model.preset = 'tiny'\ntraining = { steps = 100, accumulate = 1 }")?;
/// let mut draft = Draft::new(base)?;
/// // The default warm-up of 2000 steps is longer than this run.
/// assert!(draft.resolve().is_err());
/// let warmup = Node::parse_assignment("schedule.warmup=10")?;
/// draft.set(warmup.leaves().iter().map(|(key, value)| (key.as_str(), *value)))?;
/// assert_eq!(draft.resolve()?.schedule.warmup, 10);
/// # Ok::<(), training::config::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Draft {
    node: Node,
    recipe: Recipe,
}

static DEFAULTS: LazyLock<Value> =
    LazyLock::new(|| Value::try_from(Recipe::default()).unwrap_or(Value::Boolean(false)));

impl Draft {
    /// The draft that a node spells out.
    ///
    /// # Errors
    /// An unknown key, a wrong type, or a value out of its range, at its place.
    pub fn new(mut node: Node) -> Result<Self, ConfigError> {
        let tables: Vec<String> = node.entries().iter().map(|(table, _)| table.clone()).collect();
        for table in &tables {
            name_variant(&mut node, table);
        }
        check(&node, "", Recipe::schema())?;
        let recipe = read(&node)?;
        Ok(Self { node, recipe })
    }

    /// Sets keys to values, all of them before any is checked.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn set<'a>(
        &mut self,
        changes: impl IntoIterator<Item = (&'a str, &'a Node)>,
    ) -> Result<(), ConfigError> {
        let mut changed: Vec<&str> = Vec::new();
        for (key, value) in changes {
            let table = key.split('.').next().unwrap_or(key);
            let same = self.node.get(key).is_some_and(|there| there.is_equal(value));
            if !same && !changed.contains(&table) {
                changed.push(table);
            }
            self.node.set(key, value.clone());
        }
        changed.into_iter().try_for_each(|table| self.read_table(table))
    }

    /// The value of a scalar key: as it was set, or else its default, `training.accumulate` and `training.batch_tokens`
    /// each as it follows from the other. None where the recipe has no such key, or its default follows from others.
    pub fn value(&self, key: &str) -> Option<Value> {
        let (table, rest) = key.split_once('.')?;
        if let "training.accumulate" | "training.batch_tokens" = key {
            let mut training = self.recipe.training.clone();
            training.accumulate = Some(self.recipe.micro_steps_from_batch_tokens(&self.node).ok()?);
            let recipe = Recipe {
                training,
                ..self.recipe.clone()
            };
            let number = match rest {
                "accumulate" => recipe.accumulate(),
                _ => recipe.tokens_per_step(),
            };
            return i64::try_from(number).ok().map(Value::Integer);
        }
        if let Some(node) = self.node.get(key) {
            return match &node.kind {
                NodeKind::Scalar(value) => Some(value.clone()),
                _ => None,
            };
        }
        let recipe = &self.recipe;
        let keys = match table {
            "data" => keys(&recipe.data),
            "model" => keys(&recipe.model),
            "loss" => keys(&recipe.loss),
            "optimizer" => keys(&recipe.optimizer),
            "schedule" => keys(&recipe.schedule),
            "training" => keys(&recipe.training),
            _ => None,
        };
        keys?.get(rest).cloned()
    }

    /// The recipe, its keys checked against one another, every default written out and every derived key computed.
    ///
    /// # Errors
    /// Keys that contradict each other, at the place of one of them.
    pub fn resolve(&self) -> Result<Recipe, ConfigError> {
        self.recipe.clone().resolve(&self.node)
    }

    fn read_table(&mut self, table: &str) -> Result<(), ConfigError> {
        name_variant(&mut self.node, table);
        check_entry(&self.node, table, Recipe::schema())?;
        let Some(node) = self.node.get(table) else {
            return Ok(());
        };
        let recipe = &mut self.recipe;
        match table {
            "data" => recipe.data = read(node)?,
            "model" => recipe.model = read(node)?,
            "loss" => recipe.loss = read(node)?,
            "optimizer" => recipe.optimizer = read(node)?,
            "schedule" => recipe.schedule = read(node)?,
            "training" => recipe.training = read(node)?,
            _ => *recipe = read(&self.node)?,
        }
        Ok(())
    }
}

/// Reads what has been checked.
fn read<T: DeserializeOwned>(node: &Node) -> Result<T, ConfigError> {
    node.to_value().try_into().map_err(|error: toml::de::Error| {
        ConfigError::at(&node.place, error.message().to_owned(), "in this table")
    })
}

fn keys(table: &impl Serialize) -> Option<Value> {
    Value::try_from(table).ok()
}

/// Writes the default `name` into a table that has variants and names none.
fn name_variant(node: &mut Node, table: &str) {
    let Some(value) = node.get(table) else { return };
    if let (NodeKind::Table(_), None, Some(Value::String(name))) = (
        &value.kind,
        value.get("name"),
        DEFAULTS.get(table).and_then(|table| table.get("name")),
    ) {
        let name = Node {
            kind: NodeKind::Scalar(Value::String(name.clone())),
            ..value.clone()
        };
        node.set(&format!("{table}.name"), name);
    }
}
