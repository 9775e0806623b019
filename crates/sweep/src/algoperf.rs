use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    CompareError,
    compare::{cells, keys},
    found::Results,
    groups::groups,
    statistics::{median, profile, profile_score},
    table::{Table, number},
    target::{runs, timeless_runs, without_speed},
};

/// Up to how many times the best submission's time a submission scores on a workload: AlgoPerf's.
const GREATEST_RATIO: f64 = 4.0;
/// The steps of the profile's table between 1 and the greatest ratio.
const PROFILE_STEPS: usize = 60;

/// Submissions over workloads, as AlgoPerf scores them.
#[derive(Clone, Debug)]
pub struct Algoperf {
    /// `submission`, `score`, and for each workload the seconds to its target; best first.
    pub scores: Table,
    /// `tau`, and for each submission the share of workloads that it trains within `tau` times the best submission's time.
    pub profiles: Table,
    /// What must be known to read the tables, a sentence each.
    pub notes: Vec<String>,
}

/// Scores configurations as AlgoPerf does (Dahl et al. 2023): by the time to a target loss, and the performance profile over
/// workloads.
///
/// Each directory is a workload, with the target loss that stands in its place, or the only one. A submission is a configuration by
/// the values of the keys that its directory varies, on its device where there are several. Its time on a workload is the median over
/// seeds of the seconds to the target, infinite where half of the trials never reach it, and where the workload lacks the submission.
/// Its score is [`profile_score`](crate::statistics::profile_score), up to 4 times the best time.
///
/// # Errors
/// Where there are neither one target nor as many as directories, a directory holds no trials, or a file cannot be read.
pub fn algoperf(directories: &[PathBuf], targets: &[f64]) -> Result<Algoperf, CompareError> {
    let wrong = CompareError::Targets {
        workloads: directories.len(),
        targets: targets.len(),
    };
    let targets: Vec<f64> = match targets {
        [target] => vec![*target; directories.len()],
        _ if targets.len() == directories.len() => targets.to_vec(),
        _ => return Err(wrong),
    };
    let mut workloads = Vec::new();
    let mut timeless = 0;
    // The seconds of each submission on each workload.
    let mut times: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::new();
    for (place, (directory, target)) in directories.iter().zip(targets).enumerate() {
        let results = [Results::read(directory)?];
        let keys = keys(&results);
        let groups = groups(&results[0].trials);
        let first = groups.iter().find_map(|group| group.device.as_ref());
        let several = groups
            .iter()
            .any(|group| group.device.is_some() && group.device.as_ref() != first);
        for group in &groups {
            let mut parts: Vec<String> = keys
                .iter()
                .zip(cells(&keys, group.configuration))
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            parts.extend(group.device.clone().filter(|_| several));
            let runs = runs(group, target)?;
            timeless += timeless_runs(&runs);
            let seconds: Vec<_> = runs
                .iter()
                .map(|run| run.and_then(|reached| reached.seconds))
                .collect();
            let submission = times
                .entry(parts.join(" "))
                .or_insert_with(|| vec![None; directories.len()]);
            submission[place] = median(&seconds);
        }
        workloads.push(results[0].name());
    }
    let mut notes = vec![format!(
        "score: the mean height of the performance profile up to {GREATEST_RATIO} times the best time; empty: the target was not reached"
    )];
    notes.extend(without_speed(timeless));
    let best: Vec<f64> = (0..workloads.len())
        .map(|place| {
            times
                .values()
                .filter_map(|of| of[place])
                .fold(f64::INFINITY, f64::min)
        })
        .collect();
    for (workload, _) in workloads.iter().zip(&best).filter(|(_, best)| best.is_infinite()) {
        notes.push(format!(
            "no submission reached the target of {workload}, and all scores are the lower for it"
        ));
    }
    let mut submissions: Vec<Submission> = times
        .into_iter()
        .map(|(name, seconds)| Submission::new(name, seconds, &best))
        .collect();
    submissions.sort_by(|a, b| b.score.total_cmp(&a.score));
    Ok(Algoperf {
        scores: scores(&workloads, &submissions),
        profiles: profiles(&submissions),
        notes,
    })
}

struct Submission {
    name: String,
    seconds: Vec<Option<f64>>,
    ratios: Vec<Option<f64>>,
    score: f64,
}

impl Submission {
    fn new(name: String, seconds: Vec<Option<f64>>, best: &[f64]) -> Self {
        // A time of 0 is an evaluation before the first step, and as good as any other.
        let ratio = |own: f64, best: f64| if own == best { 1.0 } else { own / best };
        let ratios: Vec<Option<f64>> = seconds
            .iter()
            .zip(best)
            .map(|(own, best)| own.map(|own| ratio(own, *best)))
            .collect();
        Self {
            score: profile_score(&ratios, GREATEST_RATIO),
            name,
            seconds,
            ratios,
        }
    }
}

fn scores(workloads: &[String], submissions: &[Submission]) -> Table {
    let columns = ["submission", "score"].map(str::to_owned);
    Table {
        columns: columns.iter().chain(workloads).cloned().collect(),
        rows: submissions
            .iter()
            .map(|submission| {
                let seconds = submission.seconds.iter().map(|seconds| number(*seconds));
                [submission.name.clone(), submission.score.to_string()]
                    .into_iter()
                    .chain(seconds)
                    .collect()
            })
            .collect(),
    }
}

fn profiles(submissions: &[Submission]) -> Table {
    let names = submissions.iter().map(|submission| submission.name.clone());
    let row = |step: usize| {
        let tau = 1.0 + (GREATEST_RATIO - 1.0) * step as f64 / PROFILE_STEPS as f64;
        let heights = submissions
            .iter()
            .map(|submission| profile(&submission.ratios, tau).to_string());
        std::iter::once(tau.to_string()).chain(heights).collect()
    };
    Table {
        columns: std::iter::once("tau".to_owned()).chain(names).collect(),
        rows: (0..=PROFILE_STEPS).map(row).collect(),
    }
}
