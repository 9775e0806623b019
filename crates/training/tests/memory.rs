//! How much memory a checkpoint takes while it is written. Alone in its process, for the peak is the whole process's.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

mod common;

use std::fs;

use burn::{
    module::Module,
    optim::GradientsParams,
    tensor::{Int, Tensor},
};
use common::recipe;
use model::{Gpt2, Mode};
use training::{
    DeviceName,
    checkpoint::{Checkpoints, Progress, load, verify},
    tensors::parameters,
};

/// A line of `/proc/self/status`, in bytes.
fn status(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let kib: u64 = line.trim_matches([':', '\t', ' ', 'k', 'B']).parse().unwrap();
    kib * 1024
}

#[test]
fn no_second_copy_of_model_or_state_is_in_memory_while_a_checkpoint_is_written() {
    let recipe = recipe(&["model={ layers = 4, heads = 8, width = 512, context = 16, dropout = 0.0 }"]);
    let device = DeviceName::Flex.open().unwrap().autodiff();
    let model = Gpt2::new(&recipe.model, 256, 0, &device).unwrap();
    let mut optimizer = recipe.optimizer.init().unwrap();
    let tokens = Tensor::<2, Int>::zeros([1, 16], &device);
    let loss = model.hidden(tokens, Mode::Evaluation).square().sum();
    let gradients = GradientsParams::from_grads(loss.backward(), &model);
    let model = optimizer.step(1e-3, model, gradients);

    let directory = tempfile::tempdir().unwrap();
    let mut checkpoints = Checkpoints::new(directory.path().to_owned(), &recipe);
    let progress = Progress {
        step: 1,
        recipe: recipe.hash(),
        ..Progress::default()
    };
    // Has the kernel forget the peak so far.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS");
    checkpoints.save(&model, &optimizer, &progress).unwrap();
    let rise = status("VmHWM").saturating_sub(before);

    let whole = 4 * model.num_params() as u64;
    let largest = parameters(&model)
        .values()
        .map(|tensor| tensor.as_bytes().len() as u64)
        .max()
        .unwrap();
    let mb = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "{:.1} MB of parameters and {:.1} MB of state, the largest tensor {:.1} MB: a rise of {:.1} MB",
        mb(whole),
        mb(2 * whole),
        mb(largest),
        mb(rise)
    );
    // The state of one parameter, two tensors; one of them again as bytes; and the buffer of the file, 1 MiB, with what
    // else is of no size.
    assert!(rise <= 3 * largest + (4 << 20), "{rise}");
    // The bound would not hold for a copy of the parameters, let alone of the state.
    assert!(whole > 3 * largest + (4 << 20));

    let saved = verify(&directory.path().join("step-00000001")).unwrap();
    let other = Gpt2::new(&recipe.model, 256, 1, &device).unwrap();
    let mut restored = recipe.optimizer.init().unwrap();
    let other = load(&saved, other, &mut restored).unwrap();
    assert_eq!(parameters(&other), parameters(&model));
    assert_eq!(restored.state(), optimizer.state());
}
