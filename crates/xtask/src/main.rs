//! The project's own chores, run as `cargo xtask ...`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line speaks to the person who runs it"
)]

mod bench;
mod error;
mod gpu;
mod libtorch;
mod oracle;
mod process;
mod test;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;

use crate::{
    bench::{GrowthArguments, PeersArguments},
    error::Error,
};

/// The project's own chores.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
enum Chore {
    /// Run every test: first on Flex, then on LibTorch.
    ///
    /// On LibTorch, CUPEL_PYTHON names a Python with PyTorch, so that the tests that compare with PyTorch run as well.
    Test {
        /// Stop after Flex: nothing is provisioned.
        #[arg(long)]
        no_libtorch: bool,
    },
    /// Find or provision LibTorch 2.9.0, and print its environment or run a command in it.
    ///
    /// In this order: the directory that LIBTORCH names; PyTorch 2.9.0 in the active Python; a virtual environment in
    /// the cache directory, made once (about 7 GB on x86-64 Linux). CUPEL_CACHE names another cache directory.
    #[command(after_help = LIBTORCH_EXAMPLES)]
    Libtorch {
        /// The command to run; without one, shell lines that set the environment are printed.
        #[arg(last = true)]
        command: Vec<OsString>,
    },
    /// Write the fixtures that hold what PyTorch computes.
    ///
    /// They are committed, so that the tests compare with PyTorch where there is none. PyTorch 2.9.0 is found or
    /// provisioned as for `cargo xtask libtorch`.
    Oracle {
        /// Change nothing: fail where a fixture is not what PyTorch computes.
        #[arg(long)]
        check: bool,
    },
    /// Train with Cupel and with PyTorch, in turns, and compare throughput and memory.
    ///
    /// Every peer starts from the same weights and sees the same batches, with as many threads. Where the losses of the
    /// first ten steps differ by more than rounding, nothing is timed. PyTorch 2.9.0 is found or provisioned as for
    /// `cargo xtask libtorch`.
    BenchPeers(PeersArguments),
    /// Time a step by batch, context, width, depth and vocabulary, around nanoGPT's shape for a CPU.
    BenchGrowth(GrowthArguments),
    /// Pack what a machine with a GPU needs: the programs, built against the active Python's PyTorch, and `gpu.py`.
    ///
    /// The PyTorch is to be of the version that is there. There, `python3 gpu.py` in the unpacked directory tests and
    /// measures everything.
    Gpu,
}

const LIBTORCH_EXAMPLES: &str = "\
Examples:
  eval \"$(cargo xtask libtorch)\"
  cargo xtask libtorch -- cargo run --release --features tch -- devices";

fn main() -> ExitCode {
    let outcome = match Chore::parse() {
        Chore::Test { no_libtorch } => test::run(!no_libtorch),
        Chore::Libtorch { command } => libtorch_chore(&command),
        Chore::Oracle { check } => oracle_chore(check),
        Chore::BenchPeers(arguments) => bench::peers(&arguments),
        Chore::Gpu => gpu::bundle(),
        Chore::BenchGrowth(arguments) => bench::growth(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            error.exit_code()
        }
    }
}

fn libtorch_chore(command: &[OsString]) -> Result<(), Error> {
    let environment = libtorch::environment()?;
    let Some((program, arguments)) = command.split_first() else {
        print!("{}", environment.exports());
        return Ok(());
    };
    let mut command = std::process::Command::new(program);
    command.args(arguments);
    environment.apply(&mut command);
    process::run(&mut command)
}

fn oracle_chore(check: bool) -> Result<(), Error> {
    let environment = libtorch::environment()?;
    let python = environment.python().ok_or(Error::NoPyTorch)?;
    if check {
        oracle::check(python)
    } else {
        oracle::regenerate(python)
    }
}
