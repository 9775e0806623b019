//! What is trained: a model, its weights and its batches, prepared once for all peers.

use std::{fmt, path::Path, process::Command};

use clap::ValueEnum;
use serde::{Deserialize, Serialize, Serializer};

use crate::{error::Error, process};

/// The shapes by which throughput is compared; `benches/lib.rs` says what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    NanogptCpu,
    Small,
    #[value(name = "gpt2-124m")]
    Gpt2_124m,
}

impl Shape {
    /// Steps of a turn: a few seconds of two cores.
    pub fn steps(self) -> usize {
        match self {
            Self::NanogptCpu => 60,
            Self::Small => 6,
            Self::Gpt2_124m => 3,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}

impl Serialize for Shape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What was prepared.
#[derive(Clone, Debug, Deserialize)]
pub struct Workload {
    pub layers: usize,
    pub width: usize,
    pub context: usize,
    pub batch: usize,
    pub parameters: usize,
}

impl Workload {
    /// Has the worker prepare a shape in `directory`, with sizes of its own such as `--width 256`.
    pub fn prepare(
        mut worker: Command,
        directory: &Path,
        shape: Shape,
        sizes: &[String],
    ) -> Result<Self, Error> {
        worker.arg(directory).arg(shape.to_string()).args(sizes);
        let command = process::show(&worker);
        let output = worker.output().map_err(|cause| Error::Start {
            command: command.clone(),
            cause,
        })?;
        serde_json::from_slice(&output.stdout).map_err(|_| Error::Worker {
            name: command,
            last: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    pub fn tokens_per_step(&self) -> usize {
        self.batch * self.context
    }

    /// Floating-point operations of a token's forward and backward pass, as nanoGPT and PaLM (arXiv 2204.02311, appendix
    /// B) count them: `6 N + 12 layers width context`, where N does not count the position embedding.
    ///
    /// Attention counts as if it were not causal; nothing is counted for anything but matrix products.
    pub fn flops_per_token(&self) -> f64 {
        let parameters = self.parameters - self.context * self.width;
        (6 * parameters + 12 * self.layers * self.width * self.context) as f64
    }
}

#[cfg(test)]
impl Workload {
    /// nanoGPT's for a CPU.
    pub fn example() -> Self {
        Self {
            layers: 4,
            width: 128,
            context: 64,
            batch: 12,
            parameters: 809_984,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flops_are_counted_as_nanogpt_counts_them() {
        // GPT-2 124M: 124,439,808 parameters, 123,653,376 without positions; nanoGPT's estimate_mfu at a context of 1024.
        let gpt2 = Workload {
            layers: 12,
            width: 768,
            context: 1024,
            batch: 1,
            parameters: 124_439_808,
        };
        assert_eq!(gpt2.flops_per_token(), 855_166_464.0);
    }
}
