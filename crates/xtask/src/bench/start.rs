//! How long `cupel train` takes until its first step is made.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use super::statistics::Summary;
use crate::error::Error;

/// nanoGPT's model for a CPU on the embedded text; the evaluation that precedes the first step is as short as one can be.
const RECIPE: &str = "\
data = { corpus = 'burn-source', tokenizer = 'byte' }
model = { preset = 'nanogpt-cpu' }
schedule = { warmup = 0 }
training = { batch_size = 12, accumulate = 1, steps = 1, eval_tokens = 1 }
";

/// Seconds from starting the process to its line on the first step, with nothing cached from before.
pub fn measure(cupel: &Path, threads: usize, times: usize) -> Result<Summary, Error> {
    let seconds = (0..times)
        .map(|_| once(cupel, threads))
        .collect::<Result<Vec<f64>, Error>>()?;
    Ok(Summary::of(&seconds).unwrap_or(Summary::exactly(f64::NAN)))
}

fn once(cupel: &Path, threads: usize) -> Result<f64, Error> {
    let directory = tempfile::tempdir().map_err(Error::file("write to", env::temp_dir()))?;
    let recipe = directory.path().join("recipe.toml");
    fs::write(&recipe, RECIPE).map_err(Error::file("write", &recipe))?;
    let mut command = Command::new(cupel);
    command
        .arg("train")
        .arg(&recipe)
        .arg("--out")
        .arg(directory.path().join("trial"))
        .env("CUPEL_CACHE", directory.path().join("cache"))
        .env("RAYON_NUM_THREADS", threads.to_string())
        .stdout(Stdio::piped());
    let clock = Instant::now();
    let mut child = command.spawn().map_err(|cause| Error::Start {
        command: cupel.display().to_string(),
        cause,
    })?;
    let mut seconds = None;
    let mut said = String::new();
    for line in child
        .stdout
        .take()
        .into_iter()
        .flat_map(|stdout| BufReader::new(stdout).lines())
        .map_while(Result::ok)
    {
        if seconds.is_none() && line.contains("step 0 ") {
            seconds = Some(clock.elapsed().as_secs_f64());
        }
        said += &format!("{line}\n");
    }
    let _ = child.wait();
    seconds.ok_or(Error::Worker {
        name: "cupel train".to_owned(),
        last: said,
    })
}
