//! The methods of a sweep file: which points become trials.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use std::{collections::BTreeSet, path::Path};

use miette::{GraphicalReportHandler, GraphicalTheme};
use proptest::prelude::*;
use sweep::{History, Plan, SweepFile, Trial};
use training::config::{ConfigError, Node};

const BASE: &str = "
[base]
model = { preset = 'tiny' }
schedule = { lr = 1e-3, warmup = 5 }
training = { steps = 50, batch_size = 8, accumulate = 1 }
";

fn file(text: &str) -> Result<SweepFile, ConfigError> {
    let node = Node::parse("sweep.toml", &format!("name = 'test'\n{text}{BASE}"))?;
    SweepFile::from_node(&node, Path::new("."), &[])
}

fn plan(text: &str) -> Plan {
    Plan::new(&file(text).unwrap()).unwrap()
}

fn hashes(plan: &Plan) -> Vec<&str> {
    plan.trials.iter().map(|trial| trial.id.hash()).collect()
}

/// What stands behind the hashes.
fn slugs(plan: &Plan) -> Vec<String> {
    let slug = |trial: &Trial| trial.id.to_string().get(13..).unwrap_or_default().to_owned();
    plan.trials.iter().map(slug).collect()
}

#[test]
fn a_list_is_the_trials_that_are_spelt_out() {
    let plan = plan(
        "seeds = [1, 2]\n[[trials]]\nschedule.lr = 0.5\n[[trials]]\n[[trials]]\nschedule.lr = 0.25\nmodel.dropout = 0.0",
    );
    let expected = ["lr=0.5-seed=1", "lr=0.5-seed=2", "seed=1", "seed=2"];
    assert_eq!(slugs(&plan)[..4], expected);
    assert_eq!(slugs(&plan)[4], "lr=0.25-dropout=0.0-seed=1");
    assert_eq!(
        (plan.trials.len(), &plan.axes[..]),
        (6, &["schedule.lr".to_owned(), "model.dropout".to_owned()][..])
    );
}

#[test]
fn axes_that_move_together_are_one_axis_of_the_grid() {
    let plan = plan(
        "[axes]\nmodel.dropout = [0.0, 0.2]\n\
         [[axes.zip]]\ntraining.batch_size = [8, 16]\nschedule.lr = [0.1, 0.2]\n\
         [[axes.zip]]\nschedule.warmup = [1, 2]\noptimizer.beta2 = [0.9, 0.99]",
    );
    assert_eq!(plan.trials.len(), 2 * 2 * 2);
    assert_eq!(
        slugs(&plan)[1],
        "dropout=0.0-batch_size=8-lr=0.1-warmup=2-beta2=0.99"
    );
    assert_eq!(
        slugs(&plan)[6],
        "dropout=0.2-batch_size=16-lr=0.2-warmup=1-beta2=0.9"
    );
}

#[test]
fn one_at_a_time_is_the_base_and_every_value_by_itself() {
    let plan = plan(
        "method.name = 'one-at-a-time'\n[axes]\nschedule.lr = [1e-3, 1e-2]\nmodel.dropout = [0.0, 0.1, 0.2]\n\
         [[axes.zip]]\nschedule.warmup = [1, 2]\ntraining.steps = [100, 200]",
    );
    // The base's own 1e-3 and 0.1 are there already.
    assert_eq!(
        slugs(&plan),
        [
            "",
            "lr=0.01",
            "dropout=0.0",
            "dropout=0.2",
            "warmup=1-steps=100",
            "warmup=2-steps=200"
        ]
    );
}

