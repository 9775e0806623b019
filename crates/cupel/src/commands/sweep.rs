use std::{
    env, iter,
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

use miette::{Context, IntoDiagnostic};
use sweep::{Machine, Plan, ResultsFiles, RunOptions, Summary, SweepFile, run};

use super::{
    devices::{gpu_names, libtorch_version},
    train::TRY_AGAIN,
};
use crate::{
    arguments::{SweepArguments, assignments},
    progress::Progress,
    signals::stop_on_signals,
    table::{comparison, table, thousands},
};

pub fn sweep(arguments: &SweepArguments) -> miette::Result<ExitCode> {
    let file = SweepFile::read(&arguments.sweep, &assignments(&arguments.set)?)?;
    let plan = Plan::new(&file)?;
    if arguments.dry_run {
        print_plan(&plan);
        return Ok(ExitCode::SUCCESS);
    }
    // A missing device or text is found before anything is written.
    arguments.device.open()?;
    plan.check_texts().into_diagnostic()?;
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop)?;

    let machine = Machine::this(gpu_names());
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| Path::new("results").join(&plan.name));
    let options = RunOptions {
        program: env::current_exe()
            .into_diagnostic()
            .wrap_err("cannot find cupel's own binary")?,
        device: arguments.device.to_string(),
        jobs: arguments.jobs.map_or((machine.cores / 2).max(1), usize::from),
        machine,
        libtorch: libtorch_version(),
        command: command_line(),
    };
    let files = ResultsFiles::new(out);
    let progress = Progress::new();
    let summary = run(&plan, &files, &options, &progress, &stop)?;
    progress.finish();
    print_summary(&summary, &files);
    Ok(match (summary.failed, summary.stopped) {
        (_, true) => ExitCode::from(TRY_AGAIN),
        (0, false) => ExitCode::SUCCESS,
        (_, false) => ExitCode::FAILURE,
    })
}

/// The command line, with the program by its name alone: where it lies is this machine's affair.
fn command_line() -> Vec<String> {
    iter::once("cupel".to_owned())
        .chain(env::args().skip(1))
        .collect()
}

fn print_plan(plan: &Plan) {
    let rows: Vec<[String; 2]> = plan
        .trials
        .iter()
        .map(|trial| [trial.id.to_string(), thousands(trial.tokens())])
        .collect();
    println!("{}", table(&["trial", "tokens"], &rows));
    println!(
        "{}: {} trials, {} tokens",
        plan.name,
        plan.trials.len(),
        thousands(plan.tokens())
    );
}

fn print_summary(summary: &Summary, files: &ResultsFiles) {
    let Summary {
        skipped,
        finished,
        failed,
        stopped,
        comparison: rows,
    } = summary;
    println!("{}", comparison(rows));
    let mut parts = vec![format!("{finished} trials finished")];
    if *skipped > 0 {
        parts.push(format!("{skipped} were finished before"));
    }
    if *failed > 0 {
        parts.push(format!(
            "{failed} failed (see failure.json in their directories; run again to retry)"
        ));
    }
    println!("{}", parts.join(", "));
    println!(
        "trials.csv, curves.csv and comparison.csv are in {}",
        files.directory().display()
    );
    if *stopped {
        println!("stopped; the same command goes on from here");
    }
}
