//! What the command line says.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

mod place;

use std::{fs, process::Output};

use place::{Place, SWEEP, timeless};

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(text).unwrap()
}

#[test]
fn the_plan_is_printed_and_nothing_is_run() {
    let place = Place::new();
    place.write("sweep.toml", SWEEP);
    let output = place.run(&["sweep", "sweep.toml", "--dry-run"]);
    assert!(output.status.success());
    insta::assert_snapshot!("plan", said(&output));
    assert!(!place.path("results").exists());
}

#[test]
fn every_method_has_a_plan() {
    let place = Place::new();
    let axes = "[axes]\nmodel.dropout = [0.0, 0.2]\n";
    let range =
        "[axes]\nmodel.dropout = { uniform = [0.0, 0.5] }\nschedule.lr = { log-uniform = [1e-4, 1e-2] }\n";
    let methods = [
        (
            "grid",
            format!(
                "skip = \"model.dropout > 0.1 and optimizer.name == 'sgd'\"\n{axes}\
            optimizer.name = [\"adam\", \"sgd\"]\n[[axes.zip]]\nmodel.heads = [1, 2]\nschedule.lr = [1e-2, 2e-2]\n"
            ),
        ),
        (
            "list",
            "[[trials]]\nmodel.dropout = 0.3\n[[trials]]\nschedule.lr = 1e-3\nmodel.width = 32\n".to_owned(),
        ),
        (
            "one-at-a-time",
            format!("method.name = \"one-at-a-time\"\n{axes}schedule.lr = [1e-3, 1e-2]\n"),
        ),
        (
            "random",
            format!("method = {{ name = \"random\", points = 4 }}\n{range}"),
        ),
        (
            "sobol",
            format!("method = {{ name = \"sobol\", points = 4, seed = 1 }}\n{range}"),
        ),
        (
            "halton",
            format!(
                "method = {{ name = \"halton\", points = 4 }}\n{range}[derive]\ntraining.batch_size = \"2 * 2\"\n"
            ),
        ),
        (
            "tpe",
            format!("method = {{ name = \"tpe\", points = 20, startup = 3 }}\n{range}"),
        ),
    ];
    let mut plans = String::new();
    for (name, text) in methods {
        place.write(
            "sweep.toml",
            &SWEEP.replace(&format!("seeds = [0, 1]\n\n{axes}"), &text),
        );
        let output = place.run(&["sweep", "sweep.toml", "--dry-run"]);
        plans += &format!("--- {name}\n{}", said(&output));
    }
    insta::assert_snapshot!("methods", plans);
}

#[test]
fn a_search_goes_on_until_all_its_points_have_run() {
    let place = Place::new();
    let search = "method = { name = \"tpe\", points = 5, startup = 2, batch = 2 }\n[axes]\nschedule.lr = { log-uniform = [1e-3, 1e-1] }\n";
    let text = SWEEP
        .replace("[axes]\nmodel.dropout = [0.0, 0.2]\n", search)
        .replace("steps = 400", "steps = 6");
    place.write("sweep.toml", &text);
    let output = place.run(&["sweep", "sweep.toml"]);
    assert!(said(&output).contains("10 trials finished"), "{}", said(&output));
    let rows = timeless(&place.path("results/four/trials.csv"));
    assert_eq!(rows.len(), 10);
    assert!(rows.iter().all(|row| row["status"] == "completed"));
    // The plan is what has run, and nothing is left to do.
    let plan = said(&place.run(&["sweep", "sweep.toml", "--dry-run"]));
    assert!(rows.iter().all(|row| plan.contains(&row["trial"])), "{plan}");
    let again = said(&place.run(&["sweep", "sweep.toml"]));
    assert!(again.contains("10 were finished before"), "{again}");
}

#[test]
fn the_schemas_are_printed() {
    for (kind, title) in [("recipe", "Recipe"), ("sweep", "Sweep")] {
        let output = Place::new().run(&["schema", kind]);
        let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(schema["title"], title);
    }
}

