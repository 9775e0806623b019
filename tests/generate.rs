//! A trained model writes on.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

mod place;

use std::{fs, process::Output};

use place::Place;

const RECIPE: &str = "\
data = { corpus = \"corpus.txt\", tokenizer = \"char\" }
model = { layers = 1, heads = 2, width = 16, context = 8, norm = \"post\", activation = \"relu\", tied = false }
optimizer = { name = \"schedule-free-adamw\" }
schedule = { name = \"constant\", lr = 1e-2, warmup = 5 }
training = { steps = 30, batch_size = 8, accumulate = 1, eval_every = 10, eval_tokens = 64, checkpoint_every = 10 }
";

/// A place with a trained model in `results/recipe`.
fn trained() -> Place {
    let place = Place::new();
    place.write("recipe.toml", RECIPE);
    place.write(
        "corpus.txt",
        &"The quick brown fox jumps over the lazy dog.\n".repeat(40),
    );
    let output = place.run(&["train", "recipe.toml"]);
    assert!(output.status.success(), "{}", said(&output));
    place
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(text).unwrap()
}

#[test]
fn the_same_seed_writes_the_same_text_from_a_trial_or_its_checkpoint() {
    let place = trained();
    let write = |arguments: &[&str]| {
        let output = place.run(&[&["generate"], arguments, &["--prompt", "The", "--tokens", "40"]].concat());
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    };
    let first = write(&["results/recipe", "--seed", "1"]);
    assert_eq!(first, write(&["results/recipe", "--seed", "1"]));
    assert_ne!(first, write(&["results/recipe", "--seed", "2"]));
    // The prompt, 40 characters and the end of the line.
    assert!(first.starts_with("The") && first.ends_with('\n'), "{first}");
    assert_eq!(first.chars().count(), 3 + 40 + 1);

    let best = place.path("results/recipe/checkpoints/best");
    let directory = best.with_file_name(fs::read_to_string(&best).unwrap());
    for checkpoint in [best, directory] {
        assert_eq!(first, write(&[checkpoint.to_str().unwrap(), "--seed", "1"]));
    }
    let latest = place.path("results/recipe/checkpoints/latest");
    let greedy = |more: &[&str]| write(&[&[latest.to_str().unwrap(), "--temperature", "0"], more].concat());
    assert_eq!(greedy(&["--seed", "1"]), greedy(&["--seed", "2"]));
    assert_eq!(
        greedy(&[]),
        write(&[latest.to_str().unwrap(), "--top-k", "1", "--top-p", "0.9"])
    );
}

#[test]
fn what_cannot_be_written_on_says_why() {
    let place = trained();
    fs::create_dir(place.path("empty")).unwrap();
    let mistakes: [(&str, &[&str]); 7] = [
        ("no checkpoint", &["nowhere", "--prompt", "The"]),
        ("no checkpoint in a directory", &["empty", "--prompt", "The"]),
        ("an empty prompt", &["results/recipe", "--prompt", ""]),
        (
            "unknown characters",
            &["results/recipe", "--prompt", "The Äpfel!"],
        ),
        (
            "a negative temperature",
            &["results/recipe", "--prompt", "The", "--temperature=-1"],
        ),
        (
            "none of the tokens",
            &["results/recipe", "--prompt", "The", "--top-k", "0"],
        ),
        (
            "no nucleus",
            &["results/recipe", "--prompt", "The", "--top-p", "0"],
        ),
    ];
    let mut reports = String::new();
    for (what, arguments) in mistakes {
        let output = place.run(&[&["generate"], arguments].concat());
        assert!(!output.status.success(), "{what}");
        assert!(output.stdout.is_empty(), "{what}");
        reports += &format!("--- {what}\n{}", said(&output));
    }
    fs::remove_file(place.path("results/recipe/recipe.toml")).unwrap();
    for entry in fs::read_dir(place.path("results/recipe/checkpoints")).unwrap() {
        let recipe = entry.unwrap().path().join("recipe.toml");
        let _ = fs::remove_file(recipe);
    }
    let output = place.run(&["generate", "results/recipe", "--prompt", "The"]);
    let step = fs::read_to_string(place.path("results/recipe/checkpoints/best")).unwrap();
    reports += &format!("--- no recipe\n{}", said(&output).replace(step.trim(), "STEP"));
    insta::assert_snapshot!("mistakes", reports);
}

#[test]
fn the_help_says_what_each_option_does() {
    let output = Place::new().run(&["generate", "--help"]);
    assert!(output.status.success());
    insta::assert_snapshot!("help", said(&output));
}
