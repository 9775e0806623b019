use std::process::ExitCode;

use miette::IntoDiagnostic;
use sweep::sweep_schema;
use training::Recipe;

use crate::arguments::FileKind;

pub fn schema(of: FileKind) -> miette::Result<ExitCode> {
    let schema = match of {
        FileKind::Recipe => Recipe::schema(),
        FileKind::Sweep => sweep_schema(),
    };
    println!("{}", serde_json::to_string_pretty(schema).into_diagnostic()?);
    Ok(ExitCode::SUCCESS)
}
