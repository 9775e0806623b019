//! Everything that can go wrong in a chore, each with its cure.

use std::{
    io,
    path::PathBuf,
    process::{ExitCode, ExitStatus},
};

/// Why a chore ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is missing or cannot be executed.
    #[error("cannot start `{command}`: {cause}\n  help: is it installed, and on PATH?")]
    Start { command: String, cause: io::Error },

    /// A program ran and failed; what it printed says why.
    #[error("`{command}` failed ({status}); what it printed above says why")]
    Failed { command: String, status: ExitStatus },

    /// The workspace cannot be read.
    #[error("cannot read the workspace: {0}\n  help: run `cargo xtask` inside the repository")]
    Workspace(#[from] cargo_metadata::Error),

    /// A file or directory cannot be made, written, locked or removed.
    #[error("cannot {doing} {}: {cause}\n  help: check its permissions and free space, or set CUPEL_CACHE to another directory", path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        cause: io::Error,
    },

    /// The user has no cache directory.
    #[error("there is no cache directory to keep LibTorch in\n  help: set CUPEL_CACHE to one")]
    NoCacheDirectory,

    /// `LIBTORCH` names something else than what is needed.
    #[error("LIBTORCH names {}, which {found}\n  help: point LIBTORCH at libtorch {wanted}, or unset it to have one provisioned", root.display())]
    WrongLibtorch {
        root: PathBuf,
        found: String,
        wanted: &'static str,
    },

    /// No Python here has wheels of PyTorch 2.9.0.
    #[error(
        "PyTorch {torch} needs Python 3.{oldest} to 3.{newest}, and {found}\n  \
         help: install one (Debian: apt-get install python3 python3-venv), or set LIBTORCH to a libtorch {torch}"
    )]
    NoPython {
        torch: &'static str,
        oldest: u32,
        newest: u32,
        found: String,
    },

    /// Python cannot make virtual environments.
    #[error(
        "{cause}\n  help: on Debian and Ubuntu the module venv is its own package: apt-get install python3-venv"
    )]
    NoVenv { cause: Box<Error> },

    /// The disk is too full.
    #[error(
        "PyTorch needs {needed} GB free while it is installed, and {} has {free} GB\n  \
         help: make room, or set CUPEL_CACHE to a directory on another disk", path.display()
    )]
    DiskFull { path: PathBuf, needed: u64, free: u64 },

    /// pip failed, or what it installed does not load.
    #[error("PyTorch cannot be installed in {}: {cause}\n  help: check the network (PIP_INDEX_URL names a mirror), then run this again: it starts afresh", path.display())]
    Install { path: PathBuf, cause: Box<Error> },

    /// pip failed.
    #[error(
        "SciPy, which the fixtures of the statistics take, cannot be installed: {cause}\n  help: check the network (PIP_INDEX_URL names a mirror), then run this again"
    )]
    InstallScipy { cause: Box<Error> },

    /// The LibTorch that was found is an archive, and the oracle is PyTorch.
    #[error(
        "LIBTORCH names a LibTorch without Python, and the fixtures take PyTorch\n  help: unset LIBTORCH"
    )]
    NoPyTorch,

    /// A generator of fixtures ran, to no effect.
    #[error("{} wrote no fixtures\n  help: it is to write them into the directory that is its only argument", script.display())]
    NoFixtures { script: PathBuf },

    /// A fixture cannot be read.
    #[error("{} is not JSON: {cause}\n  help: a committed one is written anew by `cargo xtask oracle`; a fresh one is its script's fault", path.display())]
    NotJson { path: PathBuf, cause: serde_json::Error },

    /// PyTorch computes something else than is committed.
    #[error(
        "fixtures that are not what their scripts compute: {files}\n  help: run `cargo xtask oracle` and look at the diff"
    )]
    Fixtures { files: usize },

    /// Cargo built without an executable of that name.
    #[error(
        "Cargo has built no executable `{name}`\n  help: does a manifest of the workspace still name it?"
    )]
    NotBuilt { name: &'static str },

    /// The active Python has no PyTorch to build against.
    #[error("{} has no PyTorch with numpy and setuptools\n  help: activate a virtual environment with the PyTorch of the machine with the GPU", python.display())]
    NoActivePyTorch { python: PathBuf },

    /// A worker of a benchmark ended, or said what is no answer.
    #[error(
        "`{name}` gave no answer; the last that it said:\n    {last}\n  help: what it said names the cause"
    )]
    Worker { name: String, last: String },

    /// Peers that are to compute the same do not.
    #[error(
        "the peers do not compute the same, so that their speeds mean nothing:\n  {}\n  \
         help: the test of the kernels, `cargo xtask test`, says which operation is at fault; --peers leaves one out",
        disagreements.join("\n  ")
    )]
    Disagreement { disagreements: Vec<String> },
}

impl Error {
    /// The exit code of the program that failed, where one did, so that `cargo xtask` can stand in its place.
    pub fn exit_code(&self) -> ExitCode {
        let code = match self {
            Self::Failed { status, .. } => status.code().and_then(|code| u8::try_from(code).ok()),
            _ => None,
        };
        code.map_or(ExitCode::FAILURE, ExitCode::from)
    }

    /// For `map_err` on operations on `path`.
    pub fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::File { doing, path, cause }
    }
}
