//! Building what is measured.

use std::{
    collections::HashMap,
    env,
    ffi::OsStr,
    io::BufReader,
    path::PathBuf,
    process::{Command, Stdio},
};

use cargo_metadata::Message;

use crate::{
    error::Error,
    libtorch::{self, Environment},
    process,
};

/// The directory of the workspace.
pub fn root() -> Result<PathBuf, Error> {
    Ok(libtorch::workspace()?.workspace_root.into_std_path_buf())
}

/// What one build of Cupel gives.
pub struct Executables {
    /// The command line.
    pub cupel: PathBuf,
    /// The worker that trains and measures.
    pub worker: PathBuf,
}

impl Executables {
    /// Builds, with LibTorch where an environment for it is given.
    pub fn build(environment: Option<&Environment>) -> Result<Self, Error> {
        let mut command = Command::new("cargo");
        command.args([
            "build",
            "--package",
            "cupel",
            "--bin",
            "cupel",
            "--example",
            "peer",
        ]);
        let mut built = build(command, environment)?;
        let mut take = |name| built.remove(name).ok_or(Error::NotBuilt { name });
        Ok(Self {
            cupel: take("cupel")?,
            worker: take("peer")?,
        })
    }
}

/// Runs a command of Cargo's that builds, optimised, and asks where the executables are; by the names of their targets.
pub fn build(
    mut command: Command,
    environment: Option<&Environment>,
) -> Result<HashMap<String, PathBuf>, Error> {
    command.args([
        "--release",
        "--locked",
        "--message-format",
        "json-render-diagnostics",
    ]);
    // Cargo has told this process which package it is; to the build script of ring, that is a change.
    for (name, _) in env::vars_os().filter(|(name, _)| is_of_a_package(name)) {
        command.env_remove(name);
    }
    if let Some(environment) = environment {
        command.args(["--features", "tch"]);
        environment.apply(&mut command);
    }
    let shown = process::show(&command);
    eprintln!("$ {shown}");
    let start = |cause| Error::Start {
        command: shown.clone(),
        cause,
    };
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(start)?;
    let messages = child.stdout.take().into_iter();
    let built = messages
        .flat_map(|stdout| Message::parse_stream(BufReader::new(stdout)))
        .filter_map(|message| match message {
            Ok(Message::CompilerArtifact(artifact)) => {
                Some((artifact.target.name, artifact.executable?.into()))
            }
            _ => None,
        })
        .collect();
    let status = child.wait().map_err(start)?;
    if status.success() {
        Ok(built)
    } else {
        Err(Error::Failed {
            command: shown,
            status,
        })
    }
}

fn is_of_a_package(variable: &OsStr) -> bool {
    let variable = variable.to_string_lossy();
    variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_")
}
