use burn::{
    module::Module,
    optim::{GradientsAccumulator, GradientsParams},
    tensor::{Device, Int, Tensor, TensorData},
};
use data::{Batch, BatchShape, DataError, Dataset, Position};
use losses::{LossConfig, TokenAverage};
use model::{Gpt2, Mode, ModelError};
use optimizers::{Optimizer, ParameterPath, PatternError};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use schedulers::{Schedule, ScheduleError};

use crate::Recipe;

/// A model in training: what a step, an evaluation and a checkpoint work on.
pub struct Trainer {
    recipe: Recipe,
    device: Device,
    schedule: Schedule,
    pub(crate) model: Gpt2,
    pub(crate) optimizer: Optimizer,
}

/// What one step saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// What training minimises, on the step's tokens before its update, per token; in nats where that is cross-entropy.
    pub loss: f64,
    /// The global norm of the gradient before clipping.
    pub grad_norm: f64,
    /// The learning rate.
    pub lr: f64,
}

impl Step {
    /// Whether loss and gradient are finite; where they are not, no update was made.
    pub fn is_finite(&self) -> bool {
        self.loss.is_finite() && self.grad_norm.is_finite()
    }
}

/// Why training cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainerError {
    /// The recipe's model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The recipe's schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// A pattern of the recipe's parameter groups.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A parameter group that holds nothing.
    #[error(
        "no parameter of the model matches the pattern `{pattern}` of optimizer.groups; the model has, for example, {example}"
    )]
    UnusedGroup {
        /// The pattern.
        pattern: String,
        /// Some paths of the model.
        example: String,
    },
    /// The text.
    #[error(transparent)]
    Data(#[from] DataError),
}

impl Trainer {
    /// A model with initial weights on `device`, and an optimizer with an empty state.
    ///
    /// # Errors
    /// Where the recipe is not a resolved one.
    pub fn new(recipe: &Recipe, vocabulary: usize, device: &Device) -> Result<Self, TrainerError> {
        let device = device.clone().autodiff();
        let model = Gpt2::new(&recipe.model, vocabulary, recipe.training.seed, &device)?
            .with_operations(recipe.training.operations());
        let optimizer = recipe.optimizer.init()?;
        if let Some(pattern) = optimizer.unused_groups(&model).pop() {
            let example = ParameterPath::all(&model)
                .into_iter()
                .take(4)
                .collect::<Vec<_>>()
                .join(", ");
            return Err(TrainerError::UnusedGroup { pattern, example });
        }
        Ok(Self {
            schedule: recipe.schedule()?,
            model,
            optimizer,
            recipe: recipe.clone(),
            device,
        })
    }

    /// Trainable parameters; the tied head counts once.
    pub fn parameters(&self) -> usize {
        self.model.num_params()
    }

    /// One step: forward, loss and backward for every micro-batch, the mean of the gradients clipped, one update.
    ///
    /// # Errors
    /// Where the training text is too short for the context.
    pub fn step(&mut self, dataset: &Dataset, step: u64) -> Result<Step, TrainerError> {
        let accumulate = self.recipe.accumulate();
        let mut gradients = GradientsAccumulator::new();
        let mut loss_sum = 0.0;
        for micro_step in 0..accumulate {
            let at = Position {
                seed: self.recipe.training.seed,
                step,
                micro_step,
            };
            let mode = Mode::Training {
                dropout_key: self.dropout_key(at),
            };
            let batch = dataset.train().batch(self.batch_shape(), at)?;
            // Every micro-batch has as many tokens, so the mean over all of them is the mean of the means.
            let tokens = batch.targets.len() as u64 * accumulate;
            let loss = self.loss(&self.recipe.loss, &self.model, &batch, mode) / tokens as f64;
            loss_sum += loss.clone().into_scalar::<f64>();
            gradients.accumulate(
                &self.model,
                GradientsParams::from_grads(loss.backward(), &self.model),
            );
        }
        let clip = self.recipe.optimizer.clip();
        let (gradients, grad_norm) = clip.apply(&self.model, gradients.grads());
        let result = Step {
            loss: loss_sum,
            grad_norm,
            lr: self.schedule.lr(step),
        };
        if result.is_finite() {
            self.model = self.optimizer.step(result.lr, self.model.clone(), gradients);
        }
        Ok(result)
    }

    /// The cross-entropy on the fixed validation batches, nats per token, whatever training minimises: the sum over all
    /// their tokens, divided once.
    ///
    /// # Errors
    /// Where the validation text is too short for the context.
    pub fn evaluate(&self, dataset: &Dataset) -> Result<f64, TrainerError> {
        let model = self.optimizer.averaged(self.model.valid());
        let loss = LossConfig::CrossEntropy(self.recipe.loss.reported());
        let mut average = TokenAverage::default();
        let wanted = usize::try_from(self.recipe.training.eval_tokens).unwrap_or(usize::MAX);
        for batch in dataset
            .validation()
            .evaluation_batches(self.batch_shape(), wanted)?
        {
            let sum = self.loss(&loss, &model, &batch, Mode::Evaluation);
            average.add(sum.into_scalar(), batch.targets.len());
        }
        Ok(average.mean())
    }

    /// The loss of a batch, summed over its tokens: `[1]`.
    fn loss(&self, loss: &LossConfig, model: &Gpt2, batch: &Batch, mode: Mode) -> Tensor<1> {
        let device = model.token_embedding.device();
        let inputs = TensorData::new(batch.inputs.clone(), [batch.sequences, batch.context]);
        let targets = TensorData::new(batch.targets.clone(), [batch.targets.len()]);
        let hidden = model.hidden(Tensor::<2, Int>::from_data(inputs, &device), mode);
        let targets = Tensor::from_data(targets, &device);
        let operations = self.recipe.training.operations();
        loss.sum_from_hidden(hidden, model.token_embedding.val(), targets, operations)
    }

    fn batch_shape(&self) -> BatchShape {
        BatchShape {
            sequences: self.recipe.training.batch_size,
            context: self.recipe.model.context,
        }
    }

    /// What the dropout masks of a micro-step are drawn with, from its place in the run alone.
    ///
    /// The device's generator is seeded with it as well, for kernels that draw from that one: its state cannot be saved.
    fn dropout_key(&self, at: Position) -> u64 {
        let mut key = *b"cupel dropout -- seed follows: \0";
        key[24..].copy_from_slice(&at.seed.to_le_bytes());
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(at.step);
        generator.set_word_pos(2 * u128::from(at.micro_step));
        let key = generator.next_u64();
        self.device.seed(key);
        key
    }
}
