use std::{
    io,
    path::{Path, PathBuf},
};

use training::config::ConfigError;

use crate::{
    ComparisonRow,
    configuration::{Configuration, varied_keys},
    curves,
    effects::{Effects, effects},
    found::{Found, Results},
    groups::{groups, rows},
    table::Table,
};

/// Configurations side by side, best first, and what their keys do.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The varied keys, then the fields of [`ComparisonRow`], as `comparison.csv` has them.
    pub configurations: Table,
    /// The fields of [`EffectRow`](crate::EffectRow), as `effects.csv` has them; without rows where the trials are no grid.
    pub effects: Table,
    /// What must be known to read the tables, a sentence each.
    pub notes: Vec<String>,
    /// The loss that knowing the tokens' frequencies is worth, where it is the same for all trials.
    pub unigram_entropy: Option<f64>,
}

/// Why trials could not be compared.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum CompareError {
    /// There is nothing to compare.
    #[error("{0} holds no trials")]
    #[diagnostic(help(
        "name a results directory, such as results/quickstart, or the directory of one trial"
    ))]
    NoTrials(String),
    /// No such column.
    #[error("there is no column `{column}` to sort by")]
    #[diagnostic(help("the columns are {columns}"))]
    NoSuchColumn {
        /// What was asked for.
        column: String,
        /// What there is.
        columns: String,
    },
    /// A protocol that counts the time to a target has none.
    #[error("{workloads} workloads and {targets} target losses")]
    #[diagnostic(help(
        "give --target LOSS once for all workloads, or once for each, in the order of the directories"
    ))]
    Targets {
        /// The directories.
        workloads: usize,
        /// The targets.
        targets: usize,
    },
    /// A file.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A sweep file or a recipe.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] ConfigError),
}

impl CompareError {
    pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.display().to_string();
        move |source| Self::Io {
            path: path.clone(),
            source,
        }
    }
}

/// Rebuilds the CSVs of each results directory from its trials, and compares the trials of all of them.
///
/// # Errors
/// Where a directory holds no trials, or a file of it cannot be read or written.
pub fn compare(directories: &[PathBuf]) -> Result<Comparison, CompareError> {
    let mut all = Vec::new();
    for directory in directories {
        all.push(Results::read(directory)?);
    }
    let mut last = None;
    for results in all.iter().filter(|results| results.plan.is_some()) {
        let comparison = Comparison::new(std::slice::from_ref(results));
        comparison.write(results)?;
        last = Some(comparison);
    }
    Ok(match (last, &all[..]) {
        (Some(comparison), [_]) => comparison,
        _ => Comparison::new(&all),
    })
}

/// The keys that tell the configurations of some directories apart.
pub(crate) fn keys(all: &[Results]) -> Vec<String> {
    if let [Results { plan: Some(plan), .. }] = all {
        return plan.axes.clone();
    }
    varied_keys(trials(all).map(|trial| &trial.configuration))
}

pub(crate) fn trials(all: &[Results]) -> impl Iterator<Item = &Found> {
    all.iter().flat_map(|results| &results.trials)
}

/// The values of some keys.
pub(crate) fn cells(keys: &[String], configuration: &Configuration) -> Vec<String> {
    keys.iter()
        .map(|key| configuration.get(key).cloned().unwrap_or_default())
        .collect()
}

impl Comparison {
    fn new(all: &[Results]) -> Self {
        let keys = keys(all);
        let groups = groups(trials(all));
        let base = all
            .iter()
            .find_map(|results| results.plan.as_ref())
            .map(|plan| &plan.base)
            .or_else(|| trials(all).next().map(|trial| &trial.configuration));
        let empty = Configuration::new();
        let base = base.unwrap_or(&empty);
        let mut rows: Vec<(Vec<String>, ComparisonRow)> = rows(&groups, base)
            .into_iter()
            .zip(&groups)
            .map(|(row, group)| (cells(&keys, group.configuration), row))
            .collect();
        rows.sort_by_key(|(_, row)| row.rank);
        let Effects { table, note } = effects(&keys, trials(all));
        let mut notes = notes(&rows, &keys, base);
        notes.extend(note);

        let mut entropies = trials(all).filter_map(|trial| Some(trial.result.as_ref()?.unigram_entropy));
        let first = entropies.next();
        Self {
            configurations: Table::of(&keys, rows),
            effects: table,
            notes,
            unigram_entropy: first.filter(|first| entropies.all(|other| other == *first)),
        }
    }

    fn write(&self, results: &Results) -> Result<(), CompareError> {
        let files = &results.files;
        trials_table(&keys(std::slice::from_ref(results)), &results.trials).write(&files.trials_csv())?;
        curves::write(&files.curves_csv(), &results.trials)?;
        self.configurations.write(&files.comparison_csv())?;
        self.effects.write(&files.effects_csv())
    }
}

fn trials_table(keys: &[String], trials: &[Found]) -> Table {
    let columns: Vec<String> = std::iter::once("trial".to_owned())
        .chain(keys.iter().cloned())
        .collect();
    let rows = trials.iter().map(|trial| {
        let mut row = vec![trial.name.clone()];
        row.extend(cells(keys, &trial.configuration));
        (row, trial.row())
    });
    Table::of(&columns, rows.collect())
}

/// What a reader of the comparison has to know before believing it.
fn notes(rows: &[(Vec<String>, ComparisonRow)], keys: &[String], base: &Configuration) -> Vec<String> {
    let mut notes = Vec::new();
    if rows.len() < 2 {
        return notes;
    }
    let count = |of: fn(&ComparisonRow) -> bool| rows.iter().filter(|(_, row)| of(row)).count();
    let tests = count(|row| row.p_value.is_some());
    let named: Vec<String> = keys
        .iter()
        .zip(cells(keys, base))
        .map(|(key, value)| format!("{key} = {value}"))
        .collect();
    notes.push(format!("baseline: {}", named.join(", ")));
    if tests > 0 {
        notes.push(format!(
            "difference: from the baseline, paired by seed, beside noise_floor, the standard deviation over seeds; p_value: paired \
             t-test; p_holm: corrected over the {tests} tests of this table; _low and _high: 95% t interval"
        ));
    }
    let all = rows.len();
    match (count(|row| row.n == 1), count(|row| row.n > 1)) {
        (0, _) => {}
        (_, 0) => notes.push(
            "no configuration has more than one completed seed: no significance can be claimed for any difference"
                .to_owned(),
        ),
        (single, _) => notes.push(format!(
            "one completed seed in {single} of {all} configurations: no significance can be claimed for their differences"
        )),
    }
    let diverged = count(|row| row.diverged > 0);
    if diverged > 0 {
        notes.push(format!(
            "diverged trials in {diverged} of {all} configurations: those are ranked last, and their means are over the other seeds \
             alone"
        ));
    }
    notes
}
