//! The command line of Cupel: argument parsing and printing, nothing else.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what a command line is for"
)]

mod arguments;
mod commands;
mod logging;
mod picture;
mod progress;
mod signals;
mod table;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command, Show};

/// The training step allocates and frees hundreds of large tensors; mimalloc keeps their pages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Train(arguments) => commands::train(&arguments),
        Command::Sweep(arguments) => commands::sweep(&arguments),
        Command::Compare(arguments) => commands::compare(&arguments),
        Command::Diff(arguments) => commands::diff(&arguments),
        Command::LrFind(arguments) => commands::lr_find(&arguments),
        Command::Generate(arguments) => commands::generate(&arguments),
        Command::Devices => commands::devices(),
        Command::List(arguments) => Ok(commands::list(arguments.what)),
        Command::Schema(arguments) => commands::schema(arguments.of),
        Command::Show(arguments) => match arguments.what {
            Show::Schedule(arguments) => commands::show_schedule(&arguments),
        },
    };
    outcome.unwrap_or_else(|report| {
        eprintln!("{report:?}");
        ExitCode::FAILURE
    })
}
