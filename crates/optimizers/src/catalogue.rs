use std::sync::Arc;

use burn::{
    optim::{DynOptimizer, DynState},
    tensor::Tensor,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    algorithms::*,
    elementwise::{Elementwise, averaged},
    whole::Whole,
};

/// Writes the catalogue's enum and what dispatches over it, from one line an algorithm.
macro_rules! catalogue {
    (
        elementwise { $($(#[doc = $rule_doc:literal])* $rule:literal => $Rule:ident,)* }
        whole { $($(#[doc = $whole_doc:literal])* $whole:literal => $Whole:ident,)* }
    ) => {
        /// Every optimizer that a recipe can name; `name` in TOML.
        ///
        /// ```
        /// use optimizers::Algorithm;
        ///
        /// let lion: Algorithm = serde_json::from_str(r#"{ "name": "lion", "beta2": 0.98 }"#)?;
        /// assert_eq!(lion.name(), "lion");
        /// # Ok::<(), serde_json::Error>(())
        /// ```
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "name")]
        pub enum Algorithm {
            $($(#[doc = $rule_doc])* #[serde(rename = $rule)] $Rule($Rule),)*
            $($(#[doc = $whole_doc])* #[serde(rename = $whole)] $Whole($Whole),)*
        }

        impl Algorithm {
            /// The names of the catalogue, as recipes write them, and what they are in a line.
            pub const CATALOGUE: &'static [(&'static str, &'static str)] = &[
                $(($rule, concat!($($rule_doc),*)),)*
                $(($whole, concat!($($whole_doc),*)),)*
            ];

            /// Every algorithm with its defaults, in the order of the catalogue.
            pub fn all() -> Vec<Self> {
                vec![$(Self::$Rule($Rule::default()),)* $(Self::$Whole($Whole::default()),)*]
            }

            /// The name, as recipes write it.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$Rule(_) => $rule,)*
                    $(Self::$Whole(_) => $whole,)*
                }
            }

            /// The same algorithm with another weight decay.
            pub fn with_weight_decay(mut self, weight_decay: f64) -> Self {
                match &mut self {
                    $(Self::$Rule(rule) => rule.weight_decay = weight_decay,)*
                    $(Self::$Whole(method) => method.weight_decay = weight_decay,)*
                }
                self
            }

            /// What updates a parameter of `rank` dimensions, as an optimizer of Burn's.
            pub fn for_rank(&self, rank: usize) -> Arc<dyn DynOptimizer> {
                match self {
                    $(Self::$Rule(rule) => Arc::new(Elementwise::new(rule.clone())),)*
                    $(Self::$Whole(method) => method.for_rank(rank),)*
                }
            }

            /// The parameter that the method promises to be good: see [`Rule::averaged`](crate::Rule::averaged).
            pub(crate) fn averaged<const D: usize>(&self, theta: Tensor<D>, state: &DynState) -> Tensor<D> {
                match self {
                    $(Self::$Rule(rule) => averaged(rule, theta, state),)*
                    $(Self::$Whole(_) => theta,)*
                }
            }
        }
    };
}

catalogue! {
    elementwise {
        /// Stochastic gradient descent.
        "sgd" => Sgd,
        /// Gradient descent with momentum, Polyak's or Nesterov's.
        "momentum" => Momentum,
        /// Adam, its weight decay part of the gradient.
        "adam" => Adam,
        /// Adam whose second moment never falls.
        "amsgrad" => AmsGrad,
        /// Adam with decoupled weight decay, cautious or not.
        "adamw" => AdamW,
        /// Adam with Nesterov's look-ahead.
        "nadam" => NAdam,
        /// Adam, rectified while its second moment is uncertain.
        "radam" => RAdam,
        /// Steps divided by the root of the sum of squared gradients.
        "adagrad" => AdaGrad,
        /// Steps divided by the root mean square of the gradients.
        "rmsprop" => RmsProp,
        /// The sign of an interpolated momentum.
        "lion" => Lion,
        /// The sign of the momentum.
        "signum" => Signum,
        /// Adaptive Nesterov momentum.
        "adan" => Adan,
        /// Adam that converges with any beta2.
        "adopt" => Adopt,
        /// AdamW with a second, slow momentum.
        "ademamix" => AdEmaMix,
        /// AdamW that averages its iterates in place of a schedule.
        "schedule-free-adamw" => ScheduleFreeAdamW,
    }
    whole {
        /// A second moment in rows and columns, steps relative to the parameter.
        "adafactor" => Adafactor,
        /// AdamW with steps as long as the parameter.
        "lamb" => Lamb,
        /// Orthogonal momentum for matrices, AdamW for the rest.
        "muon" => Muon,
        /// Adam in the eigenbasis of Shampoo's preconditioner.
        "soap" => Soap,
        /// AdamW on gradients of reduced variance.
        "mars" => Mars,
    }
}

impl Default for Algorithm {
    fn default() -> Self {
        Self::AdamW(AdamW::default())
    }
}
