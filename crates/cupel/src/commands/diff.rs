use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    arguments::DiffArguments,
    table::{whole, with_notes},
};

pub fn diff(arguments: &DiffArguments) -> miette::Result<ExitCode> {
    let DiffArguments { a, b, out } = arguments;
    let outcome = sweep::diff(a, b)?;
    let path = out.clone().unwrap_or_else(|| default(a, b)).join("diff.csv");
    outcome.configurations.write(&path)?;
    println!("{}", with_notes(whole(&outcome.configurations), &outcome.notes));
    println!("the table is in {}", path.display());
    Ok(ExitCode::SUCCESS)
}

/// Neither of the two directories: what was measured stays as it is.
fn default(a: &Path, b: &Path) -> PathBuf {
    let name = |path: &Path| {
        let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        whole
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    Path::new("results").join(format!("diff-{}-{}", name(a), name(b)))
}
