//! The worker of `cargo xtask bench-peers`: Cupel as one of the peers. `peer.py` is PyTorch's.
//!
//! `prepare` writes what all peers of a comparison start from: `recipe.toml`, `weights.safetensors` as Cupel draws them,
//! and `batches.safetensors`. `train` trains there, and `probe` measures the machine. Both print one line of JSON when
//! they are ready, then answer each line of the standard input with one line of JSON:
//!
//! ```text
//! train   20   {"seconds": 0.61, "losses": [4.17, ...]}             20 more steps
//! probe   1    {"sgemm": 2.1e11, "copy": 1.9e10, "adamw": 0.21}     FLOP/s, bytes/s, seconds of a step on 124M parameters
//! ```

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a program without a library, whose failure ends the benchmark"
)]

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    time::Instant,
};

use benches::{Shape, ShapeName, dataset};
use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{Device, Distribution, Tensor, TensorData},
};
use clap::Parser;
use data::{BatchShape, Position};
use kernels::cpu::pool;
use model::{Gpt2, Preset};
use optimizers::OptimizerConfig;
use rayon::prelude::*;
use serde_json::json;
use training::{
    BURN_VERSION, DeviceName, Recipe, Trainer, TrainerError, VERSION,
    config::Node,
    tensors::{self, Tensors},
};

/// As in `cupel` itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Different batches; after the last comes the first again.
const BATCHES: u64 = 64;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

#[derive(Parser)]
enum Work {
    /// Write what all peers start from, and say what it is.
    Prepare {
        directory: PathBuf,
        shape: ShapeName,
        #[arg(long, default_value_t = 0.0)]
        dropout: f64,
        /// Sizes other than the shape's.
        #[command(flatten)]
        sizes: Sizes,
    },
    /// Train.
    Train {
        directory: PathBuf,
        #[arg(long, default_value = "flex")]
        device: DeviceName,
        /// Assignments to the recipe, such as `training.kernels = "reference"`.
        #[arg(long)]
        set: Vec<String>,
    },
    /// Measure the machine.
    Probe,
}

#[derive(clap::Args)]
struct Sizes {
    #[arg(long)]
    layers: Option<usize>,
    #[arg(long)]
    width: Option<usize>,
    #[arg(long)]
    context: Option<usize>,
    #[arg(long)]
    batch: Option<usize>,
    #[arg(long)]
    vocabulary: Option<usize>,
}

impl Sizes {
    fn of(&self, shape: Shape) -> Shape {
        Shape {
            layers: self.layers.unwrap_or(shape.layers),
            width: self.width.unwrap_or(shape.width),
            context: self.context.unwrap_or(shape.context),
            batch: self.batch.unwrap_or(shape.batch),
            vocabulary: self.vocabulary.unwrap_or(shape.vocabulary),
            ..shape
        }
    }
}

fn main() -> Outcome {
    match Work::parse() {
        Work::Prepare {
            directory,
            shape,
            dropout,
            sizes,
        } => prepare(&directory, sizes.of(shape.shape()), dropout),
        Work::Train {
            directory,
            device,
            set,
        } => train(&directory, device, &set),
        Work::Probe => probe(),
    }
}

fn prepare(directory: &Path, shape: Shape, dropout: f64) -> Outcome {
    let recipe = shape.recipe(dropout, directory);
    std::fs::write(directory.join("recipe.toml"), recipe.to_toml())?;
    let model = Gpt2::new(
        &recipe.model,
        shape.vocabulary,
        recipe.training.seed,
        &Device::flex(),
    )?;
    tensors::write(
        &directory.join("weights.safetensors"),
        &tensors::parameters(&model),
    )?;

    let dataset = dataset(&recipe, directory);
    let (mut inputs, mut targets) = (Vec::new(), Vec::new());
    for step in 0..BATCHES {
        let at = Position {
            seed: recipe.training.seed,
            step,
            micro_step: 0,
        };
        let size = BatchShape {
            sequences: shape.batch,
            context: shape.context,
        };
        let batch = dataset.train().batch(size, at)?;
        inputs.extend(batch.inputs.into_iter().map(i64::from));
        targets.extend(batch.targets.into_iter().map(i64::from));
    }
    let size = [BATCHES as usize, shape.batch, shape.context];
    let named = |name: &str, tokens| (name.to_owned(), TensorData::new(tokens, size));
    let batches = Tensors::from([named("inputs", inputs), named("targets", targets)]);
    tensors::write(&directory.join("batches.safetensors"), &batches)?;
    println!(
        "{}",
        json!({
            "layers": shape.layers,
            "width": shape.width,
            "context": shape.context,
            "batch": shape.batch,
            "parameters": model.num_params(),
        })
    );
    Ok(())
}

