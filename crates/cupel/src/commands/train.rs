use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

use miette::{Context, IntoDiagnostic};
use training::{Outcome, Recipe, Status, TrialFiles, TrialResult, adopt, config::Node, run};

use crate::{
    arguments::{TrainArguments, assignments},
    logging,
    signals::stop_on_signals,
};

/// The exit code of a run that was asked to stop, or found another at work: run it again later (`EX_TEMPFAIL`).
pub const TRY_AGAIN: u8 = 75;

pub fn train(arguments: &TrainArguments) -> miette::Result<ExitCode> {
    let assignments = assignments(&arguments.set)?;
    let recipe = Recipe::read(&arguments.recipe, &assignments)?;
    let files = TrialFiles::new(
        arguments
            .out
            .clone()
            .unwrap_or_else(|| default_out(&arguments.recipe)),
    );
    // A missing device is found before a directory is made for it.
    arguments.device.open()?;
    std::fs::create_dir_all(files.directory())
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot make {}", files.directory().display()))?;
    logging::to_stdout_and(&files.log())?;
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop)?;

    let leaves = assignments.iter().flat_map(Node::leaves);
    let asked: Vec<String> = leaves.map(|(key, _)| key).collect();
    adopt(&recipe, &asked, &files).into_diagnostic()?;
    match run(&recipe, arguments.device, &files, &stop).into_diagnostic()? {
        Outcome::Finished(result) => {
            println!("{}", summary(&result, &files));
            Ok(ExitCode::SUCCESS)
        }
        // The log has said at which step, and how to go on.
        Outcome::Interrupted { .. } => Ok(ExitCode::from(TRY_AGAIN)),
        Outcome::Held => {
            println!("{} is in use by another process", files.directory().display());
            Ok(ExitCode::from(TRY_AGAIN))
        }
    }
}

/// The directory of a recipe's trial where none is given.
pub fn default_out(recipe: &Path) -> PathBuf {
    Path::new("results").join(recipe.file_stem().unwrap_or(recipe.as_os_str()))
}

fn summary(result: &TrialResult, files: &TrialFiles) -> String {
    let status = match result.status {
        Status::Completed => format!("completed {} steps", result.steps),
        Status::Diverged => format!("diverged at step {}", result.steps),
    };
    let best = match (result.best_val_loss, result.best_step, result.perplexity) {
        (Some(loss), Some(step), Some(perplexity)) => {
            format!("best val_loss {loss:.4} (perplexity {perplexity:.2}) after {step} steps")
        }
        _ => "no finite val_loss".to_owned(),
    };
    format!(
        "{status} in {:.1} s of training, {:.0} tokens/s\n{best}; unigram entropy {:.4}\nin {}",
        result.seconds,
        result.tokens_per_second,
        result.unigram_entropy,
        files.directory().display()
    )
}
