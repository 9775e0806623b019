//! `cargo xtask test`: every test, on every backend that runs here.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use cargo_metadata::Metadata;

use crate::{error::Error, libtorch, oracle, process};

/// The Cargo feature that brings LibTorch in.
const FEATURE: &str = "tch";

/// Runs the tests on Flex and, where asked, on LibTorch; stops at the first stage that fails.
pub fn run(with_libtorch: bool) -> Result<(), Error> {
    let mut stages = Stages::default();
    let outcome = run_stages(with_libtorch, &mut stages);
    stages.print();
    outcome
}

fn run_stages(with_libtorch: bool, stages: &mut Stages) -> Result<(), Error> {
    // `cargo test`, not nextest: it runs the doctests, and every machine has it.
    stages.time("tests on Flex", || {
        process::run(Command::new("cargo").args(["test", "--workspace", "--locked"]))
    })?;
    if !with_libtorch {
        return Ok(());
    }
    let environment = stages.time("finding LibTorch", libtorch::environment)?;
    match environment.python() {
        Some(python) => stages.time("checking the fixtures", || oracle::check(python))?,
        None => eprintln!("LIBTORCH names a LibTorch without Python: the fixtures are not checked"),
    }
    stages.time("tests on LibTorch", || {
        let metadata = libtorch::workspace()?;
        let mut command = Command::new("cargo");
        command.args(["test", "--locked", "--features", FEATURE]);
        for package in packages_with_feature(&metadata) {
            command.args(["--package", package]);
        }
        environment.apply(&mut command);
        process::run(&mut command)
    })
}

fn packages_with_feature(metadata: &Metadata) -> Vec<&str> {
    let packages = metadata.workspace_packages().into_iter();
    packages
        .filter(|package| package.features.contains_key(FEATURE))
        .map(|package| package.name.as_str())
        .collect()
}

/// How long each stage took.
#[derive(Default)]
struct Stages(Vec<(&'static str, Duration)>);

impl Stages {
    fn time<T>(&mut self, name: &'static str, stage: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let start = Instant::now();
        let outcome = stage();
        self.0.push((name, start.elapsed()));
        outcome
    }

    fn print(&self) {
        for (name, took) in &self.0 {
            eprintln!("{name}: {}", minutes(*took));
        }
    }
}

fn minutes(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{} min {:02} s", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packages_with_the_feature_are_found() {
        let metadata = libtorch::workspace().unwrap();
        let packages = packages_with_feature(&metadata);
        assert!(
            packages.contains(&"cupel") && packages.contains(&"kernels"),
            "{packages:?}"
        );
        assert!(!packages.contains(&"xtask"));
    }

    #[test]
    fn a_stage_that_fails_is_timed_too() {
        let mut stages = Stages::default();
        assert!(
            stages
                .time("failing", || Err::<(), _>(Error::NoCacheDirectory))
                .is_err()
        );
        assert_eq!(stages.0.len(), 1);
    }

    #[test]
    fn durations_read_as_minutes_and_seconds() {
        assert_eq!(minutes(Duration::from_secs(185)), "3 min 05 s");
    }
}