#[test]
fn mistakes_are_found_before_anything_runs() {
    let mistakes = [
        (
            "an axis that is no key",
            SWEEP.replace("model.dropout", "model.dropuot"),
        ),
        ("an empty axis", SWEEP.replace("[0.0, 0.2]", "[]")),
        ("an axis that is no list", SWEEP.replace("[0.0, 0.2]", "0.2")),
        (
            "a value that is impossible",
            SWEEP.replace("[0.0, 0.2]", "[0.0, 1.0]"),
        ),
        ("a value twice", SWEEP.replace("[0.0, 0.2]", "[0.2, 0.2]")),
        (
            "the seed as an axis",
            SWEEP.replace("model.dropout = [0.0, 0.2]", "training.seed = [1, 2]"),
        ),
        ("an unknown key", SWEEP.replace("seeds", "seed")),
        ("no name", SWEEP.replace("name = \"four\"", "")),
        (
            "a base that is not there",
            "name = \"x\"\nbase = \"nowhere.toml\"".to_owned(),
        ),
        (
            "a text that is not there",
            SWEEP.replace("synthetic", "nowhere.txt"),
        ),
        (
            "a text that is too short",
            SWEEP.replace("synthetic", "short.txt"),
        ),
    ];
    let place = Place::new();
    place.write("short.txt", "a text of 23 characters");
    let mut reports = String::new();
    for (what, text) in mistakes {
        place.write("sweep.toml", &text);
        let output = place.run(&["sweep", "sweep.toml"]);
        assert!(!output.status.success(), "{what}");
        reports += &format!("--- {what}\n{}", said(&output));
    }
    let fixed = place.run(&["sweep", "sweep.toml", "--set", "model.dropout"]);
    reports += &format!("--- an assignment without a value\n{}", said(&fixed));
    place.write("sweep.toml", SWEEP);
    let axis = place.run(&["sweep", "sweep.toml", "--set", "model.dropout=0.3"]);
    reports += &format!("--- an assignment to an axis\n{}", said(&axis));
    insta::assert_snapshot!("mistakes", reports);
    assert!(!place.path("results").exists());
}

#[test]
#[cfg(not(feature = "tch"))]
fn a_device_that_the_build_lacks_says_which_feature_to_build_with() {
    let place = Place::new();
    place.write("sweep.toml", SWEEP);
    let lacking = place.run(&["sweep", "sweep.toml", "--device", "libtorch:cuda:0"]);
    let unknown = place.run(&["sweep", "sweep.toml", "--device", "gpu"]);
    assert!(!lacking.status.success() && !unknown.status.success());
    insta::assert_snapshot!("devices", said(&lacking) + &said(&unknown));
    assert!(!place.path("results").exists());
    assert!(said(&place.run(&["devices"])).contains("not in this build"));
}

