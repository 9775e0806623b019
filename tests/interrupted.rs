//! A sweep whose processes are killed goes on where it was, and comes out the same.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

mod place;

use std::{fs, os::unix::process::CommandExt, path::Path, time::SystemTime};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use place::{Place, SWEEP, timeless, wait_for};

/// Trials with a result, and when it was written.
fn results(out: &Path) -> Vec<(String, SystemTime)> {
    let Ok(entries) = fs::read_dir(out.join("trials")) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let written = entry
                .path()
                .join("result.json")
                .metadata()
                .ok()?
                .modified()
                .ok()?;
            Some((entry.file_name().to_string_lossy().into_owned(), written))
        })
        .collect()
}

/// The rows of each trial's curve so far.
fn curves(out: &Path) -> Vec<usize> {
    let Ok(entries) = fs::read_dir(out.join("trials")) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("curve.csv")).ok())
        .map(|curve| curve.lines().count().saturating_sub(1))
        .collect()
}

/// The processes that train below `out`.
fn trials(out: &Path) -> Vec<Pid> {
    let out = out.to_string_lossy().into_owned();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let id: i32 = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            (line.contains(" train ") && line.contains(&out)).then(|| Pid::from_raw(id))
        })
        .collect()
}

fn assert_same(a: &Path, b: &Path) {
    for name in ["trials.csv", "curves.csv", "comparison.csv"] {
        assert_eq!(timeless(&a.join(name)), timeless(&b.join(name)), "{name}");
    }
}

#[test]
fn kill_9_of_runner_and_of_trials_loses_nothing_and_repeats_nothing() {
    let place = Place::new();
    place.write("sweep.toml", SWEEP);
    let (calm, disturbed) = (place.path("calm"), place.path("disturbed"));
    let output = place.run(&["sweep", "sweep.toml", "--jobs", "1", "--out", "calm"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let name = disturbed.display().to_string();
    let arguments = ["sweep", "sweep.toml", "--jobs", "1", "--out", &name];

    // The runner is killed while the second trial is at work; its trial outlives it.
    let mut runner = place.command(&arguments).spawn().unwrap();
    wait_for("a result and a trial at work", || {
        results(&disturbed).len() == 1 && !trials(&disturbed).is_empty()
    });
    runner.kill().unwrap();
    runner.wait().unwrap();

    // A trial is killed under the next runner: recorded as failed, and the sweep goes on and says so.
    let mut runner = place.command(&arguments).spawn().unwrap();
    wait_for("the third trial", || {
        results(&disturbed).len() >= 2 && !trials(&disturbed).is_empty()
    });
    for trial in trials(&disturbed) {
        // It may have ended in between.
        let _ = kill(trial, Signal::SIGKILL);
    }
    let status = runner.wait().unwrap();
    let before = results(&disturbed);
    if before.len() < 4 {
        assert_eq!(
            status.code(),
            Some(1),
            "a sweep with a failed trial does not succeed"
        );
        let rows = timeless(&disturbed.join("trials.csv"));
        assert!(rows.iter().any(|row| row["status"] == "failed"), "{rows:?}");
    }

    let output = place.run(&arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let after = results(&disturbed);
    assert_eq!(after.len(), 4);
    for result in before {
        assert!(after.contains(&result), "{} was run again", result.0);
    }
    assert_same(&calm, &disturbed);
}

#[test]
fn a_sweep_that_is_asked_to_stop_goes_on_later() {
    let place = Place::new();
    place.write("sweep.toml", SWEEP);
    // An absolute path, by which its trials are told from those of other tests.
    let out = place.path("stopped");
    let name = out.display().to_string();
    let arguments = ["sweep", "sweep.toml", "--jobs", "2", "--out", &name];

    for signal in [Signal::SIGUSR1, Signal::SIGTERM] {
        let mut runner = place.command(&arguments).spawn().unwrap();
        wait_for("trials at work", || trials(&out).len() == 2);
        kill(Pid::from_raw(runner.id() as i32), signal).unwrap();
        assert_eq!(runner.wait().unwrap().code(), Some(75), "{signal}");
        assert!(trials(&out).is_empty(), "its trials have ended with it");
        assert!(results(&out).len() < 4);
    }

    assert!(place.run(&arguments).status.success());
    assert_eq!(results(&out).len(), 4);
    // Threads and interruptions do not show.
    let calm = place.path("calm");
    assert!(
        place
            .run(&["sweep", "sweep.toml", "--jobs", "1", "--out", "calm"])
            .status
            .success()
    );
    assert_same(&calm, &out);
}

#[test]
fn ctrl_c_in_a_terminal_leaves_a_checkpoint_of_the_step_it_came_at() {
    let place = Place::new();
    // No checkpoint but the first evaluation's and the last's.
    place.write(
        "sweep.toml",
        &SWEEP
            .replace("steps = 400", "steps = 100_000")
            .replace("eval_every = 100", "eval_every = 100_000")
            .replace("checkpoint_every = 20", "checkpoint_every = 100_000"),
    );
    let out = place.path("interrupted");
    let name = out.display().to_string();
    let arguments = ["sweep", "sweep.toml", "--jobs", "1", "--out", &name];

    // A terminal sends it to the whole foreground group.
    let mut runner = place.command(&arguments).process_group(0).spawn().unwrap();
    wait_for("some rows of a curve", || {
        curves(&out).iter().any(|rows| *rows > 3)
    });
    killpg(Pid::from_raw(runner.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(runner.wait().unwrap().code(), Some(75));
    assert!(trials(&out).is_empty(), "its trials have ended with it");

    let saved: Vec<String> = fs::read_dir(out.join("trials"))
        .unwrap()
        .flatten()
        .filter_map(|trial| fs::read_to_string(trial.path().join("checkpoints/latest")).ok())
        .collect();
    assert!(
        matches!(saved.as_slice(), [name] if name.as_str() > "step-00000000"),
        "{saved:?}"
    );
}

#[test]
fn a_second_runner_is_told_who_is_at_it() {
    let place = Place::new();
    place.write("sweep.toml", SWEEP);
    let out = place.path("held");
    let name = out.display().to_string();
    let arguments = ["sweep", "sweep.toml", "--out", &name];
    let mut runner = place.command(&arguments).spawn().unwrap();
    wait_for("a trial", || !trials(&out).is_empty());
    let second = place.run(&arguments);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        !second.status.success() && said.contains(&format!("process {}", runner.id())),
        "{said}"
    );
    kill(Pid::from_raw(runner.id() as i32), Signal::SIGTERM).unwrap();
    runner.wait().unwrap();
}
