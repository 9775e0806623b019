use std::sync::atomic::AtomicBool;

use crate::{Observer, Plan, ResultsFiles, RunOptions, Summary, SweepError, SweepFile, run, run::at};

/// Runs the plan of a sweep, and for as long as its method proposes more points from the results, these too.
///
/// `plan` is the sweep's [`Plan::of_results`].
///
/// # Errors
/// As [`run()`].
pub fn run_sweep(
    file: &SweepFile,
    mut plan: Plan,
    files: &ResultsFiles,
    options: &RunOptions,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Summary, SweepError> {
    let mut summary = run(&plan, files, options, observer, stop)?;
    while plan.to_come > 0 && !summary.stopped {
        let known = plan.trials.len();
        plan = Plan::of_results(file, files).map_err(at(&files.trials()))??;
        if plan.trials.len() == known {
            break;
        }
        // What failed before has had its turn.
        let mut new = plan.clone();
        new.trials.drain(..known);
        let more = run(&new, files, options, observer, stop)?;
        summary = Summary {
            skipped: summary.skipped + more.skipped,
            finished: summary.finished + more.finished,
            failed: summary.failed + more.failed,
            ..more
        };
    }
    Ok(summary)
}
