use std::process::ExitCode;

use crate::{arguments::CompareArguments, table::comparison};

pub fn compare(arguments: &CompareArguments) -> miette::Result<ExitCode> {
    let mut rows = sweep::compare(&arguments.directories)?;
    rows.sort_by(&arguments.sort)?;
    println!("{}", comparison(&rows));
    Ok(ExitCode::SUCCESS)
}
