use std::{fs::OpenOptions, path::Path, sync::Mutex};

use miette::{Context, IntoDiagnostic};
use tracing_subscriber::{Layer, filter::LevelFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Sends what training says to the standard output, and with times to the end of the file at `path`.
pub fn to_stdout_and(path: &Path) -> miette::Result<()> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot write {}", path.display()))?;
    let stdout = fmt::layer().without_time().with_level(false).with_target(false);
    let file = fmt::layer()
        .with_ansi(false)
        .with_target(false)
        .with_writer(Mutex::new(file));
    tracing_subscriber::registry()
        .with(stdout.with_filter(LevelFilter::INFO))
        .with(file.with_filter(LevelFilter::INFO))
        .try_init()
        .into_diagnostic()
}
