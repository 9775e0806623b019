use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;

use crate::{
    ComparisonRow, TrialStatus,
    configuration::Configuration,
    found::Found,
    statistics::{Sample, bootstrap_interval, holm, t_interval, t_test, wilcoxon},
};

/// Every bootstrap begins here, so that a comparison is a pure function of the trials.
const SEED: u64 = 0;

/// A configuration on a device, over its seeds.
pub(crate) struct Group<'a> {
    pub configuration: &'a Configuration,
    pub device: Option<String>,
    pub trials: Vec<&'a Found>,
}

/// The trials by configuration and device, in the order of their first ones.
///
/// What has no result has no device either, and belongs to the configuration wherever it ran.
pub(crate) fn groups<'a>(trials: impl IntoIterator<Item = &'a Found>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut of_configuration: HashMap<&Configuration, Vec<usize>> = HashMap::new();
    for trial in trials {
        let device = trial.device();
        let candidates = of_configuration.entry(&trial.configuration).or_default();
        let fits = |group: &Group| device.is_none() || group.device.is_none() || group.device == device;
        match candidates.iter().find(|index| fits(&groups[**index])) {
            Some(&index) => {
                let group = &mut groups[index];
                group.device = group.device.take().or(device);
                group.trials.push(trial);
            }
            None => {
                candidates.push(groups.len());
                groups.push(Group {
                    device,
                    trials: vec![trial],
                    ..Group::empty(&trial.configuration)
                });
            }
        }
    }
    groups
}

impl<'a> Group<'a> {
    /// No trials yet, on no device.
    pub fn empty(configuration: &'a Configuration) -> Self {
        Self {
            configuration,
            device: None,
            trials: Vec::new(),
        }
    }

    pub fn count(&self, status: TrialStatus) -> usize {
        self.trials
            .iter()
            .filter(|trial| trial.status() == status)
            .count()
    }

    /// The losses of the completed trials.
    pub fn losses(&self) -> Vec<f64> {
        self.trials.iter().filter_map(|trial| trial.val_loss()).collect()
    }

    /// The loss of each seed; the mean where several directories hold a trial of it.
    fn by_seed(&self) -> BTreeMap<u64, f64> {
        let mut all: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for trial in &self.trials {
            if let Some(loss) = trial.val_loss() {
                all.entry(trial.seed).or_default().push(loss);
            }
        }
        all.into_iter()
            .filter_map(|(seed, losses)| Some((seed, Sample::of(&losses)?.mean)))
            .collect()
    }
}

/// `b - a` for every seed that both have completed.
pub(crate) fn paired(a: &Group, b: &Group) -> Vec<f64> {
    let (a, b) = (a.by_seed(), b.by_seed());
    b.iter().filter_map(|(seed, b)| Some(b - a.get(seed)?)).collect()
}

/// The standard deviation over seeds that two configurations have between them, each over its own mean: what a difference between
/// them has to be seen beside.
pub(crate) fn noise_floor(a: &[f64], b: &[f64]) -> Option<f64> {
    let parts = [a, b].map(|losses| {
        let sample = Sample::of(losses)?;
        Some((sample.sd?.powi(2), (sample.n - 1) as f64))
    });
    let (squares, degrees) = parts
        .iter()
        .flatten()
        .fold((0.0, 0.0), |(squares, degrees), (variance, of_it)| {
            (squares + variance * of_it, degrees + of_it)
        });
    (degrees > 0.0).then(|| (squares / degrees).sqrt())
}

/// A row for each group: its own numbers, and its difference from the baseline on the same device.
pub(crate) fn rows(groups: &[Group], base: &Configuration) -> Vec<ComparisonRow> {
    let bases: HashMap<&Option<String>, &Group> = groups
        .iter()
        .filter(|group| group.configuration == base)
        .map(|group| (&group.device, group))
        .collect();
    let mut rows: Vec<ComparisonRow> = groups
        .par_iter()
        .map(|group| row(group, bases.get(&group.device).copied()))
        .collect();
    correct(&mut rows);
    rank(&mut rows);
    rows
}

fn row(group: &Group, base: Option<&Group>) -> ComparisonRow {
    let losses = group.losses();
    let sample = Sample::of(&losses);
    let interval = t_interval(&losses);
    let bootstrap = bootstrap_interval(&losses, SEED);
    let mean = sample.map(|sample| sample.mean);
    let differences = base.map(|base| paired(base, group)).unwrap_or_default();
    let is_base = base.is_some_and(|base| std::ptr::eq(base, group));
    let test = t_test(&differences);
    ComparisonRow {
        device: group.device.clone(),
        n: losses.len(),
        diverged: group.count(TrialStatus::Diverged),
        failed: group.count(TrialStatus::Failed),
        pending: group.count(TrialStatus::Pending),
        val_loss: mean,
        val_loss_sd: sample.and_then(|sample| sample.sd),
        val_loss_se: sample.and_then(|sample| sample.se()),
        val_loss_low: interval.map(|interval| interval.low),
        val_loss_high: interval.map(|interval| interval.high),
        bootstrap_low: bootstrap.map(|interval| interval.low),
        bootstrap_high: bootstrap.map(|interval| interval.high),
        perplexity: mean.map(f64::exp),
        difference: Sample::of(&differences).map(|sample| sample.mean),
        noise_floor: base.and_then(|base| noise_floor(&base.losses(), &losses)),
        pairs: if is_base { 0 } else { differences.len() },
        difference_low: test.map(|test| test.interval.low),
        difference_high: test.map(|test| test.interval.high),
        p_value: test.map(|test| test.p_value),
        p_holm: None,
        p_wilcoxon: wilcoxon(&differences),
        rank: 0,
    }
}

fn correct(rows: &mut [ComparisonRow]) {
    let p_values: Vec<f64> = rows.iter().filter_map(|row| row.p_value).collect();
    let tested = rows.iter_mut().filter(|row| row.p_value.is_some());
    for (row, corrected) in tested.zip(holm(&p_values)) {
        row.p_holm = Some(corrected);
    }
}

/// By the mean; those in which trials diverged behind all others, those in which more of them did behind those.
fn rank(rows: &mut [ComparisonRow]) {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let loss = |row: &ComparisonRow| row.val_loss.unwrap_or(f64::INFINITY);
    order.sort_by(|a, b| {
        let (a, b) = (&rows[*a], &rows[*b]);
        a.diverged
            .cmp(&b.diverged)
            .then_with(|| loss(a).total_cmp(&loss(b)))
    });
    for (index, rank) in order.into_iter().zip(1..) {
        rows[index].rank = rank;
    }
}
