use std::process::ExitCode;

use miette::bail;

use crate::{
    arguments::{CompareArguments, Protocol},
    table::{comparison, whole, with_notes},
};

pub fn compare(arguments: &CompareArguments) -> miette::Result<ExitCode> {
    let CompareArguments {
        directories,
        sort,
        target,
        protocol,
        out,
    } = arguments;
    if let Some(Protocol::Algoperf) = protocol {
        let outcome = sweep::algoperf(directories, target)?;
        outcome.scores.write(&out.join("scores.csv"))?;
        outcome.profiles.write(&out.join("profiles.csv"))?;
        println!("{}", with_notes(whole(&outcome.scores), &outcome.notes));
        println!("scores.csv and profiles.csv are in {}", out.display());
        return Ok(ExitCode::SUCCESS);
    }
    if target.len() > 1 {
        bail!(
            help = "give one, or --protocol algoperf for a target of each directory",
            "a comparison has one target loss, not {}",
            target.len()
        );
    }
    let mut rows = sweep::compare(directories)?;
    rows.configurations.sort_by(sort)?;
    println!("{}", comparison(&rows));
    if let [target] = target[..] {
        let outcome = sweep::to_target(directories, target)?;
        println!("\n{}", with_notes(whole(&outcome.configurations), &outcome.notes));
    }
    Ok(ExitCode::SUCCESS)
}
