//! What the machine does at best, against which throughput is held.

use std::env;

use serde::Deserialize;
use serde_json::Value;

use super::{peer::Programs, statistics::Summary, turns::Progress, worker::Worker};
use crate::error::Error;

/// Parameters of GPT-2 124M.
const PARAMETERS: f64 = 124_439_808.0;

/// What a step of AdamW reads and writes of each parameter: parameter, gradient and two moments are read, parameter and
/// moments written, four bytes each.
const BYTES_PER_PARAMETER: f64 = 28.0;

/// What one round of a probe measured.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Round {
    /// FLOP/s of a large square product in f32.
    pub sgemm: f64,
    /// Bytes read and written a second by a large copy.
    pub copy: f64,
    /// Seconds of a step of AdamW on 124M parameters.
    pub adamw: f64,
}

/// The machine.
pub struct Machine {
    /// Its fastest product, whether by the `gemm` crate or by PyTorch, in FLOP/s.
    pub sgemm: f64,
    /// The rounds of Cupel and of PyTorch.
    pub rounds: Vec<[Round; 2]>,
    /// What the probes said of themselves, the machine among it.
    pub versions: [Value; 2],
}

impl Machine {
    /// Has the probes take turns.
    pub fn measure(programs: &Programs, rounds: usize, progress: &Progress) -> Result<Self, Error> {
        progress.at("the machine: products, copies, AdamW");
        let directory = tempfile::tempdir().map_err(Error::file("write to", env::temp_dir()))?;
        let mut probes = programs.probes(directory.path())?;
        let mut measured: Vec<[Round; 2]> = Vec::new();
        for _ in 0..rounds {
            let [cupel, pytorch] = &mut probes;
            let round = |probe: &mut Worker| {
                let round = probe.ask("round");
                progress.done();
                round
            };
            measured.push([round(cupel)?, round(pytorch)?]);
        }
        Ok(Self {
            sgemm: measured
                .iter()
                .flatten()
                .map(|round| round.sgemm)
                .fold(0.0, f64::max),
            rounds: measured,
            versions: probes.map(|probe| probe.versions.clone()),
        })
    }

    /// The bytes that a step of AdamW moves in a second over those that a copy moves, for Cupel (0) or PyTorch (1).
    ///
    /// The copy is the faster of the two in each round.
    pub fn adamw_over_copy(&self, probe: usize) -> Option<Summary> {
        let adamw = |rounds: &[Round; 2]| BYTES_PER_PARAMETER * PARAMETERS / rounds[probe].adamw;
        let copy = |[a, b]: &[Round; 2]| a.copy.max(b.copy);
        let adamw: Vec<f64> = self.rounds.iter().map(adamw).collect();
        let copy: Vec<f64> = self.rounds.iter().map(copy).collect();
        Summary::of_ratios(&adamw, &copy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adamw_is_held_against_the_faster_copy_of_its_round() {
        let round = |copy, adamw| Round {
            sgemm: 1e11,
            copy,
            adamw,
        };
        let machine = Machine {
            sgemm: 1e11,
            rounds: vec![[round(1e10, 1.0), round(2e10, 0.5)]],
            versions: [Value::Null, Value::Null],
        };
        let bytes = BYTES_PER_PARAMETER * PARAMETERS;
        assert_eq!(machine.adamw_over_copy(0), Some(Summary::exactly(bytes / 2e10)));
        assert_eq!(
            machine.adamw_over_copy(1),
            Some(Summary::exactly(2.0 * bytes / 2e10))
        );
    }
}
