//! `cargo xtask bench-peers`: Cupel and PyTorch, in turns, on one machine and as many threads.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;

use super::{
    machine::Machine,
    peer::{Peer, Programs},
    start,
    statistics::Summary,
    summary, tables, threads,
    turns::{self, Comparison, Progress},
    workload::Shape,
};
use crate::error::Error;

/// With and without.
const DROPOUTS: [f64; 2] = [0.0, 0.1];

/// What `bench-peers` can be asked.
#[derive(Debug, Args)]
pub struct PeersArguments {
    /// The shapes to train; all of them where none is named.
    #[arg(long, value_delimiter = ',')]
    shapes: Vec<Shape>,
    /// The peers to compare; all of them where none is named.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<Peer>,
    /// The probabilities of dropout.
    #[arg(long, value_delimiter = ',', default_values_t = DROPOUTS)]
    dropout: Vec<f64>,
    /// How often every peer gets its turn.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(5..))]
    alternations: u16,
    /// Steps of a turn; a few seconds' worth of each shape if left out.
    #[arg(long)]
    steps: Option<NonZeroUsize>,
    /// Threads of every peer; the machine's if left out.
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// The directory for the CSVs.
    #[arg(long, default_value = "results/throughput")]
    out: PathBuf,
}

/// What a sitting measured.
pub struct Sitting {
    pub machine: Machine,
    pub comparisons: Vec<Comparison>,
    /// Seconds from the start of `cupel train` to the end of its first step.
    pub start: Summary,
    pub threads: usize,
}

/// Measures everything, prints the summary and writes the CSVs; nothing where peers disagree.
pub fn peers(arguments: &PeersArguments) -> Result<(), Error> {
    let or_all = |peers: &[Peer]| match peers {
        [] => <Peer as clap::ValueEnum>::value_variants().to_vec(),
        peers => peers.to_vec(),
    };
    let peers = or_all(&arguments.peers);
    let shapes = match arguments.shapes.as_slice() {
        [] => <Shape as clap::ValueEnum>::value_variants(),
        shapes => shapes,
    };
    let threads = threads(arguments.threads);
    let alternations = usize::from(arguments.alternations);

    let programs = Programs::with_torch(&peers, threads)?;
    let workloads = shapes.len() * arguments.dropout.len();
    let progress = Progress::new(2 * alternations + workloads * peers.len() * (1 + alternations));
    let machine = Machine::measure(&programs, alternations, &progress)?;
    let start = start::measure(&programs.flex.cupel, threads, alternations)?;
    let mut comparisons = Vec::new();
    for &shape in shapes {
        for &dropout in &arguments.dropout {
            let steps = arguments.steps.map_or(shape.steps(), NonZeroUsize::get);
            let plan = turns::Plan {
                shape,
                dropout,
                peers: &peers,
                alternations,
                steps,
            };
            comparisons.push(turns::compare(&programs, &plan, &progress)?);
        }
    }
    progress.finish();

    let sitting = Sitting {
        machine,
        comparisons,
        start,
        threads,
    };
    let goals = summary::rows(&sitting);
    println!("{}", summary::table(&goals));
    println!("{}", tables::throughput_table(&sitting));
    tables::write(&arguments.out, &sitting, &goals)
}
