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
    environment: Environment,
    python: PathBuf,
    script: PathBuf,
    /// Without LibTorch.
    pub flex: Executables,
    /// With LibTorch; nothing where no peer needs it.
    libtorch: Option<Executables>,
    threads: usize,
}

impl Programs {
    /// Finds PyTorch and builds the workers that `peers` take.
    pub fn new(peers: &[Peer], threads: usize) -> Result<Self, Error> {
        let environment = libtorch::environment()?;
        let python = environment.python().ok_or(Error::NoPyTorch)?.to_owned();
        let script = build::root()?.join("benches/peer.py");
        let flex = Executables::build(None)?;
        let with_libtorch = peers.iter().any(|peer| peer.is_libtorch());
        let libtorch = with_libtorch
            .then(|| Executables::build(Some(&environment)))
            .transpose()?;
        Ok(Self {
            environment,
            python,
            script,
            flex,
            libtorch,
            threads,
        })
    }

    /// The worker of a peer, ready to train what was prepared in `directory`.
    pub fn start(&self, peer: Peer, directory: &Path) -> Result<Worker, Error> {
        let mut command = match peer {
            Peer::FlexFused => self.cupel("flex", "fused", "f32", directory),
            Peer::FlexFusedBf16 => self.cupel("flex", "fused", "bf16", directory),
            Peer::FlexReference => self.cupel("flex", "reference", "f32", directory),
            Peer::LibtorchFused => self.cupel("libtorch", "fused", "f32", directory),
            Peer::LibtorchReference => self.cupel("libtorch", "reference", "f32", directory),
            Peer::PytorchEager | Peer::PytorchCompile => self.pytorch(&["train".as_ref(), directory]),
        };
        if peer == Peer::PytorchCompile {
            command.arg("--compile");
        }
        Worker::start(&peer.to_string(), &mut command, directory)
    }

    /// The two workers that measure the machine: Cupel's, and PyTorch's.
    pub fn probes(&self, directory: &Path) -> Result<[Worker; 2], Error> {
        let mut cupel = self.with_threads(Command::new(&self.flex.worker));
        cupel.arg("probe");
        Ok([
            Worker::start("probe-cupel", &mut cupel, directory)?,
            Worker::start("probe-pytorch", &mut self.pytorch(&["probe".as_ref()]), directory)?,
        ])
    }

    /// Cupel's worker, to prepare what is trained.
    pub fn prepare(&self) -> Command {
        let mut command = Command::new(&self.flex.worker);
        command.arg("prepare");
        command
    }

    fn cupel(&self, device: &str, kernels: &str, precision: &str, directory: &Path) -> Command {
        let executables = match (&self.libtorch, device) {
            (Some(executables), "libtorch") => executables,
            _ => &self.flex,
        };
        let mut command = self.with_threads(Command::new(&executables.worker));
        command.arg("train").arg(directory).args(["--device", device]);
        command.args(["--set", &format!("training.kernels = '{kernels}'")]);
        command.args(["--set", &format!("training.precision = '{precision}'")]);
        command
    }

    fn pytorch(&self, work: &[&Path]) -> Command {
        let mut command = self.with_threads(Command::new(&self.python));
        command.arg(&self.script).args(work);
        command.args(["--threads", &self.threads.to_string()]);
        command
    }

    /// Every library's own name for the number of threads.
    fn with_threads(&self, mut command: Command) -> Command {
        self.environment.apply(&mut command);
        for variable in ["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"] {
            command.env(variable, self.threads.to_string());
        }
        command
    }
}
