use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use training::{CurveRow, TrialFiles, TrialResult, read_curve, records::write_atomically};

use crate::Failure;

/// The exit code of a trial that was asked to stop, or whose directory another process is at.
const TRY_AGAIN: i32 = 75;
/// How often a process is looked at.
const POLL: Duration = Duration::from_millis(20);
/// How often its curve is.
const LOOK: Duration = Duration::from_millis(500);
/// How long to wait for another process to leave a trial's directory before looking again.
const WAIT: Duration = Duration::from_secs(1);
/// How much of what a failed process printed is kept.
const LAST_LINES: usize = 20;

/// How a trial's process ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// It left a result.
    Finished(Box<TrialResult>),
    /// It left none, and will be tried again by the next run.
    Failed(Failure),
    /// It was stopped, and the next run goes on with it.
    Stopped,
}

/// How to start trials.
pub(crate) struct Launcher<'a> {
    /// Cupel's own binary.
    pub program: &'a Path,
    /// As `--device` names it.
    pub device: &'a str,
    /// Threads of each trial.
    pub threads: usize,
    /// Set to stop.
    pub stop: &'a AtomicBool,
}

impl Launcher<'_> {
    /// Runs the trial in `files` until it ends or is stopped; `advanced` hears of its curve.
    pub(crate) fn run(&self, files: &TrialFiles, advanced: &dyn Fn(&CurveRow)) -> io::Result<Ending> {
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(Ending::Stopped);
            }
            let status = self.attend(self.start(files)?, files, advanced)?;
            if status.code() == Some(TRY_AGAIN) {
                // Held by a trial that outlived its runner, if not stopped.
                if let Some(result) = read_result(files)? {
                    return Ok(Ending::Finished(Box::new(result)));
                }
                thread::sleep(if self.stop.load(Ordering::Relaxed) {
                    Duration::ZERO
                } else {
                    WAIT
                });
                continue;
            }
            return match read_result(files)? {
                Some(result) if status.success() => {
                    remove_if_there(&failure_path(files))?;
                    Ok(Ending::Finished(Box::new(result)))
                }
                _ if self.stop.load(Ordering::Relaxed) => Ok(Ending::Stopped),
                _ => self.failed(status, files),
            };
        }
    }

    fn start(&self, files: &TrialFiles) -> io::Result<Child> {
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(process_path(files))?;
        let threads = self.threads.to_string();
        Command::new(self.program)
            .arg("train")
            .arg(files.recipe())
            .args(["--device", self.device])
            .arg("--out")
            .arg(files.directory())
            .envs(["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"].map(|name| (name, &threads)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // A terminal sends Ctrl-C to its whole group; from it and from the runner the trial would hear it twice, and
            // end at once, its checkpoint not written.
            .process_group(0)
            .spawn()
    }

    fn attend(
        &self,
        mut child: Child,
        files: &TrialFiles,
        advanced: &dyn Fn(&CurveRow),
    ) -> io::Result<ExitStatus> {
        let mut looked = Instant::now();
        let mut told = false;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if self.stop.load(Ordering::Relaxed) && !told {
                told = true;
                // It may have ended in between, which is as well. An id of a process fits an i32.
                let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM);
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                if let Some(row) = read_curve(&files.curve())?.last() {
                    advanced(row);
                }
            }
            thread::sleep(POLL);
        }
    }

    fn failed(&self, status: ExitStatus, files: &TrialFiles) -> io::Result<Ending> {
        let printed = fs::read(process_path(files))?;
        let printed = String::from_utf8_lossy(&printed);
        let lines: Vec<&str> = printed.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..]
            .iter()
            .map(|line| (*line).to_owned())
            .collect();
        let failure = Failure {
            ended: status.to_string(),
            last_lines: last,
            at: Timestamp::now(),
        };
        write_atomically(&failure_path(files), &serde_json::to_vec_pretty(&failure)?)?;
        Ok(Ending::Failed(failure))
    }
}

/// The result of a trial; none where it has none yet.
pub(crate) fn read_result(files: &TrialFiles) -> io::Result<Option<TrialResult>> {
    read_json(&files.result())
}

/// How a trial failed when it was last tried; none where it did not.
pub(crate) fn read_failure(files: &TrialFiles) -> io::Result<Option<Failure>> {
    read_json(&failure_path(files))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).map_err(|error| {
            io::Error::other(format!(
                "{} is damaged ({error}); remove it to run the trial again",
                path.display()
            ))
        })?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn failure_path(files: &TrialFiles) -> PathBuf {
    files.directory().join("failure.json")
}

/// What the trial's process printed, over all its runs.
fn process_path(files: &TrialFiles) -> PathBuf {
    files.directory().join("process.txt")
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
