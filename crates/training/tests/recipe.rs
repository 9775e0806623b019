//! Recipe files: what they resolve to, and what is said of those that are no recipes.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use miette::{GraphicalReportHandler, GraphicalTheme};
use proptest::prelude::*;
use training::{
    Draft, Recipe, RecipeHasher,
    config::{ConfigError, Node},
};

fn recipe(text: &str) -> Result<Recipe, ConfigError> {
    Recipe::from_node(&Node::parse("recipe.toml", text)?)
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
fn the_defaults_are_the_standard_recipe() {
    let recipe = recipe("").unwrap();
    assert_eq!(recipe.model, model::Preset::Gpt2_124m.config());
    assert_eq!((recipe.schedule.lr, recipe.schedule.warmup), (6e-4, 2000));
    assert_eq!(recipe.tokens_per_step(), 524_288);
    assert_eq!(recipe.optimizer.clip, 1.0);
    assert_eq!(recipe.model.dropout, model::DropoutRates::all(0.1));
    insta::assert_snapshot!("standard_recipe", recipe.to_toml());
}

#[test]
fn micro_batches_follow_from_the_tokens_of_a_step() {
    let start = "model.preset = 'tiny'\nschedule.warmup = 0\ntraining = { batch_size = 8, ";
    let by_tokens = recipe(&format!("{start} batch_tokens = 2048 }}")).unwrap();
    let by_number = recipe(&format!("{start} accumulate = 4 }}")).unwrap();
    assert_eq!((by_tokens.accumulate(), by_tokens.tokens_per_step()), (4, 2048));
    // Said in two ways, it is one recipe.
    assert_eq!(by_tokens.hash(), by_number.hash());
}

#[test]
fn two_spellings_of_a_model_are_one_recipe() {
    let start =
        "training = { steps = 100, accumulate = 1 }\nschedule.warmup = 0\nmodel = { preset = 'tiny', ";
    let hash = |model: &str| recipe(&format!("{start}{model} }}")).unwrap().hash();
    let spellings = [
        "dropout = 0.2, attention_dropout = 0.0",
        "dropout = 0.0, embedding_dropout = 0.2, residual_dropout = 0.2",
        "embedding_dropout = 0.2, attention_dropout = 0.0, residual_dropout = 0.2, norm = 'pre', tied = true",
    ];
    for spelling in spellings {
        assert_eq!(hash(spelling), hash(spellings[0]), "{spelling}");
    }
    let others = [
        "dropout = 0.2",
        "dropout = 0.2, attention_dropout = 0.0, residual = false",
        "dropout = 0.2, attention_dropout = 0.0, norm = 'post'",
        "dropout = 0.2, attention_dropout = 0.0, activation = 'gelu'",
        "dropout = 0.2, attention_dropout = 0.0, tied = false",
    ];
    for other in others {
        assert_ne!(hash(other), hash(spellings[0]), "{other}");
    }
}

#[test]
fn every_optimizer_schedule_and_loss_is_a_recipe_and_resolves_to_itself() {
    let start = "model.preset = 'tiny'\ntraining = { steps = 100, accumulate = 1 }\n";
    let optimizers = optimizers::Algorithm::CATALOGUE
        .iter()
        .map(|(name, _)| format!("optimizer.name = '{name}'\nschedule.warmup = 0"));
    let schedules = [
        "name = 'constant'",
        "name = 'linear', min_lr = 0.0",
        "name = 'cosine', warmup_shape = 'cosine'",
        "name = 'cosine-restarts', period = 10, period_factor = 2",
        "name = 'polynomial', power = 2.0",
        "name = 'step', every = 10",
        "name = 'multi-step', milestones = [10, 50]",
        "name = 'exponential', gamma = 0.99",
        "name = 'inverse-square-root', lr_scaling = 'square-root'",
        "name = 'wsd', shape = 'one-minus-sqrt'",
        "name = 'one-cycle'",
        "name = 'sequence', parts = [{ name = 'constant', steps = 50 }, { name = 'cosine', lr = 1e-4 }]",
    ]
    .map(|schedule| format!("schedule = {{ warmup = 0, {schedule} }}"));
    let losses = [
        "name = 'mse'",
        "label_smoothing = 0.1, z_loss = 1e-4, chunk = 100",
    ]
    .map(|loss| format!("schedule.warmup = 0\nloss = {{ {loss} }}"));
    let mut hasher = RecipeHasher::default();
    for text in optimizers.chain(schedules).chain(losses) {
        let first = recipe(&format!("{start}{text}")).unwrap_or_else(|e| panic!("{text}: {}", report(&e)));
        let again = recipe(&first.to_toml()).unwrap();
        assert_eq!(first, again, "{text}");
        // From recipe to recipe, whichever tables differ.
        assert_eq!(hasher.hash(&first), first.hash(), "{text}");
        assert!(first.schedule().unwrap().lr(99) > 0.0, "{text}");
    }
}

#[test]
fn the_learning_rate_follows_the_tokens_of_a_step() {
    let lr = |rest: &str| {
        let text = format!(
            "model.preset = 'tiny'\nschedule = {{ name = 'constant', lr = 1e-3, warmup = 0{rest} }}\n\
             training = {{ steps = 10, batch_size = 8, batch_tokens = 2048 }}"
        );
        recipe(&text).unwrap().schedule().unwrap().lr(5)
    };
    assert_eq!(lr(""), 1e-3);
    assert_eq!(lr(", lr_scaling = 'linear', reference_batch_tokens = 512"), 4e-3);
    assert_eq!(
        lr(", lr_scaling = 'square-root', reference_batch_tokens = 512"),
        2e-3
    );
}

#[test]
fn a_resolved_recipe_resolves_to_itself() {
    let first =
        recipe("model.preset = 'tiny'\nschedule = { name = 'linear', warmup = 5 }\ntraining.steps = 50")
            .unwrap();
    let again = recipe(&first.to_toml()).unwrap();
    assert_eq!(first, again);
    assert_eq!(first.hash(), again.hash());
}

#[test]
fn every_mistake_is_shown_where_it_was_made() {
    let mistakes = [
        ("not TOML", "[training]\nsteps = = 3"),
        ("unknown key", "[optimizer]\nname = \"adamw\"\nwieght_decay = 0.1"),
        ("unknown table", "[optimiser]\nname = \"adamw\""),
        (
            "a key of another optimizer",
            "[optimizer]\nname = \"sgd\"\nbeta1 = 0.9",
        ),
        ("unknown name", "[optimizer]\nname = \"admw\""),
        ("unknown preset", "[model]\npreset = \"gpt2-125m\""),
        ("wrong type", "[training]\nsteps = \"many\""),
        ("fraction of a step", "[training]\nsteps = 10.5"),
        ("a table for a number", "[training.steps]\nmany = 1"),
        ("dropout of one", "[model]\ndropout = 1.0"),
        ("dropout of a place", "[model]\nattention_dropout = -0.1"),
        ("unknown activation", "[model]\nactivation = \"gelu_tanh\""),
        ("unknown norm", "[model]\nnorm = \"pre-norm\""),
        ("no switch", "[model]\nresidual = \"off\""),
        ("negative", "[optimizer]\nclip = -1"),
        ("no pattern", "[[optimizer.groups]]\nparameters = \"[bias\""),
        ("unknown key of a group", "[[optimizer.groups]]\nlrscale = 2"),
        ("a beta of one", "[optimizer]\nname = \"adam\"\nbeta2 = 1.0"),
        ("heads do not divide width", "[model]\nwidth = 100\nheads = 7"),
        (
            "warm-up longer than the run",
            "[schedule]\nwarmup = 300\n[training]\nsteps = 200",
        ),
        ("default warm-up longer than the run", "[training]\nsteps = 200"),
        ("floor above peak", "[schedule]\nlr = 1e-4\nmin_lr = 1e-3"),
        ("batch tokens do not divide", "[training]\nbatch_tokens = 1000"),
        (
            "two sizes of a step",
            "[training]\nbatch_tokens = 8192\naccumulate = 2",
        ),
    ];
    let reports: Vec<String> = mistakes
        .iter()
        .map(|(what, text)| format!("--- {what}\n{}", report(&recipe(text).expect_err(what))))
        .collect();
    insta::assert_snapshot!("mistakes", reports.join("\n"));
}

#[test]
fn an_assignment_is_laid_over_the_file_and_errors_point_at_it() {
    let over = |assignment: &str| {
        let mut node = Node::parse("recipe.toml", "[optimizer]\nname = \"adam\"").unwrap();
        node.merge(&Node::parse_assignment(assignment)?);
        Recipe::from_node(&node)
    };
    assert_eq!(over("schedule.lr=3e-4").unwrap().schedule.lr, 3e-4);
    // A bare word is a string.
    assert_eq!(
        over("data.corpus=tinyshakespeare").unwrap().data.corpus,
        "tinyshakespeare"
    );
    let wrong = over("schedule.lr=fast").unwrap_err();
    let unknown = over("schedule.rl=1").unwrap_err();
    let none = over("schedule.lr").unwrap_err();
    insta::assert_snapshot!(
        "assignments",
        [report(&wrong), report(&unknown), report(&none)].join("\n")
    );
}

#[test]
fn a_draft_has_the_values_that_were_set_or_are_defaults() {
    let node = Node::parse(
        "recipe.toml",
        "model = { preset = 'tiny', heads = 1 }\ntraining = { steps = 10, batch_tokens = 2048 }",
    );
    let mut draft = Draft::new(node.unwrap()).unwrap();
    let value = |draft: &Draft, key: &str| draft.value(key).map(|value| value.to_string());
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(value(&draft, "model.heads"), some("1"));
    assert_eq!(value(&draft, "model.width"), some("64"));
    assert_eq!(value(&draft, "model.preset"), some("\"tiny\""));
    assert_eq!(value(&draft, "optimizer.name"), some("\"adamw\""));
    assert_eq!(value(&draft, "training.accumulate"), some("4"));
    let set = Node::parse_assignment("training.batch_size=4").unwrap();
    draft
        .set(set.leaves().iter().map(|(key, value)| (key.as_str(), *value)))
        .unwrap();
    assert_eq!(
        (
            value(&draft, "training.accumulate"),
            value(&draft, "training.batch_tokens")
        ),
        (some("8"), some("2048"))
    );
    for none in [
        "schedule.min_lr",
        "optimizer.groups",
        "model.depth",
        "nothing",
        "",
    ] {
        assert_eq!(value(&draft, none), None, "{none}");
    }
}

proptest! {
    #[test]
    fn a_draft_that_is_changed_is_the_draft_of_the_changed_file(
        changes in prop::collection::vec((prop::sample::select(vec![
            "model.dropout", "schedule.lr", "training.batch_size", "optimizer.weight_decay", "loss.z_loss", "model.heads",
        ]), 1..9u32), 0..12),
    ) {
        let mut node = Node::parse("recipe.toml", "model.preset = 'tiny'\nschedule.warmup = 1\ntraining.accumulate = 1").unwrap();
        let mut draft = Draft::new(node.clone()).unwrap();
        for (key, number) in changes {
            let whole = key == "training.batch_size" || key == "model.heads";
            let value = if whole { number.to_string() } else { format!("{}", f64::from(number) / 10.0) };
            let change = Node::parse_assignment(&format!("{key}={value}")).unwrap();
            node.merge(&change);
            draft.set(change.leaves().iter().map(|(key, value)| (key.as_str(), *value))).unwrap();
            match (draft.resolve(), Recipe::from_node(&node)) {
                (Ok(draft), Ok(file)) => prop_assert_eq!(draft, file),
                (draft, file) => prop_assert_eq!(draft.is_err(), file.is_err()),
            }
        }
    }

    #[test]
    fn different_recipes_have_different_hashes_and_equal_ones_the_same(
        a in (0..4u64, 1..4usize, 0..3u32), b in (0..4u64, 1..4usize, 0..3u32), order: bool,
    ) {
        let text = |(seed, batch_size, lr): (u64, usize, u32), order: bool| {
            let training = format!("[training]\nseed = {seed}\nbatch_size = {}\n", 1 << batch_size);
            let schedule = format!("[schedule]\nlr = 1e-{}\n", lr + 2);
            if order { training + &schedule } else { schedule + &training }
        };
        let (x, y) = (recipe(&text(a, false)).unwrap(), recipe(&text(b, order)).unwrap());
        prop_assert_eq!(x.hash() == y.hash(), a == b);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-z\\[\\]=.\"'0-9\n ]{0,80}") {
        let _ = recipe(&text);
    }
}
