//! Gradient checkpointing changes what is kept, and nothing that is computed.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use data::{Dataset, OpenOptions};
use training::{DeviceName, Recipe, Step, Trainer, config::Node};

const TINY: &str = "
data = { corpus = 'synthetic', tokenizer = 'byte' }
model = { layers = 2, heads = 2, width = 16, context = 16, dropout = 0.1 }
schedule = { lr = 1e-2, warmup = 2 }
training = { steps = 8, batch_size = 4, accumulate = 2, eval_tokens = 1024 }
";

fn trained(changes: &[&str], device: DeviceName) -> (Vec<Step>, f64) {
    let mut node = Node::parse("recipe.toml", TINY).unwrap();
    for change in changes {
        node.merge(&Node::parse_assignment(change).unwrap());
    }
    let recipe = Recipe::from_node(&node).unwrap();
    let dataset = Dataset::open(&recipe.data, &OpenOptions::from_env()).unwrap();
    let mut trainer = Trainer::new(&recipe, dataset.vocabulary(), &device.open().unwrap()).unwrap();
    let steps = (0..recipe.training.steps)
        .map(|step| trainer.step(&dataset, step).unwrap())
        .collect();
    (steps, trainer.evaluate(&dataset).unwrap())
}

/// Every step sees what the one before left behind, so that equal losses mean equal gradients, to the last bit.
fn check(device: DeviceName) {
    for kernels in ["fused", "reference"] {
        for bias in [true, false] {
            let kernels = format!("training.kernels='{kernels}'");
            let bias = format!("model.bias={bias}");
            let run = |checkpointing: bool| {
                let checkpointing = format!("training.gradient_checkpointing={checkpointing}");
                trained(&[&kernels, &bias, &checkpointing], device)
            };
            assert_eq!(run(true), run(false), "{kernels}, {bias}");
        }
    }
}

#[test]
fn the_losses_are_the_same_to_the_last_bit_on_flex() {
    check(DeviceName::Flex);
}

#[cfg(feature = "tch")]
#[test]
fn the_losses_are_the_same_to_the_last_bit_on_libtorch() {
    check(DeviceName::Libtorch);
}
