use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `[loss]` table of a recipe.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LossConfig {
    /// What training minimises, averaged over tokens: `cross-entropy`.
    pub name: LossName,
}

/// The losses that a recipe can name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LossName {
    /// `-log softmax(logits)[target]`.
    #[default]
    CrossEntropy,
}