#[test]
fn a_sweep_leaves_its_files_and_compare_rebuilds_them() {
    let place = Place::new();
    place.write("sweep.toml", &SWEEP.replace("steps = 400", "steps = 30"));
    let output = place.run(&["sweep", "sweep.toml"]);
    assert!(output.status.success(), "{}", said(&output));
    let out = place.path("results/four");

    let trials = timeless(&out.join("trials.csv"));
    assert_eq!(trials.len(), 4);
    for row in &trials {
        assert_eq!(
            (
                row["status"].as_str(),
                row["steps"].as_str(),
                row["device"].as_str()
            ),
            ("completed", "30", "flex")
        );
        let id = &row["trial"];
        assert!(
            id.contains(&format!("dropout={}-seed={}", row["model.dropout"], row["seed"])),
            "{id}"
        );
        // The id is the checksum of the recipe.
        let recipe = out.join("trials").join(id).join("recipe.toml");
        let sum = std::process::Command::new("sha256sum")
            .arg(recipe)
            .output()
            .unwrap();
        assert!(
            String::from_utf8_lossy(&sum.stdout).starts_with(&id[..12]),
            "{id}"
        );
    }
    let comparison = timeless(&out.join("comparison.csv"));
    assert_eq!(
        comparison
            .iter()
            .map(|row| row["rank"].as_str())
            .collect::<Vec<_>>(),
        ["1", "2"]
    );
    for row in &comparison {
        assert_eq!(row["n"], "2");
        let mut losses = trials
            .iter()
            .filter(|trial| trial["model.dropout"] == row["model.dropout"])
            .map(|trial| trial["best_val_loss"].parse::<f64>().unwrap());
        let (a, b) = (losses.next().unwrap(), losses.next().unwrap());
        let number = |column: &str| row[column].parse::<f64>().unwrap();
        assert!((number("val_loss") - (a + b) / 2.0).abs() < 1e-12);
        assert!((number("val_loss_sd") - (a - b).abs() / 2f64.sqrt()).abs() < 1e-12);
    }
    let provenance = fs::read_to_string(out.join("provenance.json")).unwrap();
    for sign in [
        "\"synthetic\"",
        "\"sha256\"",
        "\"cupel\"",
        "\"command\"",
        "\"finished\": \"2",
    ] {
        assert!(provenance.contains(sign), "{sign} in {provenance}");
    }

    // Rebuilt from the trials alone, byte for byte; run again, nothing happens.
    let names = ["trials.csv", "curves.csv", "comparison.csv"];
    let read = || names.map(|name| fs::read(out.join(name)).unwrap());
    let before = read();
    names
        .iter()
        .for_each(|name| fs::remove_file(out.join(name)).unwrap());
    assert!(place.run(&["compare", "results/four"]).status.success());
    assert_eq!(read(), before);
    let again = place.run(&["sweep", "sweep.toml"]);
    assert!(
        said(&again).contains("4 were finished before"),
        "{}",
        said(&again)
    );
    assert_eq!(read(), before);
    // The sweep file that was written runs as it stands, and means the same trials.
    let again = place.run(&["sweep", "results/four/sweep.toml"]);
    assert!(
        said(&again).contains("4 were finished before"),
        "{}",
        said(&again)
    );

    let wrong = place.run(&["compare", "results/four", "--sort", "speed"]);
    assert!(
        !wrong.status.success() && said(&wrong).contains("val_loss_sd"),
        "{}",
        said(&wrong)
    );
    assert!(!place.run(&["compare", "nowhere"]).status.success());
}

#[test]
fn a_longer_axis_keeps_the_trials_that_are_finished_and_a_shorter_one_deletes_none() {
    let place = Place::new();
    let short = SWEEP.replace("steps = 400", "steps = 10");
    place.write("sweep.toml", &short);
    assert!(place.run(&["sweep", "sweep.toml"]).status.success());
    place.write("sweep.toml", &short.replace("[0.0, 0.2]", "[0.0, 0.1, 0.2]"));
    let output = place.run(&["sweep", "sweep.toml"]);
    assert!(
        said(&output).contains("2 trials finished, 4 were finished before"),
        "{}",
        said(&output)
    );
    assert_eq!(timeless(&place.path("results/four/trials.csv")).len(), 6);

    place.write("sweep.toml", &short.replace("[0.0, 0.2]", "[0.1]"));
    let output = place.run(&["sweep", "sweep.toml"]);
    assert!(
        said(&output).contains("0 trials finished, 2 were finished before"),
        "{}",
        said(&output)
    );
    assert_eq!(timeless(&place.path("results/four/trials.csv")).len(), 2);
    let results = fs::read_dir(place.path("results/four/trials"))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().join("result.json").exists());
    assert_eq!(results.count(), 6);
}

#[test]
fn a_single_recipe_trains_and_goes_into_the_comparison() {
    let place = Place::new();
    let recipe = SWEEP
        .split("[base]")
        .nth(1)
        .unwrap()
        .replace("steps = 400", "steps = 20");
    place.write("recipe.toml", &recipe);
    let output = place.run(&[
        "train",
        "recipe.toml",
        "--set",
        "schedule.lr=5e-3",
        "--set",
        "schedule.warmup=0",
    ]);
    assert!(output.status.success(), "{}", said(&output));
    let text = said(&output);
    for sign in [
        "perplexity",
        "lr 5.00e-3",
        "grad_norm",
        "tokens/s",
        "val_loss",
        "completed 20 steps",
    ] {
        assert!(text.contains(sign), "{sign} in {text}");
    }
    let log = fs::read_to_string(place.path("results/recipe/log.txt")).unwrap();
    assert!(log.contains("step 10"), "{log}");
    let table = said(&place.run(&["compare", "results/recipe"]));
    assert!(table.contains("perplexity"), "{table}");
}

