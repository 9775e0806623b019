use std::{path::Path, process::ExitCode};

use miette::{Context, IntoDiagnostic};
use training::{Recipe, write_atomically};

use super::train::default_out;
use crate::{
    arguments::{ShowScheduleArguments, assignments},
    picture::{self, COLUMNS},
};

pub fn show_schedule(arguments: &ShowScheduleArguments) -> miette::Result<ExitCode> {
    let recipe = Recipe::read(&arguments.recipe, &assignments(&arguments.set)?)?;
    let schedule = recipe.schedule().into_diagnostic()?;
    let rates: Vec<f64> = (0..recipe.training.steps).map(|step| schedule.lr(step)).collect();
    print!("{}", picture(&rates));
    println!("{}", in_words(&rates));

    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| default_out(&arguments.recipe).join("schedule.csv"));
    write_csv(&out, &rates).wrap_err_with(|| format!("cannot write {}", out.display()))?;
    println!("every step's is in {}", out.display());
    Ok(ExitCode::SUCCESS)
}

/// The curve, at most two points for each column of dots.
fn picture(rates: &[f64]) -> String {
    let every = rates.len().div_ceil(4 * COLUMNS).max(1);
    let points: Vec<(f64, f64)> = rates
        .iter()
        .enumerate()
        .filter(|(step, _)| step.is_multiple_of(every) || step + 1 == rates.len())
        .map(|(step, &lr)| (step as f64, lr))
        .collect();
    picture::line(points, |layout| {
        layout
            .with_title("learning rate")
            .with_x_label("step")
            .with_y_label("lr")
    })
}

/// `lr 1.00e-5 at step 0, 1.00e-3 at its highest (step 99), 1.00e-4 at step 1999`.
fn in_words(rates: &[f64]) -> String {
    let highest = rates
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
    match (rates.first(), highest, rates.last()) {
        (Some(first), Some((at, highest)), Some(last)) => format!(
            "lr {first:.2e} at step 0, {highest:.2e} at its highest (step {at}), {last:.2e} at step {}",
            rates.len() - 1
        ),
        _ => String::new(),
    }
}

fn write_csv(path: &Path, rates: &[f64]) -> miette::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).into_diagnostic()?;
    }
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["step", "lr"]).into_diagnostic()?;
    for (step, lr) in rates.iter().enumerate() {
        csv.serialize((step, lr)).into_diagnostic()?;
    }
    let text = csv.into_inner().into_diagnostic()?;
    write_atomically(path, &text).into_diagnostic()
}
