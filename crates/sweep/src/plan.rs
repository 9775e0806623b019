use std::io;

use toml::Value;
use training::{
    Recipe, RunError,
    config::{ConfigError, Node, NodeKind},
};

use crate::{
    History, Method, ResultsFiles, SweepFile, TrialId,
    configuration::{Configuration, configuration},
    planner::Planner,
};

/// Every trial of a sweep, spelt out: a pure function of the sweep file, and where the method learns from its trials, of
/// what they came to so far.
///
/// ```
/// use std::path::Path;
/// use sweep::{Plan, SweepFile};
/// use training::config::Node;
///
/// let text = "
///     name = 'rates'
///     method = { name = 'sobol', points = 8 }
///     axes = { schedule.lr = { log-uniform = [1e-4, 1e-2] }, model.dropout = [0.0, 0.1] }
///     base = { model.preset = 'tiny', schedule.warmup = 10, training = { steps = 50, accumulate = 1 } }
/// ";
/// let file = SweepFile::from_node(&Node::parse("sweep.toml", text)?, Path::new("."), &[])?;
/// let plan = Plan::new(&file)?;
/// assert_eq!(plan.trials.len(), 8);
/// assert!(plan.trials.iter().all(|trial| (1e-4..=1e-2).contains(&trial.recipe.schedule.lr)));
/// # Ok::<(), training::config::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plan {
    /// The sweep's name.
    pub name: String,
    /// The sweep file as it stands alone.
    pub toml: String,
    /// The keys that vary, in the order of writing; without those that are derived.
    pub axes: Vec<String>,
    /// The trials: point by point in the method's order, and for each point the seeds.
    pub trials: Vec<Trial>,
    /// Points that are no trials because a condition of `skip` holds for them.
    pub skipped: usize,
    /// Points that follow once these trials have their results.
    pub to_come: usize,
    /// The configuration that the others are compared with: the base recipe's where it is in the plan, else the first.
    pub(crate) base: Configuration,
}

/// One trial of a plan.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Its name.
    pub id: TrialId,
    /// Its resolved recipe.
    pub recipe: Recipe,
}

impl Plan {
    /// Spells every trial of a sweep out, as far as they are known before any is run.
    ///
    /// # Errors
    /// Where a point is no recipe, two points of a grid or a list are the same, or `skip` leaves none.
    pub fn new(file: &SweepFile) -> Result<Self, ConfigError> {
        Self::ask(file, &History::default())
    }

    /// Spells every trial of a sweep out, as far as they follow from what is known of them.
    ///
    /// The trials for a longer history begin with those for a shorter one, as long as no result changes.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn ask(file: &SweepFile, history: &History) -> Result<Self, ConfigError> {
        let mut planner = Planner::new(file)?;
        let mut to_come = 0;
        for space in &file.spaces {
            to_come += planner.add(space, history)?;
        }
        let (trials, skipped) = planner.finish()?;
        Ok(Self {
            name: file.name.clone(),
            toml: file.to_toml(),
            axes: keys(file),
            base: base(file, &trials),
            skipped,
            to_come,
            trials,
        })
    }

    /// The plan of a sweep whose results are in `files`.
    ///
    /// # Errors
    /// As [`new`](Self::new), in the inner result; and where results cannot be read.
    pub fn of_results(file: &SweepFile, files: &ResultsFiles) -> io::Result<Result<Self, ConfigError>> {
        let history = match file.method {
            Method::Tpe(_) => History::read(files)?,
            _ => History::default(),
        };
        Ok(Self::ask(file, &history))
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
    for key in file.spaces.iter().flat_map(|space| space.keys()) {
        if !keys.iter().any(|known| known == key) {
            keys.push(key.to_owned());
        }
    }
    keys
}

/// The configuration of the base recipe where the plan holds it, else of the first trial.
fn base(file: &SweepFile, trials: &[Trial]) -> Configuration {
    let first = trials.first().map(|trial| &trial.recipe);
    let base = Recipe::from_node(&file.base).ok();
    let planned = base.as_ref().filter(|base| {
        let mut base = (*base).clone();
        trials.iter().any(|trial| {
            base.training.seed = trial.recipe.training.seed;
            base == trial.recipe
        })
    });
    planned.or(first).map(configuration).unwrap_or_default()
}

/// A value as a person writes it.
pub(crate) fn display(node: &Node) -> String {
    match &node.kind {
        NodeKind::Scalar(Value::String(text)) => text.clone(),
        _ => node.to_value().to_string(),
    }
}
