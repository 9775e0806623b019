//! Who is compared, and how each is started.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use clap::ValueEnum;
use serde::{Serialize, Serializer};

use super::{
    build::{self, Executables},
    worker::Worker,
};
use crate::{
    error::Error,
    libtorch::{self, Environment},
};

/// One way to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Peer {
    /// Cupel on Flex.
    FlexFused,
    /// Cupel on Flex, products in bf16, weights and sums in f32.
    FlexFusedBf16,
    /// Cupel on Flex, by Burn's own operations.
    FlexReference,
    /// Cupel on LibTorch.
    LibtorchFused,
    /// Cupel on LibTorch, by Burn's own operations.
    LibtorchReference,
    /// PyTorch with its fused attention and its fused AdamW.
    PytorchEager,
    /// The same through torch.compile.
    PytorchCompile,
}

impl Peer {
    /// Whether matrix products round their operands to bf16.
    pub fn is_bf16(self) -> bool {
        self == Self::FlexFusedBf16
    }

    fn is_libtorch(self) -> bool {
        matches!(self, Self::LibtorchFused | Self::LibtorchReference)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}

impl Serialize for Peer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What the peers are started from.
pub struct Programs {
    /// Without LibTorch.
    pub flex: Executables,
    /// Nothing where no peer needs it.
    torch: Option<Torch>,
    threads: usize,
}

/// PyTorch, and Cupel with its LibTorch.
struct Torch {
    environment: Environment,
    python: PathBuf,
    script: PathBuf,
    /// Nothing where no peer needs it.
    cupel: Option<Executables>,
}

impl Programs {
    /// Builds the worker on Flex.
    pub fn flex(threads: usize) -> Result<Self, Error> {
        Ok(Self {
            flex: Executables::build(None)?,
            torch: None,
            threads,
        })
    }

    /// Finds PyTorch, and builds the workers that `peers` take.
    pub fn with_torch(peers: &[Peer], threads: usize) -> Result<Self, Error> {
        let environment = libtorch::environment()?;
        let python = environment.python().ok_or(Error::NoPyTorch)?.to_owned();
        let with_libtorch = peers.iter().any(|peer| peer.is_libtorch());
        let torch = Torch {
            python,
            script: build::root()?.join("benches/peer.py"),
            cupel: with_libtorch
                .then(|| Executables::build(Some(&environment)))
                .transpose()?,
            environment,
        };
        Ok(Self {
            torch: Some(torch),
            ..Self::flex(threads)?
        })
    }

    /// The worker of a peer, ready to train what was prepared in `directory`.
    pub fn start(&self, peer: Peer, directory: &Path) -> Result<Worker, Error> {
        let mut command = match peer {
            Peer::FlexFused => self.cupel("flex", "fused", "f32", directory)?,
            Peer::FlexFusedBf16 => self.cupel("flex", "fused", "bf16", directory)?,
            Peer::FlexReference => self.cupel("flex", "reference", "f32", directory)?,
            Peer::LibtorchFused => self.cupel("libtorch", "fused", "f32", directory)?,
            Peer::LibtorchReference => self.cupel("libtorch", "reference", "f32", directory)?,
            Peer::PytorchEager | Peer::PytorchCompile => self.pytorch(&["train".as_ref(), directory])?,
        };
        if peer == Peer::PytorchCompile {
            command.arg("--compile");
        }
        Worker::start(&peer.to_string(), &mut command, directory)
    }

    /// The two workers that measure the machine: Cupel's, and PyTorch's.
    pub fn probes(&self, directory: &Path) -> Result<[Worker; 2], Error> {
        let mut cupel = self.with_threads(&self.flex.worker);
        cupel.arg("probe");
        let mut pytorch = self.pytorch(&["probe".as_ref()])?;
        Ok([
            Worker::start("probe-cupel", &mut cupel, directory)?,
            Worker::start("probe-pytorch", &mut pytorch, directory)?,
        ])
    }

    /// Cupel's worker, to prepare what is trained.
    pub fn prepare(&self) -> Command {
        let mut command = Command::new(&self.flex.worker);
        command.arg("prepare");
        command
    }

    fn cupel(
        &self,
        device: &str,
        kernels: &str,
        precision: &str,
        directory: &Path,
    ) -> Result<Command, Error> {
        let mut command = if device == "flex" {
            self.with_threads(&self.flex.worker)
        } else {
            let torch = self.torch.as_ref().ok_or(Error::NoPyTorch)?;
            let executables = torch.cupel.as_ref().ok_or(Error::NoPyTorch)?;
            let mut command = self.with_threads(&executables.worker);
            torch.environment.apply(&mut command);
            command
        };
        command.arg("train").arg(directory).args(["--device", device]);
        command.args(["--set", &format!("training.kernels = '{kernels}'")]);
        command.args(["--set", &format!("training.precision = '{precision}'")]);
        Ok(command)
    }

    fn pytorch(&self, work: &[&Path]) -> Result<Command, Error> {
        let torch = self.torch.as_ref().ok_or(Error::NoPyTorch)?;
        let mut command = self.with_threads(&torch.python);
        torch.environment.apply(&mut command);
        command.arg(&torch.script).args(work);
        command.args(["--threads", &self.threads.to_string()]);
        Ok(command)
    }

    /// A program that is told the number of threads by each library's own variable.
    fn with_threads(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for variable in ["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"] {
            command.env(variable, self.threads.to_string());
        }
        command
    }
}
