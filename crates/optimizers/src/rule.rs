use std::fmt::Debug;

use crate::{AdamW, Real};

/// When and how fast an update happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct At {
    /// The number of this update of the parameter, counted from 1 as the papers do.
    pub t: u64,
    /// The learning rate.
    pub lr: f64,
    /// What the rule sums or multiplies up over the updates, this one included: see [`Rule::running`].
    pub running: f64,
}

impl At {
    /// The update number `t`, with nothing summed up.
    pub fn new(t: u64, lr: f64) -> Self {
        Self { t, lr, running: 0.0 }
    }

    /// `1 - beta^t`, what bias correction divides by.
    #[inline(always)]
    pub(crate) fn correction(self, beta: f64) -> f64 {
        1.0 - power(beta, self.t)
    }
}

/// `beta^t`.
#[inline(always)]
pub(crate) fn power(beta: f64, t: u64) -> f64 {
    beta.powi(t.min(i32::MAX as u64) as i32) // 0 long before that
}

/// An element-wise optimizer with `K` numbers of state a parameter, as its scalar update rule.
///
/// [`Elementwise`](crate::Elementwise) makes an optimizer of a rule.
///
/// ```
/// use optimizers::{At, Rule, Sgd};
///
/// let (theta, []) = Sgd::default().update(At::new(1, 0.1), 1.0f64, 2.0, []);
/// assert_eq!(theta, 0.8);
/// ```
pub trait Rule<const K: usize>: Clone + Debug + Send + Sync + 'static {
    /// The names of the numbers of state, as checkpoints call them.
    const STATE: [&'static str; K];

    /// Whether the updates carry a number on: see [`running`](Self::running).
    const RUNNING: bool = false;

    /// The parameter and the state after one update of `theta` with gradient `g`; the state begins as zeros.
    fn update<R: Real>(&self, at: At, theta: R, g: R, state: [R; K]) -> (R, [R; K]);

    /// A number that is the same for every element and that each update carries on, such as a sum of weights: its new
    /// value, from the one that the last update left in `at.running` (0 before the first).
    fn running(&self, at: At) -> f64 {
        at.running
    }

    /// The rule as AdamW, where it is that: LibTorch has a kernel of its own for it.
    fn as_adamw(&self) -> Option<AdamW> {
        None
    }

    /// The parameter that the method promises to be good, where that is not the one at which it takes gradients.
    fn averaged<R: Real>(&self, theta: R, _state: [R; K]) -> R {
        theta
    }
}
