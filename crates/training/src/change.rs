//! What may change between two runs of one trial.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::{Recipe, config::Node};

/// The keys that do not decide what is computed: a run that has not come to its end goes on under other values of them.
///
/// `training.steps` is one of them where the schedule gives every step that was made the same learning rate.
pub const MAY_CHANGE: [&str; 5] = [
    "training.steps",
    "training.log_every",
    "training.checkpoint_every",
    "training.keep_last",
    "training.keep_every",
];

/// A key of two recipes whose values differ, as TOML; none where a recipe does not have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The dotted key.
    pub key: String,
    /// Its value before.
    pub before: Option<String>,
    /// Its value now.
    pub now: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
        write!(
            f,
            "{}: {}, now {}",
            self.key,
            value(&self.before),
            value(&self.now)
        )
    }
}

impl Difference {
    fn may_be(&self) -> bool {
        MAY_CHANGE.contains(&self.key.as_str())
    }
}

/// A change of the recipe of a run under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Updates made under the recipe before.
    pub step: u64,
    /// What has changed.
    #[serde(flatten)]
    pub difference: Difference,
}

/// Why a run of one recipe is not continued under another.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// What was there is no recipe.
    #[error("its recipe cannot be read: {0}")]
    NotARecipe(String),
    /// Keys differ that may not, or that nobody asked to change.
    #[error("these keys differ:{}", listed(.0))]
    Keys(Vec<Difference>),
    /// More updates were made than the recipe asks for.
    #[error("it has made {made} steps already, more than training.steps = {steps}")]
    TooManySteps {
        /// Updates made.
        made: u64,
        /// Updates asked for.
        steps: u64,
    },
    /// A step was made with another learning rate than the recipe has for it.
    #[error(
        "it made step {step} with the learning rate {before:e}, and with training.steps = {steps} the schedule gives \
         {now:e}"
    )]
    Schedule {
        /// The first such step.
        step: u64,
        /// Its learning rate.
        before: f64,
        /// What it would be.
        now: f64,
        /// Updates asked for.
        steps: u64,
    },
}

fn listed(differences: &[Difference]) -> String {
    let line = |difference: &Difference| {
        let note = if difference.may_be() {
            " (may change: give it with --set)"
        } else {
            ""
        };
        format!("\n  {difference}{note}")
    };
    differences.iter().map(line).collect()
}

/// The keys in which two recipes, written as TOML, differ.
///
/// # Errors
/// Where one is not TOML.
pub fn differences(before: &str, now: &str) -> Result<Vec<Difference>, Refusal> {
    let (before, now) = (values(before)?, values(now)?);
    let keys = before
        .keys()
        .chain(now.keys().filter(|key| !before.contains_key(*key)));
    Ok(keys
        .filter(|key| before.get(*key) != now.get(*key))
        .map(|key| Difference {
            key: key.clone(),
            before: before.get(key).cloned(),
            now: now.get(key).cloned(),
        })
        .collect())
}

/// The values by their dotted keys, as TOML.
fn values(toml: &str) -> Result<BTreeMap<String, String>, Refusal> {
    fn walk(table: &Table, prefix: &str, values: &mut BTreeMap<String, String>) {
        for (key, value) in table {
            let key = format!("{prefix}{key}");
            match value {
                Value::Table(table) => walk(table, &format!("{key}."), values),
                value => drop(values.insert(key, value.to_string())),
            }
        }
    }
    let table: Table = toml
        .parse()
        .map_err(|error: toml::de::Error| Refusal::NotARecipe(error.message().to_owned()))?;
    let mut values = BTreeMap::new();
    walk(&table, "", &mut values);
    Ok(values)
}

/// Whether `recipe` continues a run of the recipe `before`, written as TOML, which has made `made` steps: whether it
/// would have computed the same so far. The keys that differ.
///
/// # Errors
/// Where it would not.
pub fn continued(before: &str, recipe: &Recipe, made: u64) -> Result<Vec<Difference>, Refusal> {
    let differences = differences(before, &recipe.to_toml())?;
    if !differences.iter().all(Difference::may_be) {
        let refused = differences.into_iter().filter(|difference| !difference.may_be());
        return Err(Refusal::Keys(refused.collect()));
    }
    let steps = recipe.training.steps;
    if made > steps {
        return Err(Refusal::TooManySteps { made, steps });
    }
    if !differences.is_empty() {
        same_schedule(before, recipe, made)?;
    }
    Ok(differences)
}

fn same_schedule(before: &str, recipe: &Recipe, made: u64) -> Result<(), Refusal> {
    let no_recipe = |reason: String| Refusal::NotARecipe(reason);
    let before = Node::parse("recipe.toml", before)
        .and_then(|node| Recipe::from_node(&node))
        .map_err(|error| no_recipe(error.to_string()))?;
    let before = before.schedule().map_err(|error| no_recipe(error.to_string()))?;
    let now = recipe.schedule().map_err(|error| no_recipe(error.to_string()))?;
    match (0..made).find(|step| before.lr(*step) != now.lr(*step)) {
        None => Ok(()),
        Some(step) => Err(Refusal::Schedule {
            step,
            before: before.lr(step),
            now: now.lr(step),
            steps: recipe.training.steps,
        }),
    }
}
