use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

use indicatif::{ProgressBar, ProgressStyle};
use miette::{Context, IntoDiagnostic, bail};
use training::{
    Recipe,
    lr_find::{Analysis, Point, RangeTest, analyse, range_test},
    write_atomically,
};

use super::train::{TRY_AGAIN, default_out};
use crate::{
    arguments::{LrFindArguments, assignments},
    picture,
    signals::stop_on_signals,
};

pub fn lr_find(arguments: &LrFindArguments) -> miette::Result<ExitCode> {
    let LrFindArguments { from, to, steps, .. } = *arguments;
    if from >= to {
        bail!("--from {from} must be below --to {to}");
    }
    let recipe = Recipe::read(&arguments.recipe, &assignments(&arguments.set)?)?;
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop)?;
    let bar = progress(steps);
    let test = RangeTest { from, to, steps };
    let points = range_test(&recipe, arguments.device, test, &stop, |point| {
        bar.set_message(format!("lr {:.1e}, loss {:.4}", point.lr, point.smoothed_loss));
        bar.inc(1);
    })
    .into_diagnostic()?;
    bar.finish_and_clear();
    let Some(points) = points else {
        println!("stopped; nothing was written");
        return Ok(ExitCode::from(TRY_AGAIN));
    };

    let csv = directory(arguments).join("lr-find.csv");
    write_csv(&csv, &points).wrap_err_with(|| format!("cannot write {}", csv.display()))?;
    print!("{}", picture(&points));
    println!("{}\nevery step is in {}", in_words(&points, test), csv.display());
    Ok(ExitCode::SUCCESS)
}

fn progress(steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed} {wide_bar} {pos}/{len} {msg}, {eta} left");
    ProgressBar::new(steps).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Not the recipe's own directory, which is its trial's.
fn directory(arguments: &LrFindArguments) -> PathBuf {
    arguments.out.clone().unwrap_or_else(|| {
        let mut name = default_out(&arguments.recipe).into_os_string();
        name.push("-lr-find");
        name.into()
    })
}

/// The smoothed loss over the learning rate.
fn picture(points: &[Point]) -> String {
    // Beyond where it began, a loss only hides what is below.
    let first = points.first().map_or(f64::MAX, |point| point.smoothed_loss);
    let points = points.iter().filter(|point| point.smoothed_loss <= 1.1 * first);
    let points = points.map(|point| (point.lr, point.smoothed_loss)).collect();
    picture::line(points, |layout| {
        layout
            .with_title("smoothed loss")
            .with_x_label("lr")
            .with_y_label("loss")
            .with_log_x()
    })
}

fn write_csv(path: &Path, points: &[Point]) -> miette::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).into_diagnostic()?;
    }
    let mut csv = csv::Writer::from_writer(Vec::new());
    for point in points {
        csv.serialize(point).into_diagnostic()?;
    }
    let text = csv.into_inner().into_diagnostic()?;
    write_atomically(path, &text).into_diagnostic()
}

/// What the picture shows, and what to make of it.
fn in_words(points: &[Point], test: RangeTest) -> String {
    let Some(found) = analyse(points, test) else {
        return format!(
            "no suggestion: the loss falls nowhere; start below --from {:e}",
            test.from
        );
    };
    let Analysis {
        steepest,
        lowest,
        diverged,
        still_falling,
    } = found;
    if still_falling {
        return format!(
            "no suggestion: the loss still falls at the end; go beyond --to {:e}",
            test.to
        );
    }
    let ending = match diverged {
        Some(lr) => format!("diverges at {lr:.2e}"),
        None => format!("has not diverged at {:.2e}", test.to),
    };
    format!(
        "the loss falls fastest at lr {steepest:.2e}, is lowest at {lowest:.2e}, and {ending}\n\
         suggested: schedule.lr = {lowest:.1e}, the largest with which the loss still fell (nine steps, by which the \
         average lags, taken back)"
    )
}

#[cfg(test)]
mod tests {
    use training::lr_find::Curve;

    use super::*;

    #[test]
    fn a_range_test_is_drawn_and_put_in_words() {
        let test = RangeTest {
            from: 1e-6,
            to: 1.0,
            steps: 300,
        };
        let said = |loss: fn(f64) -> f64| {
            let mut curve = Curve::default();
            for step in 0..test.steps {
                let lr = test.lr(step);
                if !curve.push(lr, loss(lr)) {
                    break;
                }
            }
            picture(curve.points()) + &in_words(curve.points(), test)
        };
        let valley = said(|lr| 4.0 - 2.0 / (1.0 + 1e-3 / lr) + (lr / 0.1).powi(2));
        let falling = said(|lr| 4.0 - 0.2 * (lr / 1e-6).log10());
        let rising = said(|lr| 4.0 + 0.1 * (lr / 1e-6).log10());
        insta::assert_snapshot!("range_tests", format!("{valley}\n\n{falling}\n\n{rising}"));
    }
}
