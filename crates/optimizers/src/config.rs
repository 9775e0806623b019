use std::ops::RangeInclusive;

use glob::Pattern;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Algorithm, Clip, ClipBy, Optimizer, ParameterGroup, group::everything};

/// The `[optimizer]` table of a recipe. The learning rate is the schedule's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OptimizerConfig {
    /// The limit of the clipping; 0 never clips.
    #[schemars(range(min = 0.0))]
    pub clip: f64,
    /// What is clipped: the `global-norm` of all gradients, each `value`, or each unit relative to its weights
    /// (`adaptive`).
    pub clip_by: ClipBy,
    /// What weight decay applies to: `matrices` (tensors of two or more dimensions, embeddings among them) or `all`.
    pub weight_decay_on: WeightDecayOn,
    /// The algorithm, chosen by `name`.
    #[serde(flatten)]
    pub algorithm: Algorithm,
    /// Parameters that are updated otherwise; a parameter belongs to the first group that it matches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupConfig>,
}

/// The parameters that weight decay applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WeightDecayOn {
    /// Tensors of two or more dimensions; not biases, and not the scales of layer normalisation.
    #[default]
    Matrices,
    /// Every parameter.
    All,
}

/// One `[[optimizer.groups]]` of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GroupConfig {
    /// A pattern of the parameters' paths, such as `*embedding*`; `*` stands for any text, `?` for one character.
    pub parameters: String,
    /// How many dimensions the parameters have; any number if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
    /// What the learning rate is multiplied by.
    #[schemars(range(min = 0.0))]
    pub lr_scale: f64,
    /// The weight decay of all these parameters; the algorithm's, where `weight_decay_on` says so, if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub weight_decay: Option<f64>,
    /// Another algorithm for these parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<Algorithm>,
}

/// A group whose pattern is none.
#[derive(Debug, thiserror::Error)]
#[error("`{pattern}` is no pattern of paths: {source}")]
pub struct PatternError {
    /// The text.
    pub pattern: String,
    source: glob::PatternError,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            clip: 1.0,
            clip_by: ClipBy::default(),
            weight_decay_on: WeightDecayOn::default(),
            algorithm: Algorithm::default(),
            groups: Vec::new(),
        }
    }
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            parameters: "*".to_owned(),
            rank: None,
            lr_scale: 1.0,
            weight_decay: None,
            algorithm: None,
        }
    }
}

impl OptimizerConfig {
    /// The optimizer of this configuration, with an empty state.
    ///
    /// # Errors
    /// Where a group's pattern is none.
    pub fn init(&self) -> Result<Optimizer, PatternError> {
        let mut groups = Vec::new();
        for group in &self.groups {
            groups.extend(self.group(group)?);
        }
        groups.extend(self.group(&GroupConfig::default())?);
        Ok(Optimizer::new(groups))
    }

    /// How gradients are clipped.
    pub fn clip(&self) -> Clip {
        Clip {
            by: self.clip_by,
            limit: self.clip,
        }
    }

    /// A group: vectors, which may be spared the decay, before the others.
    fn group(&self, group: &GroupConfig) -> Result<Vec<ParameterGroup>, PatternError> {
        let parameters = if group.parameters == "*" {
            everything()
        } else {
            Pattern::new(&group.parameters).map_err(|source| PatternError {
                pattern: group.parameters.clone(),
                source,
            })?
        };
        let algorithm = group.algorithm.as_ref().unwrap_or(&self.algorithm);
        let part = |ranks: RangeInclusive<usize>, weight_decay: Option<f64>| ParameterGroup {
            parameters: parameters.clone(),
            ranks: group.rank.map_or(ranks, |rank| rank..=rank),
            lr_scale: group.lr_scale,
            update: match weight_decay {
                Some(weight_decay) => algorithm.clone().with_weight_decay(weight_decay).into(),
                None => algorithm.clone().into(),
            },
        };
        let spares = group.weight_decay.is_none() && self.weight_decay_on == WeightDecayOn::Matrices;
        Ok(match group.rank {
            Some(rank) if spares && rank < 2 => vec![part(0..=1, Some(0.0))],
            None if spares => vec![part(0..=1, Some(0.0)), part(2..=usize::MAX, None)],
            _ => vec![part(0..=usize::MAX, group.weight_decay)],
        })
    }
}
