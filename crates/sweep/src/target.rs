use std::{
    io,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use training::{CurveRow, read_curve};

use crate::{
    CompareError, TargetRow, TrialStatus,
    compare::{cells, keys, trials},
    found::{Found, Results},
    groups::{Group, groups},
    statistics::median,
    table::Table,
};

/// What a trial had spent when it first evaluated to a target loss or below.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reached {
    pub steps: u64,
    pub tokens: u64,
    /// None where the curve lacks the speed of a part of the way.
    pub seconds: Option<f64>,
}

/// The time, tokens and steps that configurations took to a target loss.
#[derive(Clone, Debug)]
pub struct ToTarget {
    /// The varied keys, then the fields of [`TargetRow`], as `target.csv` has them; the fastest in tokens first.
    pub configurations: Table,
    /// What must be known to read the table, a sentence each.
    pub notes: Vec<String>,
}

/// How soon the configurations of some results directories reached a validation loss, in nats per token; for one directory, written
/// there as `target.csv`.
///
/// # Errors
/// Where a directory holds no trials, or a file of it cannot be read or written.
pub fn to_target(directories: &[PathBuf], target: f64) -> Result<ToTarget, CompareError> {
    let mut all = Vec::new();
    for directory in directories {
        all.push(Results::read(directory)?);
    }
    let keys = keys(&all);
    let mut timeless = 0;
    let mut rows = Vec::new();
    for group in groups(trials(&all)) {
        let runs = runs(&group, target)?;
        timeless += timeless_runs(&runs);
        let cost = |of: fn(&Reached) -> Option<f64>| {
            let costs: Vec<_> = runs.iter().map(|run| run.as_ref().and_then(of)).collect();
            median(&costs)
        };
        let row = TargetRow {
            device: group.device.clone(),
            target,
            trials: runs.len(),
            reached: runs.iter().flatten().count(),
            steps_to_target: cost(|reached| Some(reached.steps as f64)),
            tokens_to_target: cost(|reached| Some(reached.tokens as f64)),
            seconds_to_target: cost(|reached| reached.seconds),
        };
        rows.push((cells(&keys, group.configuration), row));
    }
    let tokens = |row: &TargetRow| row.tokens_to_target.unwrap_or(f64::INFINITY);
    rows.sort_by(|(_, a), (_, b)| tokens(a).total_cmp(&tokens(b)).then(b.reached.cmp(&a.reached)));
    let configurations = Table::of(&keys, rows);
    if let [results] = &all[..] {
        configurations.write(&results.files.target_csv())?;
    }
    let mut notes = vec![
        "steps, tokens and seconds: medians over the trials, one that never evaluated to the target counting as infinite".to_owned(),
    ];
    notes.extend(without_speed(timeless));
    Ok(ToTarget {
        configurations,
        notes,
    })
}

/// When each completed or diverged trial of a group reached the target, if it did.
pub(crate) fn runs(group: &Group, target: f64) -> Result<Vec<Option<Reached>>, CompareError> {
    let ended = |trial: &&&Found| matches!(trial.status(), TrialStatus::Completed | TrialStatus::Diverged);
    let trials: Vec<&&Found> = group.trials.iter().filter(ended).collect();
    trials
        .par_iter()
        .map(|trial| {
            let curve = trial.files.curve();
            first_at_target(&curve, target).map_err(CompareError::at(&curve))
        })
        .collect()
}

fn first_at_target(curve: &Path, target: f64) -> io::Result<Option<Reached>> {
    Ok(reached(&read_curve(curve)?, target))
}

/// The first evaluation at or below the target. The time is the sum of each part's tokens over its speed, which is what evaluations
/// and checkpoints did not take.
fn reached(rows: &[CurveRow], target: f64) -> Option<Reached> {
    let mut seconds = Some(0.0);
    let mut tokens = 0;
    for row in rows {
        let learnt = row.tokens.saturating_sub(tokens);
        tokens = row.tokens;
        if learnt > 0 {
            let speed = row.tokens_per_second.filter(|speed| *speed > 0.0);
            seconds = seconds.zip(speed).map(|(sum, speed)| sum + learnt as f64 / speed);
        }
        if row.val_loss.is_some_and(|loss| loss <= target) {
            return Some(Reached {
                steps: row.step,
                tokens: row.tokens,
                seconds,
            });
        }
    }
    None
}

pub(crate) fn timeless_runs(runs: &[Option<Reached>]) -> usize {
    runs.iter()
        .flatten()
        .filter(|reached| reached.seconds.is_none())
        .count()
}

pub(crate) fn without_speed(trials: usize) -> Option<String> {
    (trials > 0).then(|| {
        format!("{trials} trials reached the target, but their curves lack a tokens_per_second before it: their seconds count as infinite")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: u64, val_loss: Option<f64>, speed: Option<f64>) -> CurveRow {
        let json = serde_json::json!({
            "step": step, "tokens": step * 100, "val_loss": val_loss, "tokens_per_second": speed,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_first_evaluation_at_or_below_the_target_counts_and_the_time_up_to_it() {
        let rows = [
            row(0, Some(5.0), None),
            row(10, None, Some(500.0)),
            row(20, Some(3.0), Some(250.0)),
            row(30, Some(2.0), Some(100.0)),
        ];
        let at = |steps, seconds| {
            Some(Reached {
                steps,
                tokens: steps * 100,
                seconds: Some(seconds),
            })
        };
        assert_eq!(reached(&rows, 3.0), at(20, 2.0 + 4.0));
        assert_eq!(reached(&rows, 2.5), at(30, 2.0 + 4.0 + 10.0));
        assert_eq!(reached(&rows, 9.0), at(0, 0.0));
        assert_eq!(reached(&rows, 1.0), None);
    }

    #[test]
    fn without_a_speed_there_is_no_time_but_steps_and_tokens() {
        let rows = [row(10, None, None), row(20, Some(3.0), Some(250.0))];
        let reached = reached(&rows, 3.0).unwrap();
        assert_eq!((reached.steps, reached.tokens, reached.seconds), (20, 2000, None));
        assert_eq!(timeless_runs(&[Some(reached), None]), 1);
    }
}
