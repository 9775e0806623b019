//! Plans: pure functions of the sweep file.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use std::{collections::BTreeSet, path::Path};

use proptest::prelude::*;
use sweep::{Plan, SweepFile};
use training::config::Node;

const BASE: &str = "\n[base]\nmodel = { preset = 'tiny' }\nschedule = { warmup = 5 }\ntraining = { steps = 50, accumulate = 1 }\n";

fn plan(text: &str) -> Plan {
    let node = Node::parse("sweep.toml", &format!("name = 'test'\n{text}{BASE}")).unwrap();
    Plan::new(&SweepFile::from_node(&node, Path::new("."), &[]).unwrap()).unwrap()
}

fn hashes(plan: &Plan) -> Vec<&str> {
    plan.trials.iter().map(|trial| trial.id.hash()).collect()
}

#[test]
fn the_last_axis_is_fastest_and_the_seeds_faster_still() {
    let plan = plan("seeds = [7, 8]\n[axes]\nmodel.dropout = [0.0, 0.1]\nschedule.lr = [1e-3, 1e-2]");
    let slugs: Vec<String> = plan
        .trials
        .iter()
        .map(|t| t.id.to_string()[13..].to_owned())
        .collect();
    let expected = [
        "dropout=0.0-lr=0.001-seed=7",
        "dropout=0.0-lr=0.001-seed=8",
        "dropout=0.0-lr=0.01-seed=7",
        "dropout=0.0-lr=0.01-seed=8",
        "dropout=0.1-lr=0.001-seed=7",
        "dropout=0.1-lr=0.001-seed=8",
        "dropout=0.1-lr=0.01-seed=7",
        "dropout=0.1-lr=0.01-seed=8",
    ];
    assert_eq!(slugs, expected);
    assert_eq!(plan.tokens(), 8 * 50 * 8 * 64);
}

#[test]
fn several_grids_follow_one_another() {
    let plan = plan(
        "[[axes]]\noptimizer.name = ['sgd']\nschedule.lr = [0.1, 1.0]\n\
         [[axes]]\noptimizer.name = ['muon']\noptimizer.groups = [[{ parameters = '*embedding*', lr_scale = 0.5 }]]",
    );
    let slugs: Vec<String> = plan
        .trials
        .iter()
        .map(|t| t.id.to_string()[13..].to_owned())
        .collect();
    assert_eq!(slugs, ["name=sgd-lr=0.1", "name=sgd-lr=1.0", "name=muon"]);
    assert_eq!(plan.axes, ["optimizer.name", "schedule.lr", "optimizer.groups"]);
    assert_eq!(plan.trials[2].recipe.optimizer.groups[0].lr_scale, 0.5);
    // Written out, it is the same sweep.
    let again = SweepFile::from_node(
        &Node::parse("sweep.toml", &plan.toml).unwrap(),
        Path::new("."),
        &[],
    );
    assert_eq!(hashes(&Plan::new(&again.unwrap()).unwrap()), hashes(&plan));
}

#[test]
fn quoted_and_dotted_axes_are_the_same() {
    let dotted = plan("[axes]\nmodel.dropout = [0.0, 0.1]");
    let quoted = plan("[axes]\n\"model.dropout\" = [0.0, 0.1]");
    assert_eq!(hashes(&dotted), hashes(&quoted));
}

#[test]
fn values_that_no_file_name_can_have_are_made_safe() {
    let plan = plan("[axes]\ndata.corpus = ['some/where/*.txt', 'burn-source']");
    let name = plan.trials[0].id.to_string();
    assert!(name.ends_with("corpus=some_where__.txt"), "{name}");
}

#[test]
fn a_base_file_is_looked_for_beside_the_sweep() {
    let directory = tempfile::tempdir().unwrap();
    let base = BASE.replace("[base]", "");
    std::fs::write(directory.path().join("recipe.toml"), base).unwrap();
    let path = directory.path().join("sweep.toml");
    std::fs::write(
        &path,
        "name = 'test'\nbase = 'recipe.toml'\n[axes]\nmodel.dropout = [0.0, 0.1]",
    )
    .unwrap();
    let plan = Plan::new(&SweepFile::read(&path, &[]).unwrap()).unwrap();
    assert_eq!(
        hashes(&plan),
        hashes(&self::plan("[axes]\nmodel.dropout = [0.0, 0.1]"))
    );
    // As written down it stands alone.
    let node = Node::parse("sweep.toml", &plan.toml).unwrap();
    let again = Plan::new(&SweepFile::from_node(&node, Path::new("/nowhere"), &[]).unwrap()).unwrap();
    assert_eq!((hashes(&again), &again.toml), (hashes(&plan), &plan.toml));
}

#[test]
fn every_sweep_that_ships_can_be_planned() {
    let sweeps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sweeps");
    let all = ["", "chapter"].map(|directory| std::fs::read_dir(sweeps.join(directory)).unwrap());
    let mut count = 0;
    for entry in all.into_iter().flatten() {
        let path = entry.unwrap().path();
        // A directory, and what the chapter's sweeps start from.
        if path.is_dir() || path.ends_with("recipe.toml") {
            continue;
        }
        let file = SweepFile::read(&path, &[]).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let plan = Plan::new(&file).unwrap();
        assert_eq!(plan.name, path.file_stem().unwrap().to_string_lossy());
        count += 1;
    }
    assert!(count > 0);
}

fn values() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::btree_set(1..40u32, 1..5).prop_map(|set| set.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_plan_depends_on_the_file_alone_and_no_two_trials_share_an_id(a in values(), b in values(), seeds in values()) {
        let text = format!("seeds = {seeds:?}\n[axes]\ntraining.batch_size = {a:?}\nschedule.warmup = {b:?}");
        let (first, again) = (plan(&text), plan(&text));
        prop_assert_eq!(hashes(&first), hashes(&again));
        let distinct: BTreeSet<&str> = hashes(&first).into_iter().collect();
        prop_assert_eq!(distinct.len(), a.len() * b.len() * seeds.len());
    }

    #[test]
    fn ids_do_not_depend_on_the_order_of_axes_or_values(a in values(), b in values()) {
        let mut reversed = a.clone();
        reversed.reverse();
        let one = plan(&format!("[axes]\ntraining.batch_size = {a:?}\nschedule.warmup = {b:?}"));
        let other = plan(&format!("[axes]\nschedule.warmup = {b:?}\ntraining.batch_size = {reversed:?}"));
        let sorted = |plan: &Plan| plan.trials.iter().map(|t| t.id.hash().to_owned()).collect::<BTreeSet<_>>();
        prop_assert_eq!(sorted(&one), sorted(&other));
    }

    #[test]
    fn a_longer_axis_keeps_the_ids_that_there_were(a in values(), more in values()) {
        let longer: Vec<u32> = a.iter().copied().chain(more.iter().map(|v| v + 40).filter(|v| *v <= 50)).collect();
        let short = plan(&format!("[axes]\nschedule.warmup = {a:?}"));
        let long = plan(&format!("[axes]\nschedule.warmup = {longer:?}"));
        let all: BTreeSet<&str> = hashes(&long).into_iter().collect();
        prop_assert!(hashes(&short).iter().all(|hash| all.contains(hash)));
    }
}
