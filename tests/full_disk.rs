//! A run whose disk is full says which file it could not write, and leaves its last checkpoint intact.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

mod place;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use place::{Place, RECIPE, left};
use training::checkpoint::verify;

/// Checkpoints of 1.4 MB, all of which are kept.
fn recipe() -> String {
    RECIPE
        .replace(
            "layers = 1, heads = 2, width = 16",
            "layers = 2, heads = 2, width = 64",
        )
        .replace("steps = 400", "steps = 20\nkeep_last = 9")
}

/// A file system in memory, as long as this lives.
struct Mounted(PathBuf);

impl Mounted {
    /// None where this process may not mount.
    fn new(path: PathBuf, megabytes: u32) -> Option<Self> {
        fs::create_dir(&path).unwrap();
        mount(&path, &format!("size={megabytes}m")).then_some(Self(path))
    }

    fn grow(&self, megabytes: u32) {
        assert!(mount(&self.0, &format!("remount,size={megabytes}m")));
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn mount(path: &Path, options: &str) -> bool {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(path);
    mount.output().is_ok_and(|output| output.status.success())
}

/// It failed at a file of a checkpoint, said so, and has an intact checkpoint.
fn assert_failed_cleanly(output: &Output, trial: &Path, reason: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    // Wherever the line was broken.
    let said: String = said.split_whitespace().filter(|word| *word != "│").collect();
    assert!(
        said.contains("/checkpoints/.writing/") && said.contains(".safetensors"),
        "{said}"
    );
    assert!(said.contains(&reason.replace(' ', "")), "{said}");
    let latest = fs::read_to_string(trial.join("checkpoints/latest")).unwrap();
    verify(&trial.join("checkpoints").join(latest)).unwrap();
    assert!(!trial.join("checkpoints/.writing").exists());
}

#[test]
fn a_full_disk_stops_a_run_with_an_error_and_it_goes_on_when_there_is_room() {
    let place = Place::new();
    let Some(disk) = Mounted::new(place.path("disk"), 4) else {
        eprintln!("not run: a tmpfs cannot be mounted here");
        return;
    };
    place.write("recipe.toml", &recipe());
    assert!(
        place
            .run(&["train", "recipe.toml", "--out", "calm"])
            .status
            .success()
    );
    let arguments = ["train", "recipe.toml", "--out", "disk/trial"];
    let trial = place.path("disk/trial");
    for _ in 0..2 {
        assert_failed_cleanly(&place.run(&arguments), &trial, "No space left on device");
    }
    disk.grow(64);
    assert!(place.run(&arguments).status.success());
    assert_eq!(left(&trial), left(&place.path("calm")));
}

#[test]
fn a_file_that_may_not_grow_stops_a_run_with_an_error() {
    let place = Place::new();
    let text = recipe();
    place.write("recipe.toml", &text);
    let arguments = ["train", "recipe.toml", "--out", "trial"];
    assert!(
        place
            .run(&["train", "recipe.toml", "--out", "calm"])
            .status
            .success()
    );
    // Killed after its first checkpoints.
    let mut run = place.command(&arguments).spawn().unwrap();
    let trial = place.path("trial");
    place::wait_for("a checkpoint", || {
        trial.join("checkpoints/step-00000005").exists()
    });
    run.kill().unwrap();
    run.wait().unwrap();
    fs::remove_file(trial.join("result.json")).unwrap_or_default();

    // 512 blocks are 256 KiB to one shell and 512 KiB to another: room for everything but the optimizer's state.
    let script = "trap '' XFSZ; ulimit -f 512; exec \"$0\" \"$@\"";
    let mut limited = Command::new("sh");
    limited
        .args(["-c", script, env!("CARGO_BIN_EXE_cupel")])
        .args(arguments);
    limited
        .current_dir(place.path("."))
        .env("CUPEL_CACHE", place.path("cache"));
    let output = limited
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .output()
        .unwrap();
    assert_failed_cleanly(&output, &trial, "File too large");
    assert!(place.run(&arguments).status.success());
    assert_eq!(left(&trial), left(&place.path("calm")));
}
