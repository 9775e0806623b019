use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `[model]` table of a recipe: the shape of a GPT-2 decoder.
///
/// In TOML a `preset` gives the shape, and any key beside it says otherwise; written out, the shape stands alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "ModelKeys")]
pub struct ModelConfig {
    /// Blocks, one behind the other.
    pub layers: usize,
    /// Attention heads of a block; they divide the width.
    pub heads: usize,
    /// Channels of the residual stream.
    pub width: usize,
    /// The longest sequence, in tokens, and the length of every training sequence.
    pub context: usize,
    /// Whether linear layers and layer normalisation have biases.
    pub bias: bool,
    /// Dropout probability after the embedding, in the attention weights and after each branch of a block.
    pub dropout: f64,
}

/// What `[model]` may say; a key that is left out is the preset's.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct ModelKeys {
    /// The shape to start from.
    preset: Preset,
    /// Blocks, one behind the other; the preset's if left out.
    #[schemars(range(min = 1))]
    layers: Option<usize>,
    /// Attention heads of a block, a divisor of the width; the preset's if left out.
    #[schemars(range(min = 1))]
    heads: Option<usize>,
    /// Channels of the residual stream; the preset's if left out.
    #[schemars(range(min = 1))]
    width: Option<usize>,
    /// The longest sequence, in tokens, and the length of every training sequence; the preset's if left out.
    #[schemars(range(min = 1))]
    context: Option<usize>,
    /// Whether linear layers and layer normalisation have biases; true if left out.
    bias: Option<bool>,
    /// Dropout probability after the embedding, in the attention weights and after each branch of a block; 0.1 if left
    /// out.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    dropout: Option<f64>,
}

/// Named shapes: the four of GPT-2, and small ones for experiments on a CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// 12 layers, 12 heads, width 768, context 1024.
    #[default]
    #[serde(rename = "gpt2-124m")]
    Gpt2_124m,
    /// 24 layers, 16 heads, width 1024, context 1024.
    #[serde(rename = "gpt2-350m")]
    Gpt2_350m,
    /// 36 layers, 20 heads, width 1280, context 1024.
    #[serde(rename = "gpt2-774m")]
    Gpt2_774m,
    /// 48 layers, 25 heads, width 1600, context 1024.
    #[serde(rename = "gpt2-1.5b")]
    Gpt2_1_5b,
    /// nanoGPT's shape for a CPU: 4 layers, 4 heads, width 128, context 64.
    NanogptCpu,
    /// The quickstart's: 2 layers, 2 heads, width 64, context 64.
    Tiny,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 6] = [
        Self::Gpt2_124m,
        Self::Gpt2_350m,
        Self::Gpt2_774m,
        Self::Gpt2_1_5b,
        Self::NanogptCpu,
        Self::Tiny,
    ];

    /// The shape, with biases and a dropout of 0.1.
    pub fn config(self) -> ModelConfig {
        let (layers, heads, width, context) = match self {
            Self::Gpt2_124m => (12, 12, 768, 1024),
            Self::Gpt2_350m => (24, 16, 1024, 1024),
            Self::Gpt2_774m => (36, 20, 1280, 1024),
            Self::Gpt2_1_5b => (48, 25, 1600, 1024),
            Self::NanogptCpu => (4, 4, 128, 64),
            Self::Tiny => (2, 2, 64, 64),
        };
        ModelConfig {
            layers,
            heads,
            width,
            context,
            bias: true,
            dropout: 0.1,
        }
    }
}

impl Default for ModelConfig {
    /// GPT-2 124M.
    fn default() -> Self {
        Preset::default().config()
    }
}

impl From<ModelKeys> for ModelConfig {
    fn from(keys: ModelKeys) -> Self {
        let preset = keys.preset.config();
        Self {
            layers: keys.layers.unwrap_or(preset.layers),
            heads: keys.heads.unwrap_or(preset.heads),
            width: keys.width.unwrap_or(preset.width),
            context: keys.context.unwrap_or(preset.context),
            bias: keys.bias.unwrap_or(preset.bias),
            dropout: keys.dropout.unwrap_or(preset.dropout),
        }
    }
}

/// Why a [`ModelConfig`] is no model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// The heads do not divide the width.
    #[error("a width of {width} does not divide into {heads} heads")]
    HeadsDoNotDivideWidth {
        /// Channels.
        width: usize,
        /// Heads.
        heads: usize,
    },
    /// A size that must not be zero is.
    #[error("{key} must be at least 1")]
    Zero {
        /// The key.
        key: &'static str,
    },
    /// A dropout that drops everything, or no probability.
    #[error("dropout = {0} must be at least 0 and below 1")]
    Dropout(f64),
}

impl ModelError {
    /// The key of the `[model]` table at fault.
    pub fn key(&self) -> &'static str {
        match self {
            Self::HeadsDoNotDivideWidth { .. } => "heads",
            Self::Zero { key } => key,
            Self::Dropout(_) => "dropout",
        }
    }

    /// What would make the model valid.
    pub fn cure(&self) -> String {
        match self {
            Self::HeadsDoNotDivideWidth { width, heads } => {
                let fits = |heads: &usize| width % heads == 0;
                let below = (1..*heads).rev().find(fits);
                let above = (*heads..=*width).find(fits);
                let near: Vec<String> = below.into_iter().chain(above).map(|h| h.to_string()).collect();
                format!(
                    "the nearest numbers of heads that divide {width}: {}",
                    near.join(" and ")
                )
            }
            Self::Zero { key } => format!("raise model.{key}"),
            Self::Dropout(_) => "0.0 drops nothing, 0.1 is GPT-2's".to_owned(),
        }
    }
}

impl ModelConfig {
    /// Whether a model can be made of this shape.
    ///
    /// # Errors
    /// The first key at fault.
    pub fn validate(&self) -> Result<(), ModelError> {
        let Self {
            layers,
            heads,
            width,
            context,
            dropout,
            ..
        } = *self;
        let sizes = [
            ("layers", layers),
            ("heads", heads),
            ("width", width),
            ("context", context),
        ];
        if let Some((key, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(ModelError::Zero { key });
        }
        if width % heads != 0 {
            return Err(ModelError::HeadsDoNotDivideWidth { width, heads });
        }
        if !(0.0..1.0).contains(&dropout) {
            return Err(ModelError::Dropout(dropout));
        }
        Ok(())
    }

    /// Floating-point operations of a token's forward and backward pass: `6 N + 12 layers width context`, where N does not
    /// count the position embedding, as nanoGPT and PaLM (arXiv 2204.02311, appendix B) count them.
    ///
    /// Attention counts as if it were not causal; nothing is counted for anything but matrix products.
    pub fn flops_per_token(&self, vocabulary: usize) -> f64 {
        let parameters = self.parameters(vocabulary) - self.context * self.width;
        (6 * parameters + 12 * self.layers * self.width * self.context) as f64
    }

    /// The number of parameters with a vocabulary of `vocabulary` tokens; the tied head counts once.
    pub fn parameters(&self, vocabulary: usize) -> usize {
        let Self {
            layers,
            width,
            context,
            bias,
            ..
        } = *self;
        let bias = usize::from(bias);
        let norm = width + bias * width;
        let linear = |inputs: usize, outputs: usize| inputs * outputs + bias * outputs;
        let attention = linear(width, 3 * width) + linear(width, width);
        let mlp = linear(width, 4 * width) + linear(4 * width, width);
        (vocabulary + context) * width + layers * (2 * norm + attention + mlp) + norm
    }
}
