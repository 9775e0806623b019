use std::{fmt, ops::RangeInclusive, sync::Arc};

use burn::{
    optim::{DynOptimizer, DynState},
    tensor::Tensor,
};
use glob::Pattern;

use crate::Algorithm;

/// Parameters that are updated alike.
#[derive(Clone, Debug)]
pub struct ParameterGroup {
    /// A pattern of their paths, such as `*embedding*` or `blocks.*.bias`; `*` stands for any text, `?` for one character.
    pub parameters: Pattern,
    /// How many dimensions they have.
    pub ranks: RangeInclusive<usize>,
    /// What the learning rate is multiplied by.
    pub lr_scale: f64,
    /// What updates them.
    pub update: Update,
}

/// What updates the parameters of a group.
#[derive(Clone)]
pub enum Update {
    /// An algorithm of the catalogue.
    Algorithm(Algorithm),
    /// Any optimizer of Burn's.
    Burn(Arc<dyn DynOptimizer>),
}

impl ParameterGroup {
    /// Every parameter, at the learning rate as it is.
    pub fn all(update: Update) -> Self {
        Self {
            parameters: everything(),
            ranks: 0..=usize::MAX,
            lr_scale: 1.0,
            update,
        }
    }

    /// Whether a parameter belongs to the group.
    pub fn holds(&self, path: &str, rank: usize) -> bool {
        self.ranks.contains(&rank) && self.parameters.matches(path)
    }
}

/// The pattern of every path.
pub(crate) fn everything() -> Pattern {
    Pattern::new("*").expect("a star is a pattern")
}

impl Update {
    /// An optimizer that implements Burn's trait.
    pub fn burn(optimizer: impl DynOptimizer + 'static) -> Self {
        Self::Burn(Arc::new(optimizer))
    }

    pub(crate) fn for_rank(&self, rank: usize) -> Arc<dyn DynOptimizer> {
        match self {
            Self::Algorithm(algorithm) => algorithm.for_rank(rank),
            Self::Burn(optimizer) => optimizer.clone(),
        }
    }

    pub(crate) fn averaged<const D: usize>(&self, theta: Tensor<D>, state: &DynState) -> Tensor<D> {
        match self {
            Self::Algorithm(algorithm) => algorithm.averaged(theta, state),
            Self::Burn(_) => theta,
        }
    }
}

impl From<Algorithm> for Update {
    fn from(algorithm: Algorithm) -> Self {
        Self::Algorithm(algorithm)
    }
}

impl fmt::Debug for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Algorithm(algorithm) => algorithm.fmt(f),
            Self::Burn(_) => f.write_str("Burn"),
        }
    }
}
