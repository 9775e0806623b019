//! The laws that optimizers obey, to be checked on any optimizer that implements Burn's
//! [`Optimizer`](burn::optim::Optimizer) trait (feature `laws`).
//!
//! A law takes a proptest strategy of optimizers ([`Just`](proptest::strategy::Just) for a single one), and tries it on
//! parameters of many shapes and gradients of many sizes, with zeros, denormals and both signs among them, over 1 to 50
//! steps in f64. A law that is broken gives the smallest [`CounterExample`] that was found. The cases are the same in every
//! run; `PROPTEST_CASES` tries more of them.
//!
//! ```
//! use optimizers::{Adam, Elementwise, Sgd, laws};
//! use proptest::strategy::Just;
//!
//! let sgd = Elementwise::new(Sgd::default());
//! laws::linear_in_the_gradient(Just(sgd))?;
//!
//! // Adam's step is as long however small the gradient is.
//! let adam = Elementwise::new(Adam::default());
//! assert!(laws::linear_in_the_gradient(Just(adam)).is_err());
//! # Ok::<(), laws::CounterExample>(())
//! ```
//!
//! | law | holds for |
//! |---|---|
//! | [`zero_gradient_is_a_fixed_point`] | every optimizer without weight decay, from an empty state |
//! | [`no_learning_rate_no_move`] | every optimizer |
//! | [`sign_symmetry`] | every optimizer: the loss has no preferred direction |
//! | [`permutation_equivariance`] | element-wise methods: no element knows of another |
//! | [`splitting_changes_nothing`] | element-wise methods |
//! | [`orthogonal_equivariance`] | methods that know no basis: gradient descent, momentum, Muon |
//! | [`scale_invariance_in_the_gradient`] | methods that divide by a moment of the gradient or take its sign, as eps goes to 0 |
//! | [`linear_in_the_gradient`] | gradient descent and momentum |
//! | [`bounded_update`] | methods whose paper bounds the step: Adam, Lion, Signum |
//! | [`first_step_is_the_sign`] | methods with exact bias correction, and sign methods, as eps goes to 0 |
//! | [`bias_correction_is_exact`] | the same, at every step with a constant gradient |
//! | [`decay_ignores_the_gradient`] | decoupled weight decay |
//! | [`decay_shrinks_geometrically`] | decoupled weight decay, and gradient descent's L2 |
//! | [`state_survives_saving`] | every optimizer |
//! | [`finite_stays_finite`] | every optimizer |
//! | [`agrees_with`] | every optimizer, with a reference of its own |
//! | [`converges_on_quadratics`] | every optimizer, with a learning rate of its own |
//! | [`improves_rosenbrock`] | every optimizer, with a learning rate of its own |

mod case;
mod convergence;
mod decay;
mod invariance;
mod scale;
mod state;

pub use case::{Case, CounterExample, Verdict};
pub use convergence::{converges_on_quadratics, improves_rosenbrock};
pub use decay::{decay_ignores_the_gradient, decay_shrinks_geometrically};
pub use invariance::{
    no_learning_rate_no_move, orthogonal_equivariance, permutation_equivariance, sign_symmetry,
    splitting_changes_nothing, zero_gradient_is_a_fixed_point,
};
pub use scale::{
    bias_correction_is_exact, bounded_update, first_step_is_the_sign, linear_in_the_gradient,
    scale_invariance_in_the_gradient,
};
pub use state::{agrees_with, deviation, finite_stays_finite, state_survives_saving};