fn train(directory: &Path, name: DeviceName, set: &[String]) -> Outcome {
    let assignments = set
        .iter()
        .map(|text| Node::parse("--set", text))
        .collect::<Result<Vec<_>, _>>()?;
    let recipe = Recipe::read(&directory.join("recipe.toml"), &assignments)?;
    let dataset = dataset(&recipe, directory);
    let device = name.open()?;
    let mut trainer = Trainer::new(&recipe, dataset.vocabulary(), &device)?;
    println!("{}", json!({"cupel": VERSION, "burn": BURN_VERSION}));

    let mut step = 0;
    for line in io::stdin().lines() {
        let steps: u64 = line?.trim().parse()?;
        let clock = Instant::now();
        // As training runs, and only while it does: the others are to have the machine for themselves.
        let losses = name.attend(|| {
            let mut one_step = || {
                step += 1;
                trainer.step(&dataset, (step - 1) % BATCHES)
            };
            (0..steps)
                .map(|_| Ok(one_step()?.loss))
                .collect::<Result<Vec<f64>, TrainerError>>()
        })?;
        device.sync()?;
        println!(
            "{}",
            json!({"seconds": clock.elapsed().as_secs_f64(), "losses": losses})
        );
    }
    Ok(())
}

fn probe() -> Outcome {
    let sgemm = Sgemm::new();
    let mut copy = Copy::new();
    let mut adamw = AdamW::new();
    println!(
        "{}",
        json!({"cupel": VERSION, "burn": BURN_VERSION, "machine": sweep::Machine::this(Vec::new())})
    );
    for line in io::stdin().lines() {
        line?;
        let [sgemm, copy, adamw] = pool::awake(|| [sgemm.flops(), copy.bytes_per_second(), adamw.seconds()]);
        println!("{}", json!({"sgemm": sgemm, "copy": copy, "adamw": adamw}));
    }
    Ok(())
}

/// A large square product in f32, by the `gemm` crate, which Flex calls.
struct Sgemm([Tensor<2>; 2]);

impl Sgemm {
    const SIZE: usize = 4096;

    fn new() -> Self {
        let random = || Tensor::random([Self::SIZE; 2], Distribution::Default, &Device::flex());
        Self([random(), random()])
    }

    fn flops(&self) -> f64 {
        let [a, b] = self.0.clone();
        let clock = Instant::now();
        a.matmul(b);
        2.0 * (Self::SIZE as f64).powi(3) / clock.elapsed().as_secs_f64()
    }
}

/// A copy too large for any cache, by all threads.
struct Copy {
    from: Vec<f32>,
    to: Vec<f32>,
}

impl Copy {
    const LENGTH: usize = 1 << 27;

    fn new() -> Self {
        let mut copy = Self {
            from: vec![1.0; Self::LENGTH],
            to: vec![0.0; Self::LENGTH],
        };
        // The first finds pages that the system has not provided yet.
        copy.bytes_per_second();
        copy
    }

    /// Each byte is read and written.
    fn bytes_per_second(&mut self) -> f64 {
        // One piece a thread: a large copy writes past the caches, and so reads nothing that it overwrites.
        let piece = Self::LENGTH.div_ceil(rayon::current_num_threads());
        let clock = Instant::now();
        let pairs = self.from.par_chunks(piece).zip(self.to.par_chunks_mut(piece));
        pairs.for_each(|(from, to)| to.copy_from_slice(from));
        2.0 * size_of::<f32>() as f64 * Self::LENGTH as f64 / clock.elapsed().as_secs_f64()
    }
}

/// GPT-2 124M, its gradients, and the standard optimizer.
struct AdamW {
    optimizer: optimizers::Optimizer,
    /// Moved through every update, so that it is changed in place.
    model: Option<Gpt2>,
    gradients: Gradients,
}

#[derive(Default)]
struct Gradients(Vec<Register>);

/// Gives a parameter its gradient.
type Register = Box<dyn Fn(&mut GradientsParams) + Send>;

impl ModuleVisitor for Gradients {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let (id, gradient) = (param.id, param.val().inner() * 0.01);
        self.0.push(Box::new(move |gradients| {
            gradients.register(id, gradient.clone())
        }));
    }
}

impl AdamW {
    fn new() -> Self {
        let device = Device::flex().autodiff();
        let model = Gpt2::new(&Preset::Gpt2_124m.config(), 50_257, 0, &device).unwrap();
        let mut gradients = Gradients::default();
        model.visit(&mut gradients);
        let mut adamw = Self {
            optimizer: OptimizerConfig::default().init().unwrap(),
            model: Some(model),
            gradients,
        };
        // The first makes the state.
        adamw.seconds();
        adamw
    }

    fn seconds(&mut self) -> f64 {
        let mut gradients = GradientsParams::new();
        for register in &self.gradients.0 {
            register(&mut gradients);
        }
        let model = self.model.take().expect("every update gives it back");
        let clock = Instant::now();
        self.model = Some(self.optimizer.step(1e-4, model, gradients));
        clock.elapsed().as_secs_f64()
    }
}
