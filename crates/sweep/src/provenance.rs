use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sysinfo::System;
use training::{BURN_VERSION, VERSION, records::CorpusRecord};

/// `provenance.json`: what ran, where, and on what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Cupel's version and commit.
    pub cupel: String,
    /// Burn's version.
    pub burn: String,
    /// LibTorch's version, where it is in the build.
    pub libtorch: Option<String>,
    /// Where it ran.
    pub machine: Machine,
    /// As `--device` names it.
    pub device: String,
    /// Trials at a time.
    pub jobs: usize,
    /// Threads of each.
    pub threads: usize,
    /// The texts that the trials learnt from.
    pub corpora: Vec<CorpusRecord>,
    /// The command line.
    pub command: Vec<String>,
    /// When this run of the sweep began.
    pub started: Timestamp,
    /// When it ended; empty while it goes on, and where it was killed.
    pub finished: Option<Timestamp>,
}

/// The machine that a sweep ran on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The system and its version.
    pub system: String,
    /// The architecture.
    pub architecture: String,
    /// The processor, as it calls itself.
    pub cpu: String,
    /// Its threads.
    pub cores: usize,
    /// Memory in bytes.
    pub memory: u64,
    /// The GPUs, by name and memory.
    pub gpus: Vec<String>,
}

impl Machine {
    /// This machine; the GPUs come from whoever can see them.
    pub fn this(gpus: Vec<String>) -> Self {
        let system = System::new().ok().map(|mut system| {
            system.refresh_cpu_all();
            system.refresh_memory();
            system
        });
        let cpus = system.iter().flat_map(System::cpus);
        let cpu = cpus.map(|cpu| cpu.brand().trim().to_owned()).next();
        Self {
            system: System::long_os_version().unwrap_or_else(|_| std::env::consts::OS.to_owned()),
            architecture: std::env::consts::ARCH.to_owned(),
            cpu: cpu.unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: system.as_ref().map_or(0, System::total_memory),
            gpus,
        }
    }
}

impl Provenance {
    /// A run that begins now.
    pub(crate) fn begin(options: &crate::RunOptions, threads: usize) -> Self {
        Self {
            cupel: VERSION.to_owned(),
            burn: BURN_VERSION.to_owned(),
            libtorch: options.libtorch.clone(),
            machine: options.machine.clone(),
            device: options.device.clone(),
            jobs: options.jobs,
            threads,
            corpora: Vec::new(),
            command: options.command.clone(),
            started: Timestamp::now(),
            finished: None,
        }
    }
}