#[test]
fn drawn_points_are_within_their_ranges_and_as_many_as_asked_for() {
    for method in ["random", "sobol", "halton"] {
        let plan = plan(&format!(
            "method = {{ name = '{method}', points = 64 }}\n[axes]\n\
             schedule.lr = {{ log-uniform = [1e-4, 1e-2] }}\nmodel.dropout = {{ uniform = [0.1, 0.3] }}\n\
             schedule.warmup = {{ integer = [1, 4] }}\noptimizer.name = {{ choice = ['adam', 'lion'] }}\n\
             [[axes.zip]]\ntraining.batch_size = [8, 16]\ntraining.steps = [50, 25]"
        ));
        assert_eq!(plan.trials.len(), 64, "{method}");
        let mut below = 0;
        let (mut warmups, mut names, mut batches) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for Trial { recipe, .. } in &plan.trials {
            assert!(
                (1e-4..=1e-2).contains(&recipe.schedule.lr)
                    && (0.1..=0.3).contains(&recipe.model.dropout.residual)
            );
            below += usize::from(recipe.schedule.lr < 1e-3);
            warmups.insert(recipe.schedule.warmup);
            names.insert(recipe.optimizer.algorithm.name());
            batches.insert((recipe.training.batch_size, recipe.training.steps));
        }
        // Half of a logarithmic range lies below its geometric middle. Of a fair coin's 64 throws, fewer than 12 heads
        // or tails are less likely than one in a million.
        match method {
            "sobol" => assert_eq!(below, 32),
            _ => assert!((12..=52).contains(&below), "{method}: {below}"),
        }
        assert_eq!(warmups.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["adam", "lion"]);
        assert_eq!(batches.into_iter().collect::<Vec<_>>(), [(8, 50), (16, 25)]);
    }
}

#[test]
fn a_space_with_fewer_points_than_asked_for_gives_those_it_has() {
    for method in ["random", "sobol", "halton", "tpe"] {
        let text = format!(
            "method = {{ name = '{method}', points = 30 }}\n[axes]\nschedule.lr = [0.1, 0.2]\nmodel.bias = [true, false]"
        );
        assert_eq!(plan(&text).trials.len(), 4, "{method}");
    }
}

#[test]
fn skipped_points_are_no_trials_and_drawn_ones_are_replaced() {
    let grid = plan(
        "skip = ['schedule.warmup >= training.steps', 'schedule.warmup == 2 and model.dropout > 0']\n\
                     [axes]\nschedule.warmup = [1, 2, 50, 70]\nmodel.dropout = [0.0, 0.1]",
    );
    assert_eq!(
        slugs(&grid),
        [
            "warmup=1-dropout=0.0",
            "warmup=1-dropout=0.1",
            "warmup=2-dropout=0.0"
        ]
    );
    assert_eq!(grid.skipped, 5);
    let drawn = plan(
        "skip = 'schedule.lr > 2e-3'\nmethod = { name = 'random', points = 20 }\n[axes]\nschedule.lr = { uniform = [1e-3, 1e-2] }",
    );
    assert_eq!(drawn.trials.len(), 20);
    assert!(drawn.skipped > 0 && drawn.trials.iter().all(|trial| trial.recipe.schedule.lr <= 2e-3));
}

#[test]
fn derived_keys_follow_from_axes_base_defaults_and_one_another() {
    let plan = plan(
        "[axes]\ntraining.batch_size = [8, 16]\n\
         [derive]\nschedule.lr = 'schedule.lr * training.batch_tokens / 512'\n\
         training.steps = '25_600 / (training.batch_size * model.context)'\n\
         schedule.warmup = 'floor(training.steps / 10)'\n\
         optimizer.beta2 = 'max(0.9, 1 - (1 - optimizer.beta2) * training.batch_size / 8)'",
    );
    let of = |i: usize| {
        let recipe = &plan.trials[i].recipe;
        (recipe.schedule.lr, recipe.training.steps, recipe.schedule.warmup)
    };
    assert_eq!((of(0), of(1)), ((1e-3, 50, 5), (2e-3, 25, 2)));
    let derived = &plan.trials[1].recipe;
    assert!(
        derived.to_toml().contains("beta2 = 0.998"),
        "{}",
        derived.to_toml()
    );
    // They are no axes, and not in the name.
    assert_eq!(
        (&plan.axes[..], slugs(&plan)[1].as_str()),
        (&["training.batch_size".to_owned()][..], "batch_size=16")
    );
}

