//! What a run does when it is asked to stop, and when it is asked twice.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

mod place;

use std::{fs, path::Path, process::Child, thread, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use place::{Place, RECIPE, left, rows, wait_for};
use training::checkpoint::verify;

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

fn latest(trial: &Path) -> String {
    fs::read_to_string(trial.join("checkpoints/latest")).unwrap_or_default()
}

#[test]
fn a_run_that_is_asked_to_stop_saves_says_so_with_75_and_goes_on_bit_for_bit() {
    let place = Place::new();
    // No checkpoint but the first evaluation's, the last, and those that signals ask for.
    place.write(
        "recipe.toml",
        &RECIPE.replace("checkpoint_every = 5", "checkpoint_every = 1000"),
    );
    let arguments = |out: &'static str| ["train", "recipe.toml", "--out", out];
    assert!(place.run(&arguments("calm")).status.success());

    let stopped = place.path("stopped");
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1] {
        let (before, saved) = (rows(&stopped), latest(&stopped));
        let mut run = place.command(&arguments("stopped")).spawn().unwrap();
        wait_for("more rows", || rows(&stopped) > before + 3);
        send(&run, signal);
        assert_eq!(run.wait().unwrap().code(), Some(75), "{signal}");
        assert!(latest(&stopped) > saved, "{signal}");
        verify(&stopped.join("checkpoints").join(latest(&stopped))).unwrap();
    }
    assert!(place.run(&arguments("stopped")).status.success());
    assert_eq!(left(&stopped), left(&place.path("calm")));
}

#[test]
fn a_second_signal_ends_a_run_at_once_and_leaves_the_last_checkpoint_intact() {
    let place = Place::new();
    // Steps that take long, so that the second signal comes before the first is heard.
    place.write(
        "recipe.toml",
        &RECIPE.replace("accumulate = 1", "accumulate = 20_000"),
    );
    for (first, second) in [
        (Signal::SIGTERM, Signal::SIGTERM),
        (Signal::SIGUSR1, Signal::SIGINT),
    ] {
        let out = place.path(first.as_str());
        let mut run = place
            .command(&["train", "recipe.toml", "--out", first.as_str()])
            .spawn()
            .unwrap();
        wait_for("the first checkpoint", || !latest(&out).is_empty());
        send(&run, first);
        thread::sleep(Duration::from_millis(200));
        assert!(
            run.try_wait().unwrap().is_none(),
            "{first} alone lets it finish its step"
        );
        send(&run, second);
        assert_eq!(run.wait().unwrap().code(), Some(130), "{second}");
        verify(&out.join("checkpoints").join(latest(&out))).unwrap();
    }
}

#[test]
fn a_changed_recipe_is_refused_unless_set_asks_for_it_and_then_recorded() {
    let place = Place::new();
    let recipe = RECIPE.replace("steps = 400", "steps = 20");
    place.write("recipe.toml", &recipe);
    let train = |set: &[&str]| {
        let mut arguments = vec!["train", "recipe.toml", "--out", "out"];
        for assignment in set {
            arguments.extend(["--set", assignment]);
        }
        let output = place.run(&arguments);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(train(&[]).0, Some(0));
    place.write("recipe.toml", &recipe.replace("log_every = 1", "log_every = 2"));
    let (code, said) = train(&["model.width=32", "training.steps=30"]);
    assert_eq!(code, Some(1));
    for difference in [
        "model.width: 16, now 32",
        "training.steps: 20, now 30",
        "training.log_every: 1, now 2 (may change: give it with --set)",
        "schedule.decay_steps: 20, now 30",
    ] {
        assert!(said.contains(difference), "{difference} is not in:\n{said}");
    }
    place.write("recipe.toml", &recipe);
    let (code, said) = train(&["training.steps=30", "schedule.decay_steps=20"]);
    assert_eq!(code, Some(0), "{said}");
    let out = place.path("out");
    let saved = verify(&out.join("checkpoints").join(latest(&out))).unwrap();
    assert_eq!((saved.progress.step, saved.progress.changes.len()), (30, 1));
    let log = fs::read_to_string(out.join("log.txt")).unwrap();
    assert!(
        log.contains("changed before step 20: training.steps: 20, now 30"),
        "{log}"
    );
}
