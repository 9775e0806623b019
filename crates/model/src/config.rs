use kernels::Activation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `[model]` table of a recipe: the shape of a GPT-2 decoder, and what sets it apart from GPT-2's.
///
/// In TOML a `preset` gives the shape, and any key beside it says otherwise; written out, the shape stands alone. One
/// `dropout` goes for all places but those that have a key of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "ModelKeys", into = "ModelKeys")]
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
    /// Whether a block adds its branches to their input, or returns them alone.
    pub residual: bool,
    /// Where layer normalisation stands.
    pub norm: Norm,
    /// Of the perceptrons.
    pub activation: Activation,
    /// Whether the head's weight is the token embedding, or a parameter of its own.
    pub tied: bool,
    /// Dropout probabilities.
    pub dropout: DropoutRates,
}

/// Where the layer normalisation of a block stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// On the way into each branch, `x + f(norm(x))`, and once more before the head: GPT-2's.
    #[default]
    Pre,
    /// Behind each sum, `norm(x + f(x))` (Vaswani et al. 2017, arXiv 1706.03762). What reaches the head is normalised
    /// already, so that there is no other before it (Xiong et al. 2020, arXiv 2002.04745).
    Post,
    /// Nowhere, and before the head neither.
    None,
}

impl Norm {
    /// Every placement.
    pub const ALL: [Self; 3] = [Self::Pre, Self::Post, Self::None];
}

/// Dropout probabilities by place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropoutRates {
    /// Of the sum of token and position embeddings.
    pub embedding: f64,
    /// Of the attention weights.
    pub attention: f64,
    /// Of each branch of a block, before it joins the residual stream.
    pub residual: f64,
}

impl DropoutRates {
    /// The same everywhere.
    pub const fn all(probability: f64) -> Self {
        Self {
            embedding: probability,
            attention: probability,
            residual: probability,
        }
    }

    /// What two places or three have in common.
    fn common(self) -> Option<f64> {
        let Self {
            embedding,
            attention,
            residual,
        } = self;
        if embedding == attention || embedding == residual {
            Some(embedding)
        } else {
            (attention == residual).then_some(attention)
        }
    }
}

/// What `[model]` may say; a key that is left out is the preset's.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct ModelKeys {
    /// The shape to start from.
    #[serde(skip_serializing)]
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
    /// Whether a block adds its branches to their input, or returns them alone; true if left out.
    residual: Option<bool>,
    /// Where layer normalisation stands: `pre`, on the way into each branch and before the head, which is GPT-2's;
    /// `post`, behind each residual sum; `none`.
    norm: Option<Norm>,
    /// The perceptrons' activation; `gelu-tanh`, which is GPT-2's, if left out.
    activation: Option<Activation>,
    /// Whether the head's weight is the token embedding, or a parameter of its own; true if left out.
    tied: Option<bool>,
    /// Dropout probability after the embedding, in the attention weights and after each branch of a block; 0.1 if left
    /// out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    dropout: Option<f64>,
    /// Dropout probability after the embedding, if not that of `dropout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    embedding_dropout: Option<f64>,
    /// Dropout probability in the attention weights, if not that of `dropout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    attention_dropout: Option<f64>,
    /// Dropout probability after each branch of a block, if not that of `dropout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    residual_dropout: Option<f64>,
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

    /// The shape; all else is GPT-2's, and dropout 0.1.
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
            residual: true,
            norm: Norm::Pre,
            activation: Activation::GeluTanh,
            tied: true,
            dropout: DropoutRates::all(0.1),
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
        let dropout = keys.dropout.map_or(preset.dropout, DropoutRates::all);
        Self {
            layers: keys.layers.unwrap_or(preset.layers),
            heads: keys.heads.unwrap_or(preset.heads),
            width: keys.width.unwrap_or(preset.width),
            context: keys.context.unwrap_or(preset.context),
            bias: keys.bias.unwrap_or(preset.bias),
            residual: keys.residual.unwrap_or(preset.residual),
            norm: keys.norm.unwrap_or(preset.norm),
            activation: keys.activation.unwrap_or(preset.activation),
            tied: keys.tied.unwrap_or(preset.tied),
            dropout: DropoutRates {
                embedding: keys.embedding_dropout.unwrap_or(dropout.embedding),
                attention: keys.attention_dropout.unwrap_or(dropout.attention),
                residual: keys.residual_dropout.unwrap_or(dropout.residual),
            },
        }
    }
}

