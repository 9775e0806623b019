//! Whatever becomes of a checkpoint's files: the damage is named, the newest intact checkpoint is gone on from, and
//! nothing is deleted.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex},
};

use common::{Left, copy, finish, left, names, pointed, recipe, timeless, turn};
use proptest::{prelude::*, sample::Index};
use tempfile::TempDir;
use training::{
    Recipe,
    checkpoint::{Damage, verify},
    tensors,
};

const FILES: [&str; 5] = [
    "model.safetensors",
    "optimizer.safetensors",
    "recipe.toml",
    "state.json",
    "SHA256SUMS",
];

fn trial() -> Recipe {
    recipe(&["training.checkpoint_every=10", "training.keep_last=2"])
}

/// A finished trial, with checkpoints of steps 20 and 30 and a best.
static FINISHED: LazyLock<(TempDir, Left)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    finish(&trial(), directory.path());
    let left = left(directory.path());
    (directory, left)
});

/// A copy of it, as a kill before its result leaves it.
fn killed() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    copy(FINISHED.0.path(), directory.path());
    fs::remove_file(directory.path().join("result.json")).unwrap();
    directory
}

fn newest(directory: &Path) -> PathBuf {
    directory.join("checkpoints/step-00000030")
}

/// Every file below a directory, with its bytes.
fn bytes(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        if entry.path().is_dir() {
            files.extend(bytes(&entry.path()));
        } else {
            files.insert(entry.path(), fs::read(entry.path()).unwrap());
        }
    }
    files
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Goes on with a trial to its end; what it warned of.
fn resume(recipe: &Recipe, directory: &Path) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || finish(recipe, directory));
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    text.replace(&directory.display().to_string(), "DIR")
}

/// Damages a killed trial and goes on with it: the log names the damage, and the end is that of the undisturbed trial.
fn survives(damage: impl Fn(&Path)) -> String {
    let directory = killed();
    damage(directory.path());
    let before = bytes(&directory.path().join("checkpoints"));
    let log = resume(&trial(), directory.path());
    assert_eq!(left(directory.path()), FINISHED.1, "{log}");
    let after = bytes(&directory.path().join("checkpoints"));
    for (path, bytes) in before {
        let pointer = path.ends_with("latest") || path.ends_with("best");
        assert!(
            pointer || after.get(&path) == Some(&bytes),
            "{} is gone",
            path.display()
        );
    }
    log
}

