//! `cargo xtask bench-growth`: how the cost of a step grows with each dimension of model and batch.

use std::{env, fs, num::NonZeroUsize, path::PathBuf};

use clap::Args;
use kuva::{
    backend::svg::SvgBackend,
    plot::LinePlot,
    render::{layout::Layout, plots::Plot, render::render_multiple},
};
use serde::Serialize;

use super::{
    peer::{Peer, Programs},
    statistics::Summary,
    tables::write_csv,
    threads,
    turns::{Progress, Steps},
    workload::{Shape, Workload},
};
use crate::error::Error;

/// A dimension, and the values that it takes while all others are those of nanoGPT's shape for a CPU.
struct Dimension {
    name: &'static str,
    values: &'static [usize],
}

const DIMENSIONS: [Dimension; 5] = [
    Dimension {
        name: "batch",
        values: &[1, 3, 6, 12, 24, 48],
    },
    Dimension {
        name: "context",
        values: &[16, 32, 64, 128, 256, 512],
    },
    Dimension {
        name: "width",
        values: &[32, 64, 128, 256, 384, 512],
    },
    Dimension {
        name: "layers",
        values: &[1, 2, 4, 8, 12, 16],
    },
    Dimension {
        name: "vocabulary",
        values: &[65, 256, 1024, 4096, 16_384, 50_257],
    },
];

/// Steps before the first that is timed.
const WARM_UP: usize = 3;

/// What `bench-growth` can be asked.
#[derive(Debug, Args)]
pub struct GrowthArguments {
    /// Steps that are timed of each value.
    #[arg(long, default_value = "20")]
    steps: NonZeroUsize,
    /// Threads; the machine's if left out.
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// The directory for the CSV and the pictures.
    #[arg(long, default_value = "results/throughput")]
    out: PathBuf,
}

/// A row of `growth.csv`.
#[derive(Debug, Serialize)]
struct GrowthRow {
    dimension: &'static str,
    value: usize,
    parameters: usize,
    tokens_per_step: usize,
    /// Seconds of a step, the median.
    step_seconds: f64,
    lower_quartile: f64,
    upper_quartile: f64,
    tokens_per_second: f64,
    /// FLOP/s, counted as for MFU.
    flops: f64,
}

/// Times a step at every value of every dimension; writes `growth.csv`, and a picture for each dimension.
pub fn growth(arguments: &GrowthArguments) -> Result<(), Error> {
    let programs = Programs::flex(threads(arguments.threads))?;
    let progress = Progress::new(DIMENSIONS.iter().map(|dimension| dimension.values.len()).sum());
    let mut rows = Vec::new();
    for dimension in &DIMENSIONS {
        for &value in dimension.values {
            progress.at(&format!("{} {value}", dimension.name));
            rows.extend(measure(&programs, arguments.steps, dimension.name, value)?);
            progress.done();
        }
    }
    progress.finish();

    let out = &arguments.out;
    fs::create_dir_all(out).map_err(Error::file("create", out))?;
    write_csv(&out.join("growth.csv"), &rows)?;
    for dimension in &DIMENSIONS {
        let path = out.join(format!("growth-{}.svg", dimension.name));
        fs::write(&path, picture(dimension.name, &rows)).map_err(Error::file("write", &path))?;
    }
    println!(
        "growth.csv and {} pictures in {}",
        DIMENSIONS.len(),
        out.display()
    );
    Ok(())
}

fn measure(
    programs: &Programs,
    steps: NonZeroUsize,
    dimension: &'static str,
    value: usize,
) -> Result<Option<GrowthRow>, Error> {
    let directory = tempfile::tempdir().map_err(Error::file("write to", env::temp_dir()))?;
    let size = [format!("--{dimension}"), value.to_string()];
    let workload = Workload::prepare(programs.prepare(), directory.path(), Shape::NanogptCpu, &size)?;
    let mut worker = programs.start(Peer::FlexFused, directory.path())?;
    worker.ask::<Steps>(WARM_UP)?;
    let seconds = (0..steps.get())
        .map(|_| Ok(worker.ask::<Steps>(1)?.seconds))
        .collect::<Result<Vec<f64>, Error>>()?;
    Ok(Summary::of(&seconds).map(|step| {
        let tokens_per_second = workload.tokens_per_step() as f64 / step.median;
        GrowthRow {
            dimension,
            value,
            parameters: workload.parameters,
            tokens_per_step: workload.tokens_per_step(),
            step_seconds: step.median,
            lower_quartile: step.lower_quartile,
            upper_quartile: step.upper_quartile,
            tokens_per_second,
            flops: tokens_per_second * workload.flops_per_token(),
        }
    }))
}

/// Milliseconds of a step over the dimension; both axes are logarithmic, so that a power law is a straight line.
fn picture(dimension: &str, rows: &[GrowthRow]) -> String {
    let points: Vec<(f64, f64)> = rows
        .iter()
        .filter(|row| row.dimension == dimension)
        .map(|row| (row.value as f64, 1e3 * row.step_seconds))
        .collect();
    let plots = vec![Plot::Line(LinePlot::new().with_data(points))];
    let layout = Layout::auto_from_plots(&plots)
        .with_title(format!("the cost of a step by {dimension}"))
        .with_x_label(dimension)
        .with_y_label("ms a step")
        .with_log_scale();
    SvgBackend::new().render_scene(&render_multiple(plots, layout))
}
