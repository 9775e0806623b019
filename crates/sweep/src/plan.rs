use std::collections::BTreeMap;

use toml::Value;
use training::{
    Recipe, RunError,
    config::{ConfigError, Node, NodeKind},
};

use crate::{
    SweepFile, TrialId,
    configuration::{Configuration, configuration},
    file::SEED,
};

/// Every trial of a sweep, spelt out: a pure function of the sweep file.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The sweep's name.
    pub name: String,
    /// The sweep file as it stands alone.
    pub toml: String,
    /// The keys that vary, in the order of writing.
    pub axes: Vec<String>,
    /// The trials: the last axis fastest, and for each point the seeds.
    pub trials: Vec<Trial>,
    /// The configuration that the others are compared with: the base recipe's where it is in the grid, else the first.
    pub(crate) base: Configuration,
}

/// One trial of a plan.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Its name.
    pub id: TrialId,
    /// Its resolved recipe.
    pub recipe: Recipe,
    /// The keys that vary and their values, the seed among them where there are several.
    pub varied: Vec<(String, String)>,
}

impl Plan {
    /// Spells every trial of a sweep out.
    ///
    /// # Errors
    /// Where a point of the grid is no recipe, or two of them are the same.
    pub fn new(file: &SweepFile) -> Result<Self, ConfigError> {
        let mut trials: Vec<Trial> = Vec::new();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for point in points(file) {
            let mut node = file.base.clone();
            for (key, value) in &point {
                node.set(key, (*value).clone());
            }
            let recipe = Recipe::from_node(&node)?;
            let varied: Vec<(String, String)> = point
                .iter()
                .filter(|(key, _)| *key != SEED || file.seeds.len() > 1)
                .map(|(key, value)| ((*key).to_owned(), display(value)))
                .collect();
            let hash = recipe.hash();
            if let Some(first) = seen.insert(hash.clone(), trials.len()) {
                return Err(same_hash(&trials[first], &recipe, &point));
            }
            // Tables and lists would make long names, and the hash tells trials apart.
            let scalar = |key: &str| {
                let value = point.iter().find(|(other, _)| *other == key);
                value.is_some_and(|(_, value)| matches!(value.kind, NodeKind::Scalar(_)))
            };
            let named: Vec<_> = varied.iter().filter(|(key, _)| scalar(key)).cloned().collect();
            trials.push(Trial {
                id: TrialId::new(hash, &named),
                recipe,
                varied,
            });
        }
        Ok(Self {
            name: file.name.clone(),
            toml: file.to_toml(),
            axes: keys(file),
            base: base(file, &trials),
            trials,
        })
    }

    /// Opens the text of every trial, so that a missing one is found before anything runs, and is tokenized once for all.
    ///
    /// # Errors
    /// Where a text is not there, is no text, or is too short.
    pub fn check_texts(&self) -> Result<(), RunError> {
        let mut checked = Vec::new();
        for Trial { recipe, .. } in &self.trials {
            let text = (&recipe.data, recipe.model.context);
            if !checked.contains(&text) {
                recipe.open_text()?;
                checked.push(text);
            }
        }
        Ok(())
    }

    /// Tokens that all trials learn from.
    pub fn tokens(&self) -> u64 {
        self.trials.iter().map(Trial::tokens).sum()
    }
}

impl Trial {
    /// Tokens that the trial learns from.
    pub fn tokens(&self) -> u64 {
        self.recipe.tokens_per_step() * self.recipe.training.steps
    }
}

/// The keys that vary, in the order of writing.
fn keys(file: &SweepFile) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for axis in file.grids.iter().flatten() {
        if !keys.contains(&axis.key) {
            keys.push(axis.key.clone());
        }
    }
    keys
}

/// The grids one after the other, in each the last axis fastest, and the seeds faster still.
fn points(file: &SweepFile) -> Vec<Vec<(&str, &Node)>> {
    let seeds = (!file.seeds.is_empty()).then_some((SEED, &file.seeds));
    let mut all = Vec::new();
    for axes in &file.grids {
        let mut points = vec![Vec::new()];
        for (key, values) in axes
            .iter()
            .map(|axis| (axis.key.as_str(), &axis.values))
            .chain(seeds)
        {
            let extend = |point: Vec<_>| {
                values
                    .iter()
                    .map(move |value| point.iter().copied().chain([(key, value)]).collect())
            };
            points = points.into_iter().flat_map(extend).collect();
        }
        all.extend(points);
    }
    all
}

/// The configuration of the base recipe where the grid holds it, else of the first trial.
fn base(file: &SweepFile, trials: &[Trial]) -> Configuration {
    let of_base = Recipe::from_node(&file.base)
        .ok()
        .map(|recipe| configuration(&recipe));
    let mut all = trials.iter().map(|trial| configuration(&trial.recipe));
    let first = all.next().unwrap_or_default();
    match of_base {
        Some(base) if all.any(|other| other == base) => base,
        _ => first,
    }
}

fn same_hash(first: &Trial, recipe: &Recipe, point: &[(&str, &Node)]) -> ConfigError {
    let Some((key, value)) = point.last() else {
        return ConfigError::nowhere("two trials are the same");
    };
    if first.recipe != *recipe {
        return ConfigError::at(
            &value.place,
            "two different recipes have the same hash",
            "the second of them here",
        )
        .help(format!(
            "change any key that does not matter, such as training.log_every, to tell {key} apart"
        ));
    }
    ConfigError::at(
        &value.place,
        "two points of the sweep are the same recipe",
        "the second of them ends here",
    )
    .help("remove a value that stands twice, or an axis that another key overrides")
}

/// A value as a person writes it.
fn display(node: &Node) -> String {
    match &node.kind {
        NodeKind::Scalar(Value::String(text)) => text.clone(),
        _ => node.to_value().to_string(),
    }
}
