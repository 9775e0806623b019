//! The same recipe and seed on Flex and on LibTorch.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]
#![cfg(feature = "tch")]

use data::{Dataset, OpenOptions, tinyshakespeare};
use training::{DeviceName, Recipe, Step, Trainer, config::Node};

fn steps(recipe: &Recipe, device: DeviceName, count: u64) -> Vec<Step> {
    let dataset = Dataset::open(&recipe.data, &OpenOptions::from_env()).unwrap();
    let mut trainer = Trainer::new(recipe, dataset.vocabulary(), &device.open().unwrap()).unwrap();
    (0..count)
        .map(|step| trainer.step(&dataset, step).unwrap())
        .collect()
}

#[test]
fn the_first_losses_of_the_shakespeare_recipe_agree() {
    let here = tinyshakespeare::is_here(&OpenOptions::from_env());
    // The same shape on another text where tinyshakespeare is not at hand.
    let data = if here {
        "corpus = 'tinyshakespeare'\ntokenizer = 'char'"
    } else {
        "tokenizer = 'byte'"
    };
    let text = format!(
        "[data]\n{data}\n[model]\npreset = 'nanogpt-cpu'\nbias = false\ndropout = 0.0\n\
         [optimizer]\nbeta2 = 0.99\n[schedule]\nlr = 1e-3\nmin_lr = 1e-4\nwarmup = 100\n\
         [training]\nsteps = 2000\nbatch_size = 12\naccumulate = 1\nseed = 1337"
    );
    let recipe = Recipe::from_node(&Node::parse("recipe.toml", &text).unwrap()).unwrap();
    let flex = steps(&recipe, DeviceName::Flex, 20);
    let libtorch = steps(&recipe, DeviceName::Libtorch, 20);

    let differences: Vec<f64> = flex
        .iter()
        .zip(&libtorch)
        .map(|(a, b)| (a.loss / b.loss - 1.0).abs())
        .collect();
    println!("relative differences of the losses: {differences:?}");
    // The same weights: what is left is the rounding of about 30 operations in a row.
    assert!(differences[0] <= 1e-5);
    // An update differs where rounding decides it: Adam's first steps are lr * sign(g), so an entry whose gradient is
    // noise may move the other way, by at most 2 lr. The loss feels it through that entry's gradient, which is noise
    // itself, about epsilon * sqrt(summands) of the largest: the loss drifts by less than the sum of the learning
    // rates so far, times the gradient's norm, times the share of noise.
    let mut path = 0.0;
    for (step, difference) in differences.iter().enumerate() {
        let noise = f64::from(f32::EPSILON) * (768.0f64).sqrt();
        let bound = 1e-5 + path * noise * (recipe.model.parameters(65) as f64).sqrt();
        assert!(
            *difference <= bound,
            "step {step}: {difference:e}, bound {bound:e}"
        );
        path += flex[step].lr * flex[step].grad_norm.max(1.0);
    }
}
