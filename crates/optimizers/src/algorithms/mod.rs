//! One file an algorithm, its update as the paper prints it.

mod adafactor;
mod adagrad;
mod adam;
mod adamw;
mod adan;
mod ademamix;
mod adopt;
mod amsgrad;
mod lamb;
mod lion;
mod mars;
mod momentum;
mod muon;
mod nadam;
mod radam;
mod rmsprop;
mod schedule_free;
mod sgd;
mod signum;
mod soap;

pub use adafactor::Adafactor;
pub use adagrad::AdaGrad;
pub use adam::Adam;
pub use adamw::AdamW;
pub use adan::Adan;
pub use ademamix::AdEmaMix;
pub use adopt::Adopt;
pub use amsgrad::AmsGrad;
pub use lamb::Lamb;
pub use lion::Lion;
pub use mars::Mars;
pub use momentum::Momentum;
pub use muon::{AdjustLr, Muon};
pub use nadam::NAdam;
pub use radam::RAdam;
pub use rmsprop::RmsProp;
pub use schedule_free::ScheduleFreeAdamW;
pub use sgd::Sgd;
pub use signum::Signum;
pub use soap::Soap;

use crate::Real;

/// `beta mean + (1 - beta) value`, the exponential average.
#[inline(always)]
fn average<R: Real>(beta: f64, mean: R, value: R) -> R {
    mean.scale(beta) + value.scale(1.0 - beta)
}

/// The parameter and the gradient after weight decay: of the one where it is decoupled, added to the other where not.
#[inline(always)]
fn decayed<R: Real>(theta: R, g: R, weight_decay: f64, decoupled: bool, lr: f64) -> (R, R) {
    if decoupled {
        (theta.scale(1.0 - lr * weight_decay), g)
    } else {
        let g = g + theta.clone().scale(weight_decay);
        (theta, g)
    }
}
