//! Peers that train the same, in turns.

use std::{env, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

use super::{
    agreement::{self, Losses},
    peer::{Peer, Programs},
    worker::Worker,
    workload::{Shape, Workload},
};
use crate::error::Error;

/// What a worker says of the steps that it was asked for.
#[derive(Debug, Deserialize)]
pub struct Steps {
    pub seconds: f64,
    pub losses: Vec<f64>,
}

/// One comparison to make.
pub struct Plan<'a> {
    pub shape: Shape,
    pub dropout: f64,
    pub peers: &'a [Peer],
    pub alternations: usize,
    /// Of a turn.
    pub steps: usize,
}

/// What was measured of peers that trained the same.
#[derive(Debug)]
pub struct Comparison {
    pub shape: Shape,
    pub dropout: f64,
    pub workload: Workload,
    /// Of a turn.
    pub steps: usize,
    pub results: Vec<PeerResult>,
    /// Of the first steps.
    pub losses: Vec<Losses>,
    /// Peers that cannot run here, and why.
    pub absent: Vec<(Peer, String)>,
}

/// What was measured of one peer.
#[derive(Debug)]
pub struct PeerResult {
    pub peer: Peer,
    /// Seconds of each turn.
    pub seconds: Vec<f64>,
    /// Bytes, where the system tells.
    pub peak_memory: Option<u64>,
}

impl Comparison {
    pub fn result(&self, peer: Peer) -> Option<&PeerResult> {
        self.results.iter().find(|result| result.peer == peer)
    }

    /// Tokens a second in each turn.
    pub fn tokens_per_second(&self, peer: Peer) -> Option<Vec<f64>> {
        let tokens = (self.steps * self.workload.tokens_per_step()) as f64;
        let result = self.result(peer)?;
        Some(result.seconds.iter().map(|seconds| tokens / seconds).collect())
    }
}

/// Starts every peer on the same weights and batches, checks that they compute the same, and then has them take turns.
pub fn compare(programs: &Programs, plan: &Plan<'_>, progress: &Progress) -> Result<Comparison, Error> {
    let directory = tempfile::tempdir().map_err(Error::file("write to", env::temp_dir()))?;
    let dropout = ["--dropout".to_owned(), plan.dropout.to_string()];
    let workload = Workload::prepare(programs.prepare(), directory.path(), plan.shape, &dropout)?;

    let mut workers: Vec<(Peer, Worker, Vec<f64>)> = Vec::new();
    let (mut losses, mut absent) = (Vec::new(), Vec::new());
    for &peer in plan.peers {
        progress.at(&format!(
            "{}, dropout {}: first steps of {peer}",
            plan.shape, plan.dropout
        ));
        let first_steps = || -> Result<(Worker, Steps), Error> {
            let mut worker = programs.start(peer, directory.path())?;
            let steps: Steps = worker.ask(agreement::STEPS)?;
            Ok((worker, steps))
        };
        match first_steps() {
            Ok((worker, steps)) => {
                losses.push((peer, steps.losses));
                workers.push((peer, worker, Vec::new()));
            }
            // It needs a C++ compiler, which is no part of PyTorch.
            Err(error) if peer == Peer::PytorchCompile => {
                absent.push((peer, error.to_string()));
                progress.skip(plan.alternations);
            }
            Err(error) => return Err(error),
        }
        progress.done();
    }
    // With dropout, every peer draws masks of its own.
    if plan.dropout == 0.0 {
        agreement::check(&workload, &losses)?;
    }

    for alternation in 0..plan.alternations {
        // There and back, so that nobody always follows the same neighbour.
        if alternation > 0 {
            workers.reverse();
        }
        for (peer, worker, seconds) in &mut workers {
            progress.at(&format!("{}, dropout {}: {peer}", plan.shape, plan.dropout));
            seconds.push(worker.ask::<Steps>(plan.steps)?.seconds);
            progress.done();
        }
    }
    if plan.alternations.is_multiple_of(2) {
        workers.reverse();
    }
    let results = workers
        .into_iter()
        .map(|(peer, worker, seconds)| PeerResult {
            peer,
            seconds,
            peak_memory: worker.peak_memory(),
        })
        .collect();
    Ok(Comparison {
        shape: plan.shape,
        dropout: plan.dropout,
        workload,
        steps: plan.steps,
        results,
        losses,
        absent,
    })
}

/// A bar over the turns of a sitting; where stderr is no terminal, a line for each thing that is begun.
pub struct Progress(ProgressBar);

impl Progress {
    pub fn new(turns: usize) -> Self {
        let bar = ProgressBar::new(turns as u64);
        let template = "{elapsed} {wide_bar} {pos}/{len} turns, {eta} left  {msg}";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.enable_steady_tick(Duration::from_secs(1));
        Self(bar)
    }

    /// What is measured now.
    pub fn at(&self, what: &str) {
        if self.0.is_hidden() && self.0.message() != what {
            eprintln!("{what}");
        }
        self.0.set_message(what.to_owned());
    }

    pub fn done(&self) {
        self.0.inc(1);
    }

    /// Turns that will not be taken.
    pub fn skip(&self, turns: usize) {
        self.0.inc(turns as u64);
    }

    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
