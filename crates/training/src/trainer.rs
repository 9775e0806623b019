use burn::{
    module::Module,
    optim::{GradientsAccumulator, GradientsParams},
    tensor::{Device, Int, Tensor, TensorData},
};
use data::{Batch, BatchShape, DataError, Dataset, Position};
use losses::{LossConfig, TokenAverage};
use model::{Gpt2, Mode, ModelError};
use optimizers::{Optimizer, ParameterPath, PatternError, global_norm};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use schedulers::{Schedule, ScheduleError};

use crate::{PrecisionError, Recipe, check_precision};

/// A model in training: what a step, an evaluation and a checkpoint work on.
pub struct Trainer {
    pub(crate) recipe: Recipe,
    device: Device,
    schedule: Schedule,
    /// Away only while an update, which writes over its parameters, owns it.
    model: Option<Gpt2>,
    pub(crate) optimizer: Optimizer,
}

/// A batch on the device.
pub(crate) struct Uploaded {
    pub(crate) inputs: Tensor<2, Int>,
    targets: Tensor<1, Int>,
}

impl Uploaded {
    pub(crate) fn new(batch: Batch, device: &Device) -> Self {
        let tokens = batch.targets.len();
        let inputs = TensorData::new(batch.inputs, [batch.sequences, batch.context]);
        Self {
            inputs: Tensor::from_data(inputs, device),
            targets: Tensor::from_data(TensorData::new(batch.targets, [tokens]), device),
        }
    }
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

/// The gradient of a step: the mean over its micro-batches, not clipped yet.
#[derive(Debug)]
pub struct Gradient {
    /// What the step saw.
    pub step: Step,
    pub(crate) gradients: GradientsParams,
}

/// Why training cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainerError {
    /// The recipe's model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The recipe's precision, on the device.
    #[error(transparent)]
    Precision(#[from] PrecisionError),
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
    /// Where the recipe is not a resolved one, or is of a precision that the device does not have.
    pub fn new(recipe: &Recipe, vocabulary: usize, device: &Device) -> Result<Self, TrainerError> {
        check_precision(recipe.training.precision, device)?;
        let mut device = device.clone().autodiff();
        if recipe.training.gradient_checkpointing {
            device = device.gradient_checkpointing();
        }
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
            model: Some(model),
            optimizer,
            recipe: recipe.clone(),
            device,
        })
    }

    /// Trainable parameters; the tied head counts once.
    pub fn parameters(&self) -> usize {
        self.model().num_params()
    }

    pub(crate) fn model(&self) -> &Gpt2 {
        self.model.as_ref().expect("no update is under way")
    }

    /// The model that evaluations see: without autodiff, and with the weights that the optimizer promises to be good.
    pub(crate) fn evaluated_model(&self) -> Gpt2 {
        self.optimizer.averaged(self.model().valid())
    }

    /// Gives the model away, for another to be put in its place.
    pub(crate) fn take_model(&mut self) -> Gpt2 {
        self.model.take().expect("no update is under way")
    }

    pub(crate) fn put_model(&mut self, model: Gpt2) {
        self.model = Some(model);
    }

    /// One step: the gradient, and where that is finite the update.
    ///
    /// # Errors
    /// As [`gradient`](Self::gradient).
    pub fn step(&mut self, dataset: &Dataset, step: u64) -> Result<Step, TrainerError> {
        let gradient = self.gradient(dataset, step)?;
        let result = gradient.step;
        if result.is_finite() {
            self.update(gradient, result.lr);
        }
        Ok(result)
    }

    /// The first half of a step: forward, loss and backward for every micro-batch.
    ///
    /// # Errors
    /// Where the training text is too short for the context.
    pub fn gradient(&self, dataset: &Dataset, step: u64) -> Result<Gradient, TrainerError> {
        // All of them before the first operation: to be sent another batch, a device finishes what it has under way.
        let batches = (0..self.recipe.accumulate())
            .map(|micro_step| {
                let at = self.position(step, micro_step);
                let batch = dataset.train().batch(self.batch_shape(), at)?;
                Ok(Uploaded::new(batch, &self.device))
            })
            .collect::<Result<Vec<_>, TrainerError>>()?;
        let mut gradients = GradientsAccumulator::new();
        // Summed on the device: nothing is read from there before the gradient is whole.
        let mut loss_sum: Option<Tensor<1>> = None;
        for (micro_step, batch) in (0..).zip(batches) {
            let mode = self.training_mode(step, micro_step);
            // Every micro-batch has as many tokens, so the mean over all of them is the mean of the means.
            let tokens = self.recipe.tokens_per_step();
            let loss = self.loss(&self.recipe.loss, self.model(), batch, mode) / tokens as f64;
            let value = loss.clone().inner();
            loss_sum = Some(match loss_sum {
                Some(sum) => sum + value,
                None => value,
            });
            gradients.accumulate(
                self.model(),
                GradientsParams::from_grads(loss.backward(), self.model()),
            );
        }
        let gradients = gradients.grads();
        let grad_norm = global_norm(self.model(), &gradients);
        let step = Step {
            loss: loss_sum.map_or(0.0, |sum| sum.into_scalar()),
            grad_norm,
            lr: self.schedule.lr(step),
        };
        Ok(Gradient { step, gradients })
    }

    /// The second half: the gradient clipped, one update.
    pub fn update(&mut self, Gradient { step, gradients }: Gradient, lr: f64) {
        let clip = self.recipe.optimizer.clip();
        let gradients = clip.clip(self.model(), gradients, step.grad_norm);
        let model = self.take_model();
        let model = self.optimizer.step(lr, model, gradients);
        self.put_model(model);
    }

    /// The cross-entropy on the fixed validation batches, nats per token, whatever training minimises: the sum over all
    /// their tokens, divided once.
    ///
    /// # Errors
    /// Where the validation text is too short for the context.
    pub fn evaluate(&self, dataset: &Dataset) -> Result<f64, TrainerError> {
        let model = self.evaluated_model();
        let loss = LossConfig::CrossEntropy(self.recipe.loss.reported());
        let mut average = TokenAverage::default();
        for batch in self.evaluation_batches(dataset)? {
            let tokens = batch.targets.len();
            let batch = Uploaded::new(batch, &model.token_embedding.device());
            let sum = self.loss(&loss, &model, batch, Mode::Evaluation);
            average.add(sum.into_scalar(), tokens);
        }
        Ok(average.mean())
    }

    pub(crate) fn evaluation_batches<'a>(
        &self,
        dataset: &'a Dataset,
    ) -> Result<impl Iterator<Item = Batch> + use<'a>, DataError> {
        let wanted = usize::try_from(self.recipe.training.eval_tokens).unwrap_or(usize::MAX);
        dataset
            .validation()
            .evaluation_batches(self.batch_shape(), wanted)
    }

    /// The loss of a batch, summed over its tokens: `[1]`.
    fn loss(&self, loss: &LossConfig, model: &Gpt2, batch: Uploaded, mode: Mode) -> Tensor<1> {
        let hidden = model.hidden(batch.inputs, mode);
        let operations = self.recipe.training.operations();
        loss.sum_from_hidden(hidden, model.head_weight(), batch.targets, operations)
    }

    pub(crate) fn position(&self, step: u64, micro_step: u64) -> Position {
        Position {
            seed: self.recipe.training.seed,
            step,
            micro_step,
        }
    }

    pub(crate) fn batch_shape(&self) -> BatchShape {
        BatchShape {
            sequences: self.recipe.training.batch_size,
            context: self.recipe.model.context,
        }
    }

    /// Dropout as that micro-step has it.
    pub(crate) fn training_mode(&self, step: u64, micro_step: u64) -> Mode {
        Mode::Training {
            dropout_key: self.dropout_key(self.position(step, micro_step)),
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