#[test]
fn the_optimizers_are_listed_with_their_defaults() {
    let output = Place::new().run(&["list", "optimizers"]);
    assert!(output.status.success());
    insta::assert_snapshot!("optimizers", said(&output));
}

#[test]
fn a_schedule_is_drawn_and_written() {
    let place = Place::new();
    place.write(
        "recipe.toml",
        "model.preset = 'tiny'\nschedule = { name = 'wsd', lr = 1e-3, warmup = 20 }\n\
         training = { steps = 200, accumulate = 1 }",
    );
    let output = place.run(&["show", "schedule", "recipe.toml"]);
    assert!(output.status.success(), "{}", said(&output));
    insta::assert_snapshot!("schedule", said(&output));
    let csv = fs::read_to_string(place.path("results/recipe/schedule.csv")).unwrap();
    let rows: Vec<(u64, f64)> = csv
        .lines()
        .skip(1)
        .map(|row| {
            row.split_once(',')
                .map(|(step, lr)| (step.parse().unwrap(), lr.parse().unwrap()))
                .unwrap()
        })
        .collect();
    assert_eq!(rows.len(), 200);
    assert_eq!(
        (rows[0], rows[19], rows[160]),
        ((0, 5e-5), (19, 1e-3), (160, 1e-3))
    );
    assert!(rows[199].1 > 0.0 && rows[199].1 < 1e-4);
}

#[test]
fn a_learning_rate_is_found_and_the_recipes_own_directory_left_alone() {
    let place = Place::new();
    let recipe = SWEEP.split("[base]").nth(1).unwrap();
    place.write("recipe.toml", recipe);
    assert!(
        place
            .run(&["train", "recipe.toml", "--set", "training.steps=5"])
            .status
            .success()
    );
    let files = || -> Vec<_> {
        let all = fs::read_dir(place.path("results/recipe")).unwrap().flatten();
        let mut all: Vec<_> = all
            .map(|entry| (entry.path(), entry.metadata().unwrap().modified().unwrap()))
            .collect();
        all.sort();
        all
    };
    let before = files();
    let arguments = [
        "lr-find",
        "recipe.toml",
        "--steps",
        "60",
        "--from",
        "1e-5",
        "--to",
        "10",
    ];
    let output = place.run(&arguments);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(files(), before);
    // Kernels differ between machines in their last bits, and so may the digits.
    let words: Vec<String> = said(&output)
        .lines()
        .filter(|line| line.starts_with("the loss") || line.starts_with("suggested"))
        .map(|line| line.replace(|c: char| c.is_ascii_digit(), "#"))
        .collect();
    assert!(
        words[0].starts_with("the loss falls fastest at lr #.##e-#, is lowest at #.##e-#, and"),
        "{words:?}"
    );
    assert!(
        words[1].starts_with("suggested: schedule.lr = #.#e-#, the largest"),
        "{words:?}"
    );

    let rows = timeless(&place.path("results/recipe-lr-find/lr-find.csv"));
    let number = |row: usize, column: &str| rows[row][column].parse::<f64>().unwrap();
    assert_eq!(number(0, "lr"), 1e-5);
    let second = (0.9 * number(0, "loss") + number(1, "loss")) / 1.9;
    for (row, expected) in [(0, number(0, "loss")), (1, second)] {
        assert!((number(row, "smoothed_loss") / expected - 1.0).abs() < 1e-12);
    }
    // A run like any other until its rates are felt: the same again, and the loss of no update.
    let csv = fs::read(place.path("results/recipe-lr-find/lr-find.csv")).unwrap();
    assert!(place.run(&arguments).status.success());
    assert_eq!(
        fs::read(place.path("results/recipe-lr-find/lr-find.csv")).unwrap(),
        csv
    );
    let trained = timeless(&place.path("results/recipe/curve.csv"));
    assert_eq!(trained[0]["train_loss"], rows[0]["loss"]);

    for (wrong, sign) in [
        (["--from", "1", "--to", "0.1"], "below"),
        (["--from", "0", "--to", "0.1"], "above 0"),
    ] {
        let output = place.run(&[&["lr-find", "recipe.toml"], &wrong[..]].concat());
        assert!(
            !output.status.success() && said(&output).contains(sign),
            "{}",
            said(&output)
        );
    }
}
