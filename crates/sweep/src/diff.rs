use std::{
    cmp::Ordering,
    collections::{BTreeSet, HashMap},
    path::Path,
};

use serde::Serialize;

use crate::{
    CompareError, Plan, ResultsFiles, SweepFile, TrialStatus,
    compare::cells,
    configuration::{Configuration, compare_values, varied_keys},
    found::{Found, Results},
    groups::{Group, noise_floor, paired},
    statistics::{Sample, holm, t_test, welch},
    table::Table,
};

/// The share of tables without any difference in which some configuration is said to have moved.
const SIGNIFICANCE: f64 = 0.05;

/// The same configurations in two results directories.
#[derive(Clone, Debug)]
pub struct Diff {
    /// The varied keys, then the fields of [`DiffRow`]; those that moved first.
    pub configurations: Table,
    /// What must be known to read the table, a sentence each.
    pub notes: Vec<String>,
}

/// A row of `diff.csv` behind the varied keys: a configuration in directory A and in directory B.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DiffRow {
    /// Whether it moved.
    pub verdict: Verdict,
    /// Completed trials in A.
    pub n_a: usize,
    /// Completed trials in B.
    pub n_b: usize,
    /// Diverged trials in A.
    pub diverged_a: usize,
    /// Diverged trials in B.
    pub diverged_b: usize,
    /// The mean over seeds of the lowest validation loss in A.
    pub val_loss_a: Option<f64>,
    /// The same in B.
    pub val_loss_b: Option<f64>,
    /// B less A: over the seeds that both have, or of the means where they share none.
    pub difference: Option<f64>,
    /// The standard deviation over seeds, pooled over A and B.
    pub noise_floor: Option<f64>,
    /// The seeds that both have completed.
    pub pairs: usize,
    /// The test: paired by seed, or Welch's where fewer than two seeds are shared.
    pub test: Option<Test>,
    /// The lower end of the difference's 95% interval.
    pub difference_low: Option<f64>,
    /// Its upper end.
    pub difference_high: Option<f64>,
    /// Of the test, two-sided.
    pub p_value: Option<f64>,
    /// `p_value` after Holm's correction over all tests of the table.
    pub p_holm: Option<f64>,
}

/// How a configuration's two sides are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Test {
    /// The paired t-test, by seed.
    Paired,
    /// Welch's t-test.
    Welch,
}

/// What a configuration's two sides say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Beyond the noise: `p_holm` is at most 5%.
    Moved,
    /// More trials diverged on one side.
    Diverged,
    /// Too few seeds have completed to tell a difference from noise, or all of them differ by the same.
    Untested,
    /// Within the noise.
    WithinNoise,
    /// Every shared seed has the same loss, to the last bit.
    Identical,
    /// It is in A alone.
    OnlyA,
    /// It is in B alone.
    OnlyB,
}

/// Compares the same sweep at two commits, on two machines or on two backends: which configurations moved beyond the noise.
///
/// A configuration is all of a recipe but its seed; the trials are those that lie in the directories, whatever their sweep files say.
/// Nothing is written.
///
/// # Errors
/// Where a directory holds no trials, or a file of it cannot be read.
pub fn diff(a: &Path, b: &Path) -> Result<Diff, CompareError> {
    let axes = axes(a);
    let (a, b) = (Results::scan(a)?, Results::scan(b)?);
    let all = || a.trials.iter().chain(&b.trials);
    let keys = keys(axes, &all().map(|trial| &trial.configuration).collect());
    let (of_a, of_b) = (by_configuration(&a.trials), by_configuration(&b.trials));
    let mut seen = BTreeSet::new();
    let configurations = all()
        .map(|trial| &trial.configuration)
        .filter(|configuration| seen.insert(*configuration));
    let mut rows: Vec<(Vec<String>, DiffRow)> = configurations
        .map(|configuration| {
            let none = Group::empty(configuration);
            let row = row(
                of_a.get(configuration).unwrap_or(&none),
                of_b.get(configuration).unwrap_or(&none),
            );
            (cells(&keys, configuration), row)
        })
        .collect();
    judge(&mut rows);
    let mut notes = vec![provenance("A", &a), provenance("B", &b)];
    notes.extend(summary(&rows));
    Ok(Diff {
        configurations: Table::of(&keys, rows),
        notes,
    })
}

/// The keys that a directory's sweep varies; none where it has no sweep, or one that this version cannot plan.
fn axes(directory: &Path) -> Vec<String> {
    let file = SweepFile::read(&ResultsFiles::new(directory).sweep(), &[]);
    let plan = file.and_then(|file| Plan::new(&file));
    plan.map(|plan| plan.axes).unwrap_or_default()
}

