use crate::Real;

/// When and how fast an update happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct At {
    /// The number of this update of the parameter, counted from 1 as the papers do.
    pub t: u64,
    /// The learning rate.
    pub lr: f64,
}

/// An element-wise optimizer with `K` numbers of state a parameter, as its scalar update rule.
///
/// ```
/// use optimizers::{At, Rule, Sgd};
///
/// let (theta, []) = Sgd::default().update(At { t: 1, lr: 0.1 }, 1.0f64, 2.0, []);
/// assert_eq!(theta, 0.8);
/// ```
pub trait Rule<const K: usize> {
    /// The names of the numbers of state, as checkpoints call them.
    const STATE: [&'static str; K];

    /// The parameter and the state after one update of `theta` with gradient `g`; the state begins as zeros.
    fn update<R: Real>(&self, at: At, theta: R, g: R, state: [R; K]) -> (R, [R; K]);

    /// The same rule with no weight decay.
    fn without_weight_decay(self) -> Self;
}