const EVERY_KIND: [&str; 6] = [
    "seeds = [3, 4]\nskip = 'schedule.warmup == 2'\n[[axes]]\nschedule.warmup = [1, 2]\n[[axes.zip]]\nmodel.heads = [1, 2]\nmodel.width = [32, 64]\n\
     [[axes]]\nzip = [{ model.heads = [1, 2], \"schedule.lr\" = [0.3, 0.4] }]\nmodel.dropout = [0.2, 0.3]",
    "[[trials]]\nschedule.lr = 0.5\nmodel.dropout = 0.0\n[[trials]]\noptimizer.groups = [{ parameters = '*bias' }]",
    "method = { name = 'one-at-a-time' }\n[derive]\ntraining.steps = '400 / training.batch_size'\n[axes]\ntraining.batch_size = [4, 16]\nmodel.dropout = [0.0]",
    "method = { name = 'sobol', points = 9, seed = 5 }\nskip = [\"optimizer.name == 'sgd'\", 'false']\n[axes]\nmodel.dropout = { uniform = [0.0, 0.5] }\noptimizer.name = ['sgd', 'adam']\nschedule.warmup = { integer = [1, 20] }",
    "method = { name = 'halton', points = 9 }\n[axes]\nschedule.lr = { log-uniform = [1e-4, 1] }",
    "method = { name = 'tpe', points = 9, startup = 3 }\n[axes]\nschedule.lr = { log-uniform = [1e-4, 1] }\nmodel.bias = { choice = [true, false] }",
];

