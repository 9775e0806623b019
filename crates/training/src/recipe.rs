use std::{path::Path, sync::LazyLock};

use data::{BatchShape, DataConfig, DataError, Dataset, OpenOptions, Position};
use kernels::{Kernels, Operations, Precision};
use losses::LossConfig;
use model::ModelConfig;
use optimizers::OptimizerConfig;
use schedulers::{Run, Schedule, ScheduleConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    config::{ConfigError, Node, close_tables},
    draft::Draft,
    hasher::short,
};

/// Everything that decides what a trial computes: the same recipe, on the same device, gives the same trial.
///
/// Each table is the configuration of the crate that it is named after; every key has a default, and the defaults
/// together are the standard recipe after GPT-2.
///
/// ```
/// use training::{Recipe, config::Node};
///
/// let node = Node::parse("recipe.toml", "model.preset = 'tiny'\ntraining = { steps = 100, accumulate = 1 }\nschedule.warmup = 10")?;
/// let recipe = Recipe::from_node(&node)?;
/// assert_eq!((recipe.model.layers, recipe.schedule.lr), (2, 6e-4));
/// # Ok::<(), training::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Recipe {
    /// The text, and how it becomes tokens.
    pub data: DataConfig,
    /// The decoder.
    pub model: ModelConfig,
    /// What is minimised.
    pub loss: LossConfig,
    /// What turns gradients into updates.
    pub optimizer: OptimizerConfig,
    /// The learning rate over the steps.
    pub schedule: ScheduleConfig,
    /// How long, in what batches, and what is recorded.
    pub training: TrainingConfig,
}

/// The `[training]` table of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TrainingConfig {
    /// Optimizer updates.
    #[schemars(range(min = 1))]
    pub steps: u64,
    /// Sequences of a micro-batch.
    #[schemars(range(min = 1))]
    pub batch_size: usize,
    /// Micro-batches of a step, whose gradients are averaged. It follows from `batch_tokens` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub accumulate: Option<u64>,
    /// Tokens of a step, a multiple of batch_size * context; 524288 if both this and `accumulate` are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub batch_tokens: Option<u64>,
    /// What initial weights, batches and dropout are drawn from.
    pub seed: u64,
    /// Steps between two rows of the curve.
    #[schemars(range(min = 1))]
    pub log_every: u64,
    /// Steps between two evaluations; one more follows the last step.
    #[schemars(range(min = 1))]
    pub eval_every: u64,
    /// Validation tokens of an evaluation, always the same ones; the whole validation text where it has no more.
    #[schemars(range(min = 1))]
    pub eval_tokens: u64,
    /// Steps between two checkpoints; one more follows the last step.
    #[schemars(range(min = 1))]
    pub checkpoint_every: u64,
    /// How many of the newest checkpoints are kept; the best by validation loss stays besides.
    #[schemars(range(min = 1))]
    pub keep_last: usize,
    /// Checkpoints whose step is a multiple of this are kept as well; none if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub keep_every: Option<u64>,
    /// Steps between two looks at the layers, for layers.csv; 0 never looks.
    pub diagnose_every: u64,
    /// Steps before a step that its loss and gradient norm are measured against: z = (value - median) / (1.4826 * median
    /// absolute deviation).
    #[schemars(range(min = 3))]
    pub spike_window: usize,
    /// The z above which a loss or a gradient norm is a spike.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub spike_threshold: f64,
    /// Whether the update of a step with a spike is skipped.
    pub skip_spikes: bool,
    /// Which implementation of the operations runs.
    pub kernels: Kernels,
    /// What the operands of matrix products are rounded to.
    pub precision: Precision,
    /// Whether outputs that are cheap to compute are dropped, and computed again in the backward pass: the same losses in
    /// less memory.
    pub gradient_checkpointing: bool,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            steps: 600_000,
            batch_size: 8,
            accumulate: None,
            batch_tokens: None,
            seed: 0,
            log_every: 10,
            eval_every: 1000,
            eval_tokens: 1 << 20,
            checkpoint_every: 1000,
            keep_last: 1,
            keep_every: None,
            diagnose_every: 0,
            spike_window: 64,
            spike_threshold: 7.0,
            skip_spikes: false,
            kernels: Kernels::default(),
            precision: Precision::default(),
            gradient_checkpointing: false,
        }
    }
}

impl TrainingConfig {
    /// How the operations are computed.
    pub fn operations(&self) -> Operations {
        Operations {
            kernels: self.kernels,
            precision: self.precision,
        }
    }
}

/// Tokens of a step of the standard recipe, "0.5M".
const STANDARD_BATCH_TOKENS: u64 = 1 << 19;

static SCHEMA: LazyLock<serde_json::Value> =
    LazyLock::new(|| close_tables(schemars::schema_for!(Recipe).to_value()));