impl From<ModelConfig> for ModelKeys {
    /// One spelling for each model: `dropout` is what most places have, and the others have a key.
    fn from(config: ModelConfig) -> Self {
        let dropout = config.dropout.common();
        let unless_common = |probability: f64| (Some(probability) != dropout).then_some(probability);
        Self {
            preset: Preset::default(),
            layers: Some(config.layers),
            heads: Some(config.heads),
            width: Some(config.width),
            context: Some(config.context),
            bias: Some(config.bias),
            residual: Some(config.residual),
            norm: Some(config.norm),
            activation: Some(config.activation),
            tied: Some(config.tied),
            dropout,
            embedding_dropout: unless_common(config.dropout.embedding),
            attention_dropout: unless_common(config.dropout.attention),
            residual_dropout: unless_common(config.dropout.residual),
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
    #[error("{key} = {probability} must be at least 0 and below 1")]
    Dropout {
        /// The key.
        key: &'static str,
        /// Its value.
        probability: f64,
    },
}

impl ModelError {
    /// The key of the `[model]` table at fault.
    pub fn key(&self) -> &'static str {
        match self {
            Self::HeadsDoNotDivideWidth { .. } => "heads",
            Self::Zero { key } | Self::Dropout { key, .. } => key,
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
            Self::Dropout { .. } => "0.0 drops nothing, 0.1 is GPT-2's".to_owned(),
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
        let rates = [
            ("embedding_dropout", dropout.embedding),
            ("attention_dropout", dropout.attention),
            ("residual_dropout", dropout.residual),
        ];
        match rates.into_iter().find(|(_, rate)| !(0.0..1.0).contains(rate)) {
            Some((key, probability)) => Err(ModelError::Dropout { key, probability }),
            None => Ok(()),
        }
    }

    /// Floating-point operations of a token's forward and backward pass: `6 N + 12 layers width context`, where N does not
    /// count embeddings but one that is the head, as nanoGPT and PaLM (arXiv 2204.02311, appendix B) count them.
    ///
    /// Attention counts as if it were not causal; nothing is counted for anything but matrix products.
    pub fn flops_per_token(&self, vocabulary: usize) -> f64 {
        let head = if self.tied { 0 } else { vocabulary * self.width };
        let parameters = self.parameters(vocabulary) - self.context * self.width - head;
        (6 * parameters + 12 * self.layers * self.width * self.context) as f64
    }

    /// The number of parameters with a vocabulary of `vocabulary` tokens; the tied head counts once.
    pub fn parameters(&self, vocabulary: usize) -> usize {
        let Self {
            layers,
            width,
            context,
            bias,
            norm,
            tied,
            ..
        } = *self;
        let bias = usize::from(bias);
        let head = if tied { 0 } else { vocabulary * width };
        let (block_norms, final_norms) = match norm {
            Norm::Pre => (2, 1),
            Norm::Post => (2, 0),
            Norm::None => (0, 0),
        };
        let norm = width + bias * width;
        let linear = |inputs: usize, outputs: usize| inputs * outputs + bias * outputs;
        let attention = linear(width, 3 * width) + linear(width, width);
        let mlp = linear(width, 4 * width) + linear(4 * width, width);
        let block = block_norms * norm + attention + mlp;
        (vocabulary + context) * width + layers * block + final_norms * norm + head
    }
}
