use kernels::Dropout;

use crate::{DropoutRates, Mode};

/// Dropout by place, with what the masks are drawn with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropouts {
    rates: DropoutRates,
    /// Its probability is none of the places'.
    key: Dropout,
}

impl Dropouts {
    /// Drops nothing.
    pub const NONE: Self = Self {
        rates: DropoutRates::all(0.0),
        key: Dropout::NONE,
    };

    pub(crate) fn new(rates: DropoutRates, mode: Mode) -> Self {
        match mode {
            Mode::Training { dropout_key: key } => Self {
                rates,
                key: Dropout { key, ..Dropout::NONE },
            },
            Mode::Evaluation => Self::NONE,
        }
    }

    /// The same probabilities with other masks.
    pub(crate) fn at(self, place: u64) -> Self {
        Self {
            key: self.key.at(place),
            ..self
        }
    }

    pub(crate) fn embedding(self) -> Dropout {
        self.of(self.rates.embedding)
    }

    pub(crate) fn attention(self) -> Dropout {
        self.of(self.rates.attention)
    }

    pub(crate) fn residual(self) -> Dropout {
        self.of(self.rates.residual)
    }

    fn of(self, probability: f64) -> Dropout {
        Dropout {
            probability,
            ..self.key
        }
    }
}