/// The sweep's own keys where they tell all configurations apart, else every key that differs.
fn keys(axes: Vec<String>, configurations: &BTreeSet<&Configuration>) -> Vec<String> {
    let told_apart: BTreeSet<Vec<String>> = configurations
        .iter()
        .map(|configuration| cells(&axes, configuration))
        .collect();
    if told_apart.len() == configurations.len() {
        axes
    } else {
        varied_keys(configurations.iter().copied())
    }
}

/// Here the device tells nothing apart: it may be what the directories differ in.
fn by_configuration(trials: &[Found]) -> HashMap<&Configuration, Group<'_>> {
    let mut groups = HashMap::new();
    for trial in trials {
        groups
            .entry(&trial.configuration)
            .or_insert_with(|| Group::empty(&trial.configuration))
            .trials
            .push(trial);
    }
    groups
}

fn row(a: &Group, b: &Group) -> DiffRow {
    let (losses_a, losses_b) = (a.losses(), b.losses());
    let (of_a, of_b) = (Sample::of(&losses_a), Sample::of(&losses_b));
    let differences = paired(a, b);
    let (test, result) = match differences.len() {
        0 | 1 => (Test::Welch, welch(&losses_a, &losses_b)),
        _ => (Test::Paired, t_test(&differences)),
    };
    let of_means = of_a.zip(of_b).map(|(a, b)| b.mean - a.mean);
    let mut row = DiffRow {
        verdict: Verdict::Untested,
        n_a: losses_a.len(),
        n_b: losses_b.len(),
        diverged_a: a.count(TrialStatus::Diverged),
        diverged_b: b.count(TrialStatus::Diverged),
        val_loss_a: of_a.map(|sample| sample.mean),
        val_loss_b: of_b.map(|sample| sample.mean),
        difference: match test {
            Test::Paired => Sample::of(&differences).map(|sample| sample.mean),
            Test::Welch => of_means,
        },
        noise_floor: noise_floor(&losses_a, &losses_b),
        pairs: differences.len(),
        test: result.map(|_| test),
        difference_low: result.map(|result| result.interval.low),
        difference_high: result.map(|result| result.interval.high),
        p_value: result.map(|result| result.p_value),
        p_holm: None,
    };
    let same = !differences.is_empty() && differences.iter().all(|difference| *difference == 0.0);
    row.verdict = match (a.trials.is_empty(), b.trials.is_empty()) {
        (false, true) => Verdict::OnlyA,
        (true, _) => Verdict::OnlyB,
        _ if row.diverged_a != row.diverged_b => Verdict::Diverged,
        _ if same => Verdict::Identical,
        _ => Verdict::Untested,
    };
    row
}

/// Corrects the p-values, says what moved, and sorts: what moved first.
fn judge(rows: &mut [(Vec<String>, DiffRow)]) {
    let p_values: Vec<f64> = rows.iter().filter_map(|(_, row)| row.p_value).collect();
    let tested = rows.iter_mut().filter(|(_, row)| row.p_value.is_some());
    for ((_, row), corrected) in tested.zip(holm(&p_values)) {
        row.p_holm = Some(corrected);
        if corrected <= SIGNIFICANCE {
            row.verdict = Verdict::Moved;
        } else if row.verdict == Verdict::Untested {
            row.verdict = Verdict::WithinNoise;
        }
    }
    let p = |row: &DiffRow| row.p_holm.unwrap_or(f64::INFINITY);
    rows.sort_by(|(keys_a, a), (keys_b, b)| {
        let by_value = || keys_a.iter().zip(keys_b).map(|(a, b)| compare_values(a, b));
        a.verdict
            .cmp(&b.verdict)
            .then(p(a).total_cmp(&p(b)))
            .then(by_value().find(|order| order.is_ne()).unwrap_or(Ordering::Equal))
    });
}

/// Where and with what a directory's trials ran.
fn provenance(name: &str, results: &Results) -> String {
    let ran: BTreeSet<(&str, &str)> = results
        .trials
        .iter()
        .filter_map(|trial| trial.result.as_ref())
        .map(|result| (result.device.as_str(), result.version.as_str()))
        .collect();
    let ran: Vec<String> = ran
        .iter()
        .map(|(device, version)| format!("{device}, cupel {version}"))
        .collect();
    format!(
        "{name}: {} ({})",
        results.files.directory().display(),
        ran.join("; ")
    )
}

fn summary(rows: &[(Vec<String>, DiffRow)]) -> Vec<String> {
    let count = |verdict| rows.iter().filter(|(_, row)| row.verdict == verdict).count();
    let tests = rows.iter().filter(|(_, row)| row.p_value.is_some()).count();
    let mut notes = vec![format!(
        "{} of {} configurations moved beyond the noise: p_holm at most {SIGNIFICANCE}, corrected over {tests} tests; difference: B less A",
        count(Verdict::Moved),
        rows.len(),
    )];
    if count(Verdict::Untested) > 0 {
        notes.push(format!(
            "{} configurations differ and cannot be tested: no significance can be claimed from one seed",
            count(Verdict::Untested)
        ));
    }
    notes
}