#[test]
fn every_kind_of_damage_is_named_and_passed_over() {
    let _turn = turn();
    let in_newest = |file: &'static str, bytes: &'static [u8]| {
        survives(move |directory| fs::write(newest(directory).join(file), bytes).unwrap())
    };
    let mut said = Vec::new();
    let mut say = |what: &str, log: String| said.push(format!("{what}\n{log}"));

    say(
        "cut short",
        survives(|directory| {
            let model = fs::File::options()
                .write(true)
                .open(newest(directory).join("model.safetensors"));
            model.unwrap().set_len(1000).unwrap();
        }),
    );
    say("empty parameters", in_newest("model.safetensors", b""));
    say("empty state", in_newest("state.json", b""));
    say("empty checksums", in_newest("SHA256SUMS", b""));
    say(
        "a foreign file",
        in_newest("optimizer.safetensors", b"Dear diary"),
    );
    say("garbled checksums", in_newest("SHA256SUMS", b"\x00\xff\n\n  \n"));
    say(
        "a missing file",
        survives(|directory| fs::remove_file(newest(directory).join("optimizer.safetensors")).unwrap()),
    );
    say(
        "half written under its own name",
        survives(|directory| {
            for file in ["recipe.toml", "state.json", "SHA256SUMS"] {
                fs::remove_file(newest(directory).join(file)).unwrap();
            }
        }),
    );
    say(
        "a file instead of a directory",
        survives(|directory| fs::write(directory.join("checkpoints/step-00000040"), "40").unwrap()),
    );
    say(
        "a foreign directory",
        survives(|directory| {
            fs::create_dir(directory.join("checkpoints/step-00000040")).unwrap();
            fs::write(directory.join("checkpoints/step-00000040/notes.txt"), "mine").unwrap();
        }),
    );
    say(
        "foreign names",
        survives(|directory| {
            fs::write(directory.join("checkpoints/notes.txt"), "mine").unwrap();
            fs::write(directory.join("checkpoints/step-latest"), "mine").unwrap();
        }),
    );
    say(
        "no pointer",
        survives(|directory| fs::remove_file(directory.join("checkpoints/latest")).unwrap()),
    );
    say(
        "an empty pointer",
        survives(|directory| fs::write(directory.join("checkpoints/best"), "").unwrap()),
    );
    say(
        "a garbled pointer",
        survives(|directory| fs::write(directory.join("checkpoints/latest"), "../../etc\n").unwrap()),
    );
    say(
        "a pointer to nothing",
        survives(|directory| fs::write(directory.join("checkpoints/latest"), "step-00000099").unwrap()),
    );
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_checkpoint_of_another_model_is_passed_over() {
    let _turn = turn();
    let other = tempfile::tempdir().unwrap();
    finish(&recipe(&["model.width=32", "training.steps=40"]), other.path());
    let from = pointed(other.path(), "latest");
    assert_eq!(from.file_name().unwrap(), "step-00000040");
    let log = survives(|directory| copy(&from, &directory.join("checkpoints/step-00000040")));
    assert!(
        log.contains("step-00000040") && log.contains("model.width: 32, now 16"),
        "{log}"
    );

    // Whole in itself and of this recipe, but with the parameters of another model.
    let log = survives(|directory| {
        let newest = newest(directory);
        fs::copy(from.join("model.safetensors"), newest.join("model.safetensors")).unwrap();
        let sums = fs::read_to_string(newest.join("SHA256SUMS")).unwrap();
        let theirs = fs::read_to_string(from.join("SHA256SUMS")).unwrap();
        let lines = theirs.lines().take(1).chain(sums.lines().skip(1));
        let sums: String = lines.map(|line| format!("{line}\n")).collect();
        fs::write(newest.join("SHA256SUMS"), sums).unwrap();
    });
    assert!(
        log.contains("is not of this model") && log.contains("[2, 48]") || log.contains("shape"),
        "{log}"
    );
}

#[test]
fn where_no_checkpoint_is_intact_the_run_begins_anew_and_says_so() {
    let _turn = turn();
    let log = survives(|directory| {
        for name in names(directory) {
            fs::write(directory.join("checkpoints").join(name).join("state.json"), "{}").unwrap();
        }
    });
    assert!(log.contains("the run begins anew"), "{log}");
}

#[test]
fn what_a_kill_left_half_written_or_half_removed_goes_with_the_next_checkpoint() {
    let _turn = turn();
    let directory = killed();
    let checkpoints = directory.path().join("checkpoints");
    for leftover in [".writing", ".removing"] {
        fs::create_dir(checkpoints.join(leftover)).unwrap();
        fs::write(checkpoints.join(leftover).join("model.safetensors"), "half").unwrap();
    }
    for name in ["step-00000030", "step-00000020"] {
        fs::write(checkpoints.join(name).join("SHA256SUMS"), "").unwrap();
    }
    resume(&trial(), directory.path());
    assert_eq!(left(directory.path()), FINISHED.1);
    assert!(!checkpoints.join(".writing").exists());
}

#[test]
fn a_curve_is_cut_to_the_checkpoint_that_was_used() {
    let _turn = turn();
    let directory = killed();
    fs::write(newest(directory.path()).join("state.json"), "").unwrap();
    // Ahead of the newest checkpoint, and its last row cut short.
    let curve = directory.path().join("curve.csv");
    let text = fs::read_to_string(&curve).unwrap();
    fs::write(&curve, format!("{text}33,1,2,3,4,5,6\n36,7,8")).unwrap();
    resume(&trial(), directory.path());
    assert_eq!(timeless(directory.path()), FINISHED.1.rows);
}

#[test]
fn checksums_are_those_of_sha256sum() {
    let _turn = turn();
    let newest = newest(FINISHED.0.path());
    let status = std::process::Command::new("sha256sum")
        .args(["--check", "--quiet", "SHA256SUMS"])
        .current_dir(newest)
        .status();
    match status {
        Ok(status) => assert!(status.success()),
        Err(error) => eprintln!("not run: sha256sum: {error}"),
    }
}

fn damaged(file: &str, damage: impl FnOnce(&mut Vec<u8>)) -> Result<(), Damage> {
    let directory = tempfile::tempdir().unwrap();
    {
        let _turn = turn();
        copy(&newest(FINISHED.0.path()), directory.path());
    }
    let path = directory.path().join(file);
    let mut bytes = fs::read(&path).unwrap();
    damage(&mut bytes);
    fs::write(&path, bytes).unwrap();
    verify(directory.path()).map(drop)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_bit_is_found_wherever_it_is(file in prop::sample::select(&FILES[..]), at: Index, bit in 0..8u32) {
        let error = damaged(file, |bytes| {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        });
        let error = error.unwrap_err().to_string();
        prop_assert!(error.contains(file) || file == "SHA256SUMS", "{}", error);
    }

    #[test]
    fn a_file_that_is_cut_short_is_found_wherever_it_is_cut(file in prop::sample::select(&FILES[..]), at: Index) {
        let error = damaged(file, |bytes| bytes.truncate(at.index(bytes.len())));
        // The newline at the end of the last line alone says nothing.
        if let Err(error) = error {
            prop_assert!(error.to_string().contains(file) || file == "SHA256SUMS", "{}", error);
        } else {
            prop_assert_eq!(file, "SHA256SUMS");
        }
    }
}

#[test]
fn a_run_goes_on_after_a_flipped_bit_anywhere() {
    let _turn = turn();
    for (index, file) in FILES.iter().enumerate() {
        let log = survives(|directory| {
            let path = newest(directory).join(file);
            let mut bytes = fs::read(&path).unwrap();
            let at = bytes.len() * (index + 1) / 7;
            bytes[at] ^= 0x10;
            fs::write(path, bytes).unwrap();
        });
        assert!(log.contains("step-00000030 is passed over"), "{log}");
    }
}

#[test]
fn a_checkpoint_is_never_changed_and_one_of_the_same_step_has_another_name() {
    let _turn = turn();
    let directory = killed();
    fs::write(newest(directory.path()).join("state.json"), "").unwrap();
    resume(&trial(), directory.path());
    let latest = fs::read_to_string(directory.path().join("checkpoints/latest")).unwrap();
    assert_eq!(latest, "step-00000030.1");
    assert!(names(directory.path()).contains(&"step-00000030".to_owned()));
    // Of two of the same step the later counts.
    fs::remove_file(directory.path().join("result.json")).unwrap();
    let log = resume(&trial(), directory.path());
    assert_eq!(log, "");
    tensors::read(&pointed(directory.path(), "latest").join("model.safetensors")).unwrap();
}
