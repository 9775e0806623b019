use std::{
    env,
    io::{self, BufWriter, Write},
    iter,
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

use miette::{Context, IntoDiagnostic};
use sweep::{Machine, Plan, ResultsFiles, RunOptions, Summary, SweepFile, run_sweep};

use super::{
    devices::{gpu_names, libtorch_version},
    train::TRY_AGAIN,
};
use crate::{
    arguments::{SweepArguments, assignments},
    progress::Progress,
    signals::stop_on_signals,
    table::{comparison, thousands},
};

pub fn sweep(arguments: &SweepArguments) -> miette::Result<ExitCode> {
    let file = SweepFile::read(&arguments.sweep, &assignments(&arguments.set)?)?;
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| Path::new("results").join(&file.name));
    let files = ResultsFiles::new(out);
    let plan = Plan::of_results(&file, &files)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot read the results in {}", files.directory().display()))??;
    if arguments.dry_run {
        return match write_plan(&plan) {
            // A reader such as `head` may have seen enough.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).into_diagnostic(),
            _ => Ok(ExitCode::SUCCESS),
        };
    }
    // A missing device or text is found before anything is written.
    arguments.device.open()?;
    plan.check_texts().into_diagnostic()?;
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop)?;

    let machine = Machine::this(gpu_names());
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
    let progress = Progress::new();
    let summary = run_sweep(&file, plan, &files, &options, &progress, &stop)?;
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

/// A line for each trial, of which there may be very many, and a last one for all.
fn write_plan(plan: &Plan) -> io::Result<()> {
    let names = plan.trials.iter().map(|trial| trial.id.to_string());
    let longest = names.clone().map(|name| name.len()).max().unwrap_or(0);
    let total = thousands(plan.tokens());
    let mut out = BufWriter::new(io::stdout().lock());
    writeln!(
        out,
        "{:longest$}  {:>width$}",
        "trial",
        "tokens",
        width = total.len()
    )?;
    for (name, trial) in names.zip(&plan.trials) {
        writeln!(
            out,
            "{name:longest$}  {:>width$}",
            thousands(trial.tokens()),
            width = total.len()
        )?;
    }
    write!(
        out,
        "{}: {} trials, {total} tokens",
        plan.name,
        thousands(plan.trials.len() as u64)
    )?;
    if plan.skipped > 0 {
        write!(out, "; {} points skipped", thousands(plan.skipped as u64))?;
    }
    if plan.to_come > 0 {
        write!(
            out,
            "; {} points more, which these trials' losses decide",
            thousands(plan.to_come as u64)
        )?;
    }
    writeln!(out)?;
    out.flush()
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
        "trials.csv, curves.csv, comparison.csv and effects.csv are in {}",
        files.directory().display()
    );
    if *stopped {
        println!("stopped; the same command goes on from here");
    }
}
