//! A run that is killed at fifty random moments comes to the same, bit for bit, as one that is left alone.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

mod place;

use std::{collections::BTreeSet, fs, path::Path, thread, time::Instant};

use place::{Place, RECIPE, left, rows, wait_for};
use training::read_curve;

const KILLS: u64 = 50;
/// So many that fifty short runs do not come to the end of them.
const STEPS: usize = 1000;

/// SplitMix64, for moments that are the same in every run of the test.
struct Random(u64);

impl Random {
    /// Between 0 and 1.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// When the trial's curve was last opened or written to.
fn touched(trial: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(trial.join("curve.csv")).ok()?.modified().ok()
}

/// Every row of the curve is in the log already: it is not held back in memory.
fn assert_logged(trial: &Path) {
    let log = fs::read_to_string(trial.join("log.txt")).unwrap_or_default();
    for row in read_curve(&trial.join("curve.csv")).unwrap() {
        assert!(log.contains(&format!(" step {:<6}", row.step)), "{}", row.step);
    }
}

#[test]
fn fifty_kills_do_not_change_a_bit() {
    let place = Place::new();
    place.write(
        "recipe.toml",
        &RECIPE.replace("steps = 400", &format!("steps = {STEPS}")),
    );
    let arguments = |out: &'static str| ["train", "recipe.toml", "--out", out];

    let calm = place.path("calm");
    let began = Instant::now();
    let mut run = place.command(&arguments("calm")).spawn().unwrap();
    wait_for("a first row", || rows(&calm) > 0);
    let start = began.elapsed();
    wait_for("its last row", || rows(&calm) > STEPS);
    let training = began.elapsed() - start;
    assert!(run.wait().unwrap().success());

    let killed = place.path("killed");
    let mut random = Random(5);
    let mut stood = BTreeSet::new();
    let began = Instant::now();
    for kill in 0..KILLS {
        let before = touched(&killed);
        let mut run = place.command(&arguments("killed")).spawn().unwrap();
        // Every fifth moment is while it starts. The others are while it trains and saves: short ones, for together they
        // must not come to the end of the run, even on a machine that has become faster.
        let within = if kill % 5 == 0 {
            start
        } else {
            wait_for("the curve to be opened", || touched(&killed) != before);
            training.mul_f64(0.6 / KILLS as f64)
        };
        thread::sleep(within.mul_f64(random.share()));
        run.kill().unwrap();
        assert!(!run.wait().unwrap().success(), "it had ended before kill {kill}");
        assert_logged(&killed);
        stood.extend(fs::read_to_string(killed.join("checkpoints/latest")));
    }
    println!(
        "start {start:.1?}, training {training:.1?}; {KILLS} kills in {:.1?}, between which it stood at {} checkpoints",
        began.elapsed(),
        stood.len()
    );
    assert!(stood.len() > 3, "it made no way between the kills: {stood:?}");

    assert!(place.run(&arguments("killed")).status.success());
    assert_eq!(left(&killed), left(&calm));
    // The last and the best: no kill keeps a checkpoint from being removed for ever.
    let kept = fs::read_dir(killed.join("checkpoints")).unwrap().flatten();
    let kept: Vec<_> = kept
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name())
        .collect();
    assert!(kept.len() <= 2, "{kept:?}");
}
