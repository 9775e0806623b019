//! Processes that do one piece of work for each line that they are sent, so that peers stay warm and take turns.

use std::{
    fmt::Display,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;

/// The lines that are shown of what a worker that ended had printed.
const SHOWN: usize = 12;

/// A process that answers each line with a line of JSON.
#[derive(Debug)]
pub struct Worker {
    name: String,
    child: Child,
    /// Gone only while the worker is being dropped: its end is how a worker knows that there is nothing more to do.
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// What it prints on stderr.
    log: PathBuf,
    /// What it said of itself when it was ready.
    pub versions: Value,
}

impl Worker {
    /// Starts the worker and waits until it is ready; what it prints on stderr goes into a file in `directory`.
    pub fn start(name: &str, command: &mut Command, directory: &Path) -> Result<Self, Error> {
        let log = directory.join(format!("{name}.log"));
        let file = File::create(&log).map_err(Error::file("create", &log))?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .map_err(|cause| Error::Start {
                command: command.get_program().to_string_lossy().into_owned(),
                cause,
            })?;
        let requests = child.stdin.take();
        let Some(answers) = child.stdout.take().map(BufReader::new) else {
            unreachable!("the standard output was asked for")
        };
        let mut worker = Self {
            name: name.to_owned(),
            child,
            requests,
            answers,
            log,
            versions: Value::Null,
        };
        worker.versions = worker.answer()?;
        Ok(worker)
    }

    /// Sends a line and waits for the answer.
    pub fn ask<T: DeserializeOwned>(&mut self, request: impl Display) -> Result<T, Error> {
        if let Some(requests) = &mut self.requests {
            // A worker that has ended cannot be written to; that it does not answer says why.
            let _ = writeln!(requests, "{request}");
        }
        self.answer()
    }

    /// The most memory that it ever had, in bytes; Linux alone tells it of one process.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kibibytes * 1024)
    }

    fn answer<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line);
        if read.is_ok_and(|bytes| bytes > 0)
            && let Ok(answer) = serde_json::from_str(&line)
        {
            return Ok(answer);
        }
        let said = fs::read_to_string(&self.log).unwrap_or_default() + &line;
        let lines: Vec<&str> = said.lines().collect();
        let last = lines[lines.len().saturating_sub(SHOWN)..].join("\n    ");
        Err(Error::Worker {
            name: self.name.clone(),
            last,
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.requests = None;
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn each_line_is_answered() {
        let directory = tempfile::tempdir().unwrap();
        let mut echo = shell("echo '{\"version\": 1}'; while read line; do echo \"[$line]\"; done");
        let mut worker = Worker::start("echo", &mut echo, directory.path()).unwrap();
        assert_eq!(worker.versions["version"], 1);
        assert_eq!(worker.ask::<Vec<u32>>(7).unwrap(), [7]);
        assert_eq!(worker.ask::<Vec<u32>>(8).unwrap(), [8]);
    }

    #[test]
    fn a_worker_that_ends_is_named_with_what_it_said() {
        let directory = tempfile::tempdir().unwrap();
        let mut worker = Worker::start(
            "broken",
            &mut shell("echo null; echo out of luck >&2"),
            directory.path(),
        )
        .unwrap();
        let error = worker.ask::<u32>(1).unwrap_err().to_string();
        assert!(
            error.contains("broken") && error.contains("out of luck"),
            "{error}"
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn memory_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let mut idle = shell("echo null; read line");
        let worker = Worker::start("idle", &mut idle, directory.path()).unwrap();
        assert!(worker.peak_memory().unwrap() > 100_000);
    }
}
