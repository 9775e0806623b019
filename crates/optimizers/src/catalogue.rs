use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Adam, AdamW, At, Momentum, Rule, Sgd, apply::apply};

/// Writes the catalogue's enum and what dispatches over it, from one line an algorithm.
macro_rules! catalogue {
    ($($(#[doc = $doc:literal])* $name:literal => $Algorithm:ident,)*) => {
        /// Every optimizer that a recipe can name; `name` in TOML.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "name")]
        pub enum Algorithm {
            $($(#[doc = $doc])* #[serde(rename = $name)] $Algorithm($Algorithm),)*
        }

        impl Algorithm {
            /// The names of the catalogue, as recipes write them.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// What a checkpoint calls each tensor of state that a parameter has.
            pub fn state_names(&self) -> &'static [&'static str] {
                match self {
                    $(Self::$Algorithm(_) => &<$Algorithm as Rule<_>>::STATE,)*
                }
            }

            /// The same algorithm with no weight decay.
            pub fn without_weight_decay(self) -> Self {
                match self {
                    $(Self::$Algorithm(rule) => Self::$Algorithm(rule.without_weight_decay()),)*
                }
            }

            /// One update of a flat parameter; an empty state is a state of zeros.
            pub(crate) fn step(
                &self,
                at: At,
                theta: Tensor<1>,
                g: Tensor<1>,
                state: Vec<Tensor<1>>,
            ) -> (Tensor<1>, Vec<Tensor<1>>) {
                match self {
                    $(Self::$Algorithm(rule) => apply(rule, at, theta, g, state),)*
                }
            }
        }
    };
}

catalogue! {
    /// Stochastic gradient descent.
    "sgd" => Sgd,
    /// Gradient descent with momentum.
    "momentum" => Momentum,
    /// Adam, its weight decay part of the gradient.
    "adam" => Adam,
    /// Adam with decoupled weight decay.
    "adamw" => AdamW,
}

impl Default for Algorithm {
    fn default() -> Self {
        Self::AdamW(AdamW::default())
    }
}