impl Recipe {
    /// The JSON Schema of recipe files.
    pub fn schema() -> &'static serde_json::Value {
        &SCHEMA
    }

    /// Reads a recipe file, with assignments such as those of `--set` laid over it.
    ///
    /// # Errors
    /// As [`from_node`](Self::from_node), and where the file cannot be read or is not TOML.
    pub fn read(path: &Path, assignments: &[Node]) -> Result<Self, ConfigError> {
        let mut node = Node::read(path)?;
        for assignment in assignments {
            node.merge(assignment);
        }
        Self::from_node(&node)
    }

    /// The recipe that a node spells out, resolved: every default is written out and every derived key computed.
    ///
    /// # Errors
    /// An unknown key, a wrong type, an impossible value, or keys that contradict each other, at its place.
    pub fn from_node(node: &Node) -> Result<Self, ConfigError> {
        Draft::new(node.clone())?.resolve()
    }

    /// The recipe with every derived key computed; errors show the places of `node`.
    pub(crate) fn resolve(mut self, node: &Node) -> Result<Self, ConfigError> {
        let fault = |key: &str, message: String, cure: String| fault(node, key, message, cure);
        self.data.validate().map_err(|e| {
            fault(
                "data.validation_fraction",
                e.to_string(),
                "0.1 is nanoGPT's".to_owned(),
            )
        })?;
        self.model
            .validate()
            .map_err(|e| fault(&format!("model.{}", e.key()), e.to_string(), e.cure()))?;
        self.optimizer.init().map_err(|e| {
            let cure = "`*` stands for any text, `?` for one character, `[ab]` for one of some";
            fault("optimizer.groups", e.to_string(), cure.to_owned())
        })?;
        if self.training.operations().precision != Precision::F32
            && self.training.kernels == Kernels::Reference
        {
            return Err(fault(
                "training.precision",
                "the reference kernels compute in f32".to_owned(),
                "leave training.precision out, or set training.kernels = \"fused\"".to_owned(),
            ));
        }
        self.training.accumulate = Some(self.micro_steps_from_batch_tokens(node)?);
        self.training.batch_tokens = None;
        let run = self.run();
        self.schedule.build(run).map_err(|e| {
            fault(
                &format!("schedule.{}", e.key()),
                e.to_string(),
                e.cure().to_owned(),
            )
        })?;
        self.schedule = self.schedule.resolved(run);
        Ok(self)
    }

    pub(crate) fn micro_steps_from_batch_tokens(&self, node: &Node) -> Result<u64, ConfigError> {
        let TrainingConfig {
            batch_size,
            accumulate,
            batch_tokens,
            ..
        } = self.training;
        let micro_batch = (batch_size * self.model.context) as u64;
        match (accumulate, batch_tokens) {
            (Some(_), Some(_)) => Err(fault(
                node,
                "training.batch_tokens",
                "accumulate and batch_tokens both say how large a step is".to_owned(),
                "keep one of training.accumulate and training.batch_tokens".to_owned(),
            )),
            (Some(accumulate), None) => Ok(accumulate),
            (None, batch_tokens) => {
                let tokens = batch_tokens.unwrap_or(STANDARD_BATCH_TOKENS);
                if tokens % micro_batch == 0 {
                    return Ok(tokens / micro_batch);
                }
                let nearest = (tokens / micro_batch).max(1) * micro_batch;
                Err(fault(
                    node,
                    if batch_tokens.is_some() {
                        "training.batch_tokens"
                    } else {
                        "training.batch_size"
                    },
                    format!(
                        "batch_tokens = {tokens} does not divide into micro-batches of {micro_batch} tokens \
                         ({batch_size} sequences of {})",
                        self.model.context
                    ),
                    format!("set training.accumulate = 1, or training.batch_tokens = {nearest}"),
                ))
            }
        }
    }

    /// Micro-batches of a step.
    pub fn accumulate(&self) -> u64 {
        self.training.accumulate.unwrap_or(1)
    }

    /// Tokens that one step learns from.
    pub fn tokens_per_step(&self) -> u64 {
        self.training.batch_size as u64 * self.model.context as u64 * self.accumulate()
    }

    /// The learning-rate schedule.
    ///
    /// # Errors
    /// Where the recipe was not resolved and its schedule contradicts itself.
    pub fn schedule(&self) -> Result<Schedule, schedulers::ScheduleError> {
        self.schedule.build(self.run())
    }

    /// The text, tokenized, and long enough for the batches of training and evaluation.
    ///
    /// # Errors
    /// Where it is not there, is no text, or is too short.
    pub fn open_text(&self) -> Result<Dataset, DataError> {
        let dataset = Dataset::open(&self.data, &OpenOptions::from_env())?;
        let shape = BatchShape {
            sequences: self.training.batch_size,
            context: self.model.context,
        };
        let first = Position {
            seed: self.training.seed,
            step: 0,
            micro_step: 0,
        };
        dataset.train().batch(shape, first)?;
        dataset.validation().evaluation_batches(shape, 1).map(drop)?;
        Ok(dataset)
    }

    fn run(&self) -> Run {
        Run {
            steps: self.training.steps,
            batch_tokens: self.tokens_per_step(),
        }
    }

    /// The resolved recipe as TOML, every key written out.
    pub fn to_toml(&self) -> String {
        // Serialising numbers, strings and tables with string keys cannot fail.
        toml::to_string(self).unwrap_or_default()
    }

    /// The identity of the recipe: the first 12 hexadecimal digits of the SHA-256 of [`to_toml`](Self::to_toml).
    ///
    /// `sha256sum recipe.toml` in a trial's directory gives the same.
    pub fn hash(&self) -> String {
        hash_of(&self.to_toml())
    }
}

/// The hash of the recipe that was written as `toml`.
pub(crate) fn hash_of(toml: &str) -> String {
    short(&Sha256::digest(toml))
}

/// An error of the value at `key`, at the nearest place that was written: the key, its table, or the start of the file.
fn fault(node: &Node, key: &str, message: String, cure: String) -> ConfigError {
    let table = key.split('.').next().unwrap_or(key);
    let error = match node.get(key) {
        Some(value) => ConfigError::at(&value.place, message, "here"),
        None => {
            let place = node.get(table).map_or(&node.place, |table| &table.key);
            ConfigError::at(place, message, format!("{key} was left at its default"))
        }
    };
    error.help(cure)
}