#[test]
fn a_plan_depends_on_the_file_alone_which_written_down_is_the_same_sweep() {
    for text in EVERY_KIND {
        let first = plan(text);
        assert_eq!(hashes(&first), hashes(&plan(text)));
        let distinct: BTreeSet<&str> = hashes(&first).into_iter().collect();
        assert_eq!(distinct.len(), first.trials.len());
        let node = Node::parse("sweep.toml", &first.toml).unwrap_or_else(|e| panic!("{e}: {}", first.toml));
        let again = SweepFile::from_node(&node, Path::new("/nowhere"), &[])
            .unwrap_or_else(|e| panic!("{}\n{}", report(&e), first.toml));
        let again = Plan::new(&again).unwrap();
        assert_eq!(hashes(&again), hashes(&first), "{}", first.toml);
        assert_eq!((again.toml, again.to_come), (first.toml, first.to_come));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn more_points_go_on_from_fewer(method in prop::sample::select(vec!["random", "sobol", "halton"]), few in 1..40usize, more in 1..40usize, seed in 0..1000u64) {
        let draw = |points: usize| {
            plan(&format!(
                "method = {{ name = '{method}', points = {points}, seed = {seed} }}\nskip = 'model.dropout > 0.4'\n[axes]\n\
                 schedule.lr = {{ log-uniform = [1e-4, 1e-2] }}\nmodel.dropout = {{ uniform = [0.0, 0.5] }}"
            ))
        };
        let (short, long) = (draw(few), draw(few + more));
        prop_assert_eq!(short.trials.len(), few);
        prop_assert_eq!(&hashes(&long)[..few], &hashes(&short)[..]);
    }

    #[test]
    fn seeds_multiply_points_and_other_draws_are_other_points(points in 1..30usize, seeds in 1..4usize, draw in 0..100u64) {
        let with = |draw: u64| {
            let seeds: Vec<usize> = (0..seeds).collect();
            plan(&format!("seeds = {seeds:?}\nmethod = {{ name = 'random', points = {points}, seed = {draw} }}\n[axes]\nschedule.lr = {{ uniform = [0.1, 0.2] }}"))
        };
        let (one, other) = (with(draw), with(draw + 1));
        prop_assert_eq!(one.trials.len(), points * seeds);
        prop_assert!(hashes(&one).iter().all(|hash| !hashes(&other).contains(hash)));
    }
}

const SEARCH: &str = "seeds = [0, 1]\nmethod = { name = 'tpe', points = 40, startup = 8, batch = 4, seed = 3 }\n[axes]\n\
                      schedule.lr = { log-uniform = [1e-5, 1.0] }\nmodel.dropout = { uniform = [0.0, 0.8] }\noptimizer.name = ['adam', 'lion', 'sgd']";

/// A loss whose minimum is at lr 1e-3, dropout 0.2 and `lion`.
fn loss(trial: &Trial) -> f64 {
    let recipe = &trial.recipe;
    let name = if recipe.optimizer.algorithm.name() == "lion" {
        0.0
    } else {
        0.5
    };
    (recipe.schedule.lr.log10() + 3.0).powi(2) + 4.0 * (recipe.model.dropout.residual - 0.2).powi(2) + name
}

/// Runs a search to its end: the plan, and the history of its trials.
fn searched(file: &SweepFile, loss: impl Fn(&Trial) -> Option<f64>) -> Plan {
    let mut history = History::default();
    loop {
        let plan = Plan::ask(file, &history).unwrap();
        for trial in &plan.trials {
            history.tell(trial.id.hash(), loss(trial));
        }
        if plan.to_come == 0 {
            return plan;
        }
    }
}

#[test]
fn a_search_asks_for_more_when_and_only_when_all_before_have_their_results() {
    let file = file(SEARCH).unwrap();
    let mut history = History::default();
    let startup = Plan::ask(&file, &history).unwrap();
    assert_eq!((startup.trials.len(), startup.to_come), (16, 32));
    for trial in startup.trials.iter().skip(1).rev() {
        history.tell(trial.id.hash(), Some(loss(trial)));
        let still = Plan::ask(&file, &history).unwrap();
        assert_eq!(hashes(&still), hashes(&startup));
    }
    history.tell(startup.trials[0].id.hash(), Some(loss(&startup.trials[0])));
    let next = Plan::ask(&file, &history).unwrap();
    assert_eq!((next.trials.len(), next.to_come), (24, 28));
    assert_eq!(hashes(&next)[..16], hashes(&startup)[..]);
}

#[test]
fn a_search_is_a_pure_function_of_file_and_results_and_finds_better_points_than_chance() {
    let search = file(SEARCH).unwrap();
    let found = searched(&search, |trial| Some(loss(trial)));
    assert_eq!(found.trials.len(), 80);
    assert_eq!(
        hashes(&found),
        hashes(&searched(&search, |trial| Some(loss(trial))))
    );
    let mean = |trials: &[Trial]| trials.iter().map(loss).sum::<f64>() / trials.len() as f64;
    // The last half of its points are better than its own random beginning.
    assert!(mean(&found.trials[40..]) < 0.5 * mean(&found.trials[..16]));
    let best = found.trials.iter().map(loss).fold(f64::INFINITY, f64::min);
    let random = plan(
        &SEARCH
            .replace("'tpe'", "'random'")
            .replace("startup = 8, batch = 4, ", ""),
    );
    assert!(
        best <= random.trials.iter().map(loss).fold(f64::INFINITY, f64::min),
        "{best}"
    );
}

#[test]
fn what_diverges_or_fails_is_worse_than_any_loss() {
    let search = file(SEARCH).unwrap();
    // Everything but `adam` diverges.
    let found = searched(&search, |trial| {
        (trial.recipe.optimizer.algorithm.name() == "adam").then(|| loss(trial))
    });
    let adams = |trials: &[Trial]| {
        let of = |trial: &&Trial| trial.recipe.optimizer.algorithm.name() == "adam";
        trials.iter().filter(of).count() as f64 / trials.len() as f64
    };
    assert!(adams(&found.trials[40..]) > adams(&found.trials[..16]));
}

fn report(error: &ConfigError) -> String {
    let mut text = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .render_report(&mut text, error)
        .unwrap();
    text
}

#[test]
fn every_mistake_is_shown_where_it_was_made() {
    let mistakes = [
        ("unknown method", "method.name = 'sobel'"),
        ("no name of a method", "method.points = 3"),
        (
            "a method without points",
            "method.name = 'random'\n[axes]\nschedule.lr = [1e-3]",
        ),
        (
            "unknown key of a method",
            "method = { name = 'random', trials = 3 }",
        ),
        ("no points", "method = { name = 'random', points = 0 }"),
        ("nothing to draw from", "method = { name = 'random', points = 3 }"),
        ("a list without trials", "method.name = 'list'"),
        (
            "a list with axes",
            "[[trials]]\nschedule.lr = 1e-3\n[axes]\nschedule.lr = [1e-3]",
        ),
        (
            "trials and another method",
            "method.name = 'grid'\n[[trials]]\nschedule.lr = 1e-3",
        ),
        ("a trial with a seed", "[[trials]]\ntraining.seed = 1"),
        (
            "a range in a grid",
            "[axes]\nschedule.lr = { uniform = [1e-3, 1e-2] }",
        ),
        (
            "an unknown range",
            "method = { name = 'random', points = 3 }\n[axes]\nschedule.lr = { loguniform = [1e-3, 1e-2] }",
        ),
        (
            "two ranges",
            "[axes]\nschedule.lr = { uniform = [1e-3, 1e-2], choice = [1] }",
        ),
        (
            "a range upside down",
            "[axes]\nschedule.lr = { uniform = [1e-2, 1e-3] }",
        ),
        (
            "a logarithm of zero",
            "[axes]\nschedule.lr = { log-uniform = [0.0, 1e-3] }",
        ),
        (
            "a range of three",
            "[axes]\nschedule.lr = { uniform = [0.0, 1e-3, 1.0] }",
        ),
        (
            "halves of an integer",
            "[axes]\nmodel.layers = { integer = [1.5, 3] }",
        ),
        (
            "a range beyond the key's",
            "method = { name = 'sobol', points = 8 }\n[axes]\nmodel.dropout = { uniform = [0.0, 1.5] }",
        ),
        (
            "zip of two lengths",
            "[[axes.zip]]\nmodel.dropout = [0.0, 0.1]\nschedule.lr = [1e-3]",
        ),
        ("zip of one", "[[axes.zip]]\nmodel.dropout = [0.0, 0.1]"),
        (
            "an axis twice",
            "[axes]\nmodel.dropout = [0.0]\n[[axes.zip]]\nmodel.dropout = [0.0, 0.1]\nschedule.lr = [1e-3, 1e-2]",
        ),
        (
            "two spaces to search",
            "method = { name = 'tpe', points = 3 }\n[[axes]]\nmodel.dropout = [0.0, 0.1]\n[[axes]]\nmodel.dropout = [0.3]",
        ),
        ("skip with an unknown key", "skip = 'schedule.warmpu > 3'"),
        (
            "skip with a key without its table",
            "skip = 'training.steps > warmup'",
        ),
        (
            "skip with a word without quotes",
            "skip = 'optimizer.name == sgd'",
        ),
        ("skip with the seed", "skip = 'training.seed > 3'"),
        ("skip with one =", "skip = 'model.layers = 3'"),
        ("skip without an end", "skip = 'model.layers >'"),
        ("skip that is a number", "skip = 'model.layers + 1'"),
        ("a text below a number", "skip = \"optimizer.name < 3\""),
        ("a comparison of kinds", "skip = \"optimizer.name == 3\""),
        ("a key that a trial lacks", "skip = 'schedule.gamma > 3'"),
        ("an open parenthesis", "skip = '(model.layers > 3'"),
        ("an unknown function", "skip = 'sqr(4) == 2'"),
        ("too many arguments", "skip = 'sqrt(4, 2) == 2'"),
        ("skip that is no string", "skip = 3"),
        ("everything skipped", "skip = ['false', '1 < 2']"),
        ("derive of no key", "[derive]\nschedule.rl = '1'"),
        (
            "derive of an axis",
            "[axes]\nschedule.lr = [1e-3]\n[derive]\nschedule.lr = '1'",
        ),
        (
            "a derived fraction of a step",
            "[derive]\ntraining.steps = '101 / 2'",
        ),
        (
            "a derived infinity",
            "[derive]\n\"schedule.lr\" = '1 / (model.layers - 2)'",
        ),
        ("a derived number", "[derive]\nschedule.lr = 1e-3"),
    ];
    let reports: Vec<String> = mistakes
        .iter()
        .map(|(what, text)| {
            let error = file(text).and_then(|file| Plan::new(&file)).expect_err(what);
            format!("--- {what}\n{}", report(&error))
        })
        .collect();
    insta::assert_snapshot!("mistakes", reports.join("\n"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(axes|method|skip|derive|trials|zip|uniform|seeds|[a-z\\[\\]=.,{}\"'0-9\n ]){0,60}") {
        if let Ok(node) = Node::parse("sweep.toml", &format!("name = 'test'\n{text}"))
            && let Ok(file) = SweepFile::from_node(&node, Path::new("."), &[])
        {
            let _ = Plan::new(&file);
        }
    }
}
