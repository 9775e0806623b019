//! Every law, on every algorithm of the catalogue that must obey it.
use burn::tensor::FloatDType;
use optimizers::{
    AdEmaMix, Adafactor, Adam, AdamW, At, Elementwise, Momentum, RAdam, RmsProp, Rule, ScheduleFreeAdamW,
    Sgd,
    laws::{self, Verdict},
};
use proptest::{prelude::*, strategy::Just, test_runner::RngSeed};

use crate::{
    drawn::{self, *},
    reference,
};

/// A zero that f64 does not see beside any gradient that it divides.
const TINY: f64 = 1e-300;
const EPS: f64 = 1e-8;
const DECAY: f64 = 0.1;

fn hold(verdict: Verdict) {
    if let Err(counter_example) = verdict {
        panic!("{counter_example}");
    }
}

/// A test of a law for each of a list of algorithms, and the list.
macro_rules! laws {
    ($($law:ident($eps:expr, $weight_decay:expr): $($algorithm:ident)*;)*) => {
        mod obey {
            use super::*;
            $(mod $law {
                use super::*;
                $(#[test]
                fn $algorithm() {
                    hold(laws::$law(drawn::$algorithm($eps, $weight_decay)));
                })*
            })*
        }

        /// The laws, and the algorithms that were found to obey them.
        pub const OBEYED: &[(&str, &[&str])] = &[$((stringify!($law), &[$(stringify!($algorithm)),*]),)*];
    };
}

laws! {
    zero_gradient_is_a_fixed_point(EPS, 0.0):
        sgd momentum adam amsgrad adamw nadam radam adagrad rmsprop lion signum adan adopt ademamix
        schedule_free_adamw adafactor lamb muon soap mars;
    no_learning_rate_no_move(EPS, DECAY):
        sgd momentum adam amsgrad adamw cautious_adamw nadam nadamw radam radamw adagrad rmsprop lion signum adan
        adopt ademamix schedule_free_adamw adafactor lamb muon soap mars;
    sign_symmetry(EPS, DECAY):
        sgd momentum adam amsgrad adamw cautious_adamw nadam nadamw radam radamw adagrad rmsprop lion signum adan
        adopt ademamix schedule_free_adamw adafactor lamb muon soap mars;
    permutation_equivariance(EPS, DECAY):
        sgd momentum adam amsgrad adamw cautious_adamw nadam nadamw radam radamw adagrad rmsprop lion signum adan
        adopt ademamix schedule_free_adamw;
    splitting_changes_nothing(EPS, DECAY):
        sgd momentum adam amsgrad adamw cautious_adamw nadam nadamw radam radamw adagrad rmsprop lion signum adan
        adopt ademamix schedule_free_adamw;
    orthogonal_equivariance(1e-7, DECAY): sgd momentum muon;
    scale_invariance_in_the_gradient(TINY, 0.0):
        adam amsgrad adamw nadam adagrad rmsprop lion signum adan adopt ademamix schedule_free_adamw
        lamb muon;
    linear_in_the_gradient(EPS, DECAY): sgd momentum;
    first_step_is_the_sign(TINY, 0.0):
        adam amsgrad adamw adagrad lion signum adan schedule_free_adamw;
    bias_correction_is_exact(TINY, 0.0): adam amsgrad adamw lion signum adan;
    state_survives_saving(EPS, DECAY):
        sgd momentum adam amsgrad adamw cautious_adamw nadam nadamw radam radamw adagrad rmsprop lion signum adan
        adopt ademamix schedule_free_adamw adafactor lamb muon soap mars;
    finite_stays_finite(EPS, DECAY):
        sgd momentum adam amsgrad adamw cautious_adamw nadam nadamw radam radamw adagrad rmsprop lion signum adan
        adopt ademamix schedule_free_adamw adafactor lamb muon soap mars;
}

/// The largest step of Adam in units of lr, by Cauchy and Schwarz: `|m_hat| / sqrt(v_hat)` is at most
/// `sqrt(sum_i a_i^2 / b_i)` with `a` and `b` the weights of the two averages.
fn adam_bound(beta1: f64, beta2: f64, t: u64) -> f64 {
    let weight = |beta: f64, age: u64| (1.0 - beta) * beta.powf(age as f64) / (1.0 - beta.powf(t as f64));
    let terms = (0..t).map(|age| weight(beta1, age).powi(2) / weight(beta2, age));
    terms.sum::<f64>().sqrt()
}

/// The algorithms whose steps are bounded.
pub const BOUNDED: &[&str] = &["adam", "adamw", "amsgrad", "lion", "signum", "adagrad"];

#[test]
fn steps_are_bounded_as_the_papers_say() {
    hold(laws::bounded_update(adam(EPS, 0.0), |o, t| {
        adam_bound(o.rule().beta1, o.rule().beta2, t)
    }));
    hold(laws::bounded_update(adamw(EPS, 0.0), |o, t| {
        adam_bound(o.rule().beta1, o.rule().beta2, t)
    }));
    hold(laws::bounded_update(amsgrad(EPS, 0.0), |o, t| {
        adam_bound(o.rule().beta1, o.rule().beta2, t)
    }));
    hold(laws::bounded_update(lion(EPS, 0.0), |_, _| 1.0));
    hold(laws::bounded_update(signum(EPS, 0.0), |_, _| 1.0));
    hold(laws::bounded_update(adagrad(EPS, 0.0), |_, _| 1.0));
    // The paper's own bound for its default betas, where 1 - beta1 > sqrt(1 - beta2).
    let defaults = Just(Elementwise::new(Adam::default()));
    hold(laws::bounded_update(defaults, |_, _| 0.1 / 0.001f64.sqrt()));
}

/// The algorithm without decay, with it, and the decay.
macro_rules! decays {
    ($($test:ident: $with:expr;)*) => {
        pub const DECAY: &[&str] = &[$(stringify!($test)),*];

        $(#[test]
        fn $test() {
            let (without, with): (_, fn(f64) -> _) = ($with(0.0), $with);
            let pair = (0.01..0.5f64).prop_map(move |decay| (without.clone(), with(decay), decay));
            hold(laws::decay_ignores_the_gradient(pair));
            let alone = (0.01..0.5f64).prop_map(move |decay| (with(decay), decay));
            hold(laws::decay_shrinks_geometrically(alone));
        })*
    };
}

pub mod decoupled_decay {
    use optimizers::*;
    use proptest::prelude::*;

    use super::{hold, laws};

    decays! {
        sgd: |weight_decay| Elementwise::new(Sgd { weight_decay });
        adamw: |weight_decay| Elementwise::new(AdamW { weight_decay, ..AdamW::default() });
        nadamw: |weight_decay| Elementwise::new(NAdam { weight_decay, decoupled_weight_decay: true, ..NAdam::default() });
        radamw: |weight_decay| Elementwise::new(RAdam { weight_decay, decoupled_weight_decay: true, ..RAdam::default() });
        lion: |weight_decay| Elementwise::new(Lion { weight_decay, ..Lion::default() });
        signum: |weight_decay| Elementwise::new(Signum { weight_decay, ..Signum::default() });
        ademamix: |weight_decay| Elementwise::new(AdEmaMix { weight_decay, ..AdEmaMix::default() });
        adafactor: |weight_decay| Adafactor { weight_decay, ..Adafactor::default() };
        muon: |weight_decay| Muon { weight_decay, ..Muon::default() };
        mars: |weight_decay| Mars { weight_decay, ..Mars::default() };
    }
}

#[test]
fn adams_l2_does_depend_on_the_gradient() {
    let pair = (
        Elementwise::new(Adam::default()),
        Elementwise::new(Adam {
            weight_decay: 0.1,
            ..Adam::default()
        }),
        0.1,
    );
    assert!(laws::decay_ignores_the_gradient(Just(pair)).is_err());
}

#[test]
fn a_cautious_decay_never_works_against_the_step() {
    // theta and its step point the same way: both shrink it. Then the gradient turns.
    let rule = AdamW {
        weight_decay: 0.5,
        cautious: true,
        ..AdamW::default()
    };
    let (with, _) = rule.update(At::new(1, 0.1), 1.0f64, 1.0, [0.0; 2]);
    let (against, _) = rule.update(At::new(1, 0.1), 1.0f64, -1.0, [0.0; 2]);
    assert!((with - (1.0 - 0.1 - 0.05)).abs() < 1e-8, "{with}");
    assert!((against - 1.1).abs() < 1e-8, "{against}");
}

/// Laws must be able to fail: each is broken by an optimizer that it does not hold for.
#[test]
fn the_laws_tell_optimizers_apart() {
    let broken = |verdict: Verdict| {
        let counter_example = verdict.unwrap_err().to_string();
        assert!(counter_example.contains("is broken"), "{counter_example}");
    };
    broken(laws::zero_gradient_is_a_fixed_point(adamw(EPS, DECAY)));
    broken(laws::linear_in_the_gradient(adam(EPS, 0.0)));
    broken(laws::scale_invariance_in_the_gradient(sgd(EPS, 0.0)));
    broken(laws::scale_invariance_in_the_gradient(radam(TINY, 0.0)));
    broken(laws::permutation_equivariance(muon(1e-7, 0.0)));
    broken(laws::splitting_changes_nothing(lamb(EPS, DECAY)));
    broken(laws::orthogonal_equivariance(adam(EPS, 0.0)));
    broken(laws::first_step_is_the_sign(rmsprop(TINY, 0.0)));
    broken(laws::bias_correction_is_exact(ademamix(TINY, 0.0)));
    broken(laws::bounded_update(rmsprop(EPS, 0.0), |_, _| 1.0));
    broken(laws::finite_stays_finite(adam(0.0, 0.0)));
    broken(laws::decay_shrinks_geometrically(
        lamb(EPS, DECAY).prop_map(|o| (o, DECAY)),
    ));
    broken(laws::agrees_with(
        adam(EPS, 0.0),
        |_, case| case.gradients.clone(),
        1.0,
    ));
    let nowhere = Elementwise::new(Sgd::default());
    broken(laws::converges_on_quadratics(Just(nowhere.clone()), 1e-6, 10));
    broken(laws::improves_rosenbrock(Just(nowhere), 1.0, 3));
}

/// The path of the reference; 1 / (1 - beta2) is at most 1000, which is what a rounding of the bias correction is
/// multiplied by, in each of up to 50 steps.
macro_rules! references {
    ($($algorithm:ident($eps:expr, $weight_decay:expr),)*) => {
        /// The algorithms that have a reference, and their largest deviations from it in f64 and f32.
        pub fn deviations() -> Vec<(&'static str, f64, f64)> {
            vec![$((
                stringify!($algorithm),
                laws::deviation(drawn::$algorithm($eps, $weight_decay), reference::$algorithm, FloatDType::F64),
                laws::deviation(drawn::$algorithm($eps, $weight_decay), reference::$algorithm, FloatDType::F32),
            ),)*]
        }

        mod agree_with_the_reference {
            use super::*;
            $(#[test]
            fn $algorithm() {
                hold(laws::agrees_with(
                    drawn::$algorithm($eps, $weight_decay),
                    reference::$algorithm,
                    5e4,
                ));
            })*
        }
    };
}

references! {
    sgd(EPS, DECAY),
    momentum(EPS, DECAY),
    adam(EPS, DECAY),
    amsgrad(EPS, DECAY),
    adamw(EPS, DECAY),
    nadam(EPS, DECAY),
    radam(EPS, DECAY),
    adagrad(EPS, DECAY),
    rmsprop(EPS, DECAY),
    lion(EPS, DECAY),
    signum(EPS, DECAY),
    adan(EPS, DECAY),
    adopt(1e-6, DECAY),
    ademamix(EPS, DECAY),
    schedule_free_adamw(EPS, DECAY),
    adafactor(EPS, DECAY),
    lamb(EPS, DECAY),
    muon(1e-7, DECAY),
    mars(EPS, DECAY),
}

#[test]
fn the_variants_agree_with_the_reference_too() {
    hold(laws::agrees_with(
        cautious_adamw(EPS, DECAY),
        reference::adamw,
        5e4,
    ));
    hold(laws::agrees_with(nadamw(EPS, DECAY), reference::nadam, 5e4));
    hold(laws::agrees_with(radamw(EPS, DECAY), reference::radam, 5e4));
    hold(laws::agrees_with(
        adagrad_from_one(EPS, DECAY),
        reference::adagrad,
        5e4,
    ));
}

/// The learning rate of each algorithm on a quadratic whose start lies at a distance of about 1, and 300 steps; and on
/// Rosenbrock's function, whose slope at the start is about 230, and 200 steps.
macro_rules! convergence {
    ($($algorithm:ident: $optimizers:expr, $quadratic:expr, $rosenbrock:expr;)*) => {
        pub const CONVERGE: &[&str] = &[$(stringify!($algorithm)),*];

        mod converge {
            use super::*;
            $(#[test]
            fn $algorithm() {
                hold(laws::converges_on_quadratics($optimizers, $quadratic, 300));
                hold(laws::improves_rosenbrock($optimizers, $rosenbrock, 200));
            })*
        }
    };
}

/// One algorithm with its defaults: the learning rate that fits it follows from its betas.
fn defaults<const K: usize, A: Rule<K> + Default>() -> Just<Elementwise<A, K>> {
    Just(Elementwise::new(A::default()))
}

convergence! {
    // 2 / (lambda_max + lambda_min) at a condition number of 100 shrinks the error by 99/101 a step: a hundredth of the
    // quadratic in 117 steps, and in about twice as many while the learning rate falls.
    sgd: drawn::sgd(EPS, 0.0), 1.98, 1e-3;
    momentum: defaults::<1, Momentum>(), 0.2, 1e-4;
    adam: drawn::adam(EPS, 0.0), 0.1, 0.02;
    amsgrad: drawn::amsgrad(EPS, 0.0), 0.1, 0.02;
    adamw: drawn::adamw(EPS, 0.0), 0.1, 0.02;
    nadam: drawn::nadam(EPS, 0.0), 0.1, 0.02;
    radam: defaults::<2, RAdam>(), 0.2, 1e-3;
    adagrad: drawn::adagrad(EPS, 0.0), 0.5, 0.1;
    rmsprop: defaults::<2, RmsProp>(), 0.05, 0.01;
    lion: drawn::lion(EPS, 0.0), 0.03, 0.01;
    signum: drawn::signum(EPS, 0.0), 0.03, 0.01;
    adan: drawn::adan(EPS, 0.0), 0.1, 0.02;
    adopt: drawn::adopt(EPS, 0.0), 0.1, 0.02;
    ademamix: defaults::<3, AdEmaMix>(), 0.1, 0.02;
    schedule_free_adamw: drawn::schedule_free_adamw(EPS, 0.0), 0.1, 0.02;
    adafactor: Just(Adafactor::default()), 0.3, 0.02;
    lamb: drawn::lamb(EPS, 0.0), 0.05, 0.01;
    muon: drawn::muon(EPS, 0.0), 0.3, 0.02;
    soap: drawn::soap(EPS, 0.0), 0.2, 0.02;
    mars: drawn::mars(EPS, 0.0), 0.1, 0.02;
}

/// The same cases in every run, as the laws have: where numbers cancel to the last bit, the sign that a method takes of
/// them is anybody's, so that one case in many millions is no counter-example.
fn same_cases() -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(0),
        ..ProptestConfig::default()
    }
}

/// The f32 and tensor instances of a rule against the f64 one.
fn instances_agree<const K: usize>(rule: &impl Rule<K>, gradients: &[f64]) -> Result<(), TestCaseError> {
    use burn::tensor::{Device, Tensor};
    use optimizers::Real;

    fn run<const K: usize, R: Real>(
        rule: &impl Rule<K>,
        theta: R,
        zero: impl Fn() -> R,
        gradients: impl Iterator<Item = R>,
    ) -> R {
        let (mut theta, mut state, mut running) = (theta, std::array::from_fn(|_| zero()), 0.0);
        for (t, g) in (1..).zip(gradients) {
            let mut at = At {
                t,
                lr: f64::from(0.01f32),
                running,
            };
            at.running = rule.running(at);
            (theta, state) = rule.update(at, theta, g, state);
            running = at.running;
        }
        theta
    }
    let theta = f64::from(0.3f32);
    let exact = run(rule, theta, || 0.0, gradients.iter().copied());
    let single = run(rule, theta as f32, || 0.0, gradients.iter().map(|&g| g as f32));
    let device = Device::flex();
    let one = |x: f64| Tensor::<1>::from_floats([x as f32], &device);
    let tensor: f32 = run(rule, one(theta), || one(0.0), gradients.iter().map(|&g| one(g))).into_scalar();
    // About a dozen roundings an update, each relative to the largest number that was summed up so far.
    let largest = gradients.iter().fold(1.0f64, |a, g| a.max(g.abs()));
    let path = largest * 0.1 * gradients.len() as f64 + theta.abs();
    let bound = 16.0 * gradients.len() as f64 * f64::from(f32::EPSILON) * path;
    for (name, value) in [("f32", single), ("tensor", tensor)] {
        let error = (f64::from(value) - exact).abs();
        prop_assert!(
            error <= bound,
            "{name}: {value} instead of {exact}: off by {error:e}, bound {bound:e}"
        );
    }
    Ok(())
}

fn gradients() -> impl Strategy<Value = Vec<f64>> {
    let one = (-3.0..1.0f64, any::<bool>()).prop_map(|(exponent, negative)| {
        let g = f64::from(10f64.powf(exponent) as f32);
        if negative { -g } else { g }
    });
    prop::collection::vec(one, 1..50)
}

macro_rules! instances {
    ($($algorithm:ident)*) => {
        proptest! {
            #![proptest_config(same_cases())]
            $(#[test]
            fn $algorithm(optimizer in drawn::$algorithm(EPS, DECAY), gradients in gradients()) {
                instances_agree(optimizer.rule(), &gradients)?;
            })*
        }
    };
}

mod the_instances_agree {
    use super::*;
    instances! {
        sgd momentum adam amsgrad adamw cautious_adamw nadam radam adagrad rmsprop lion signum adan adopt ademamix
        schedule_free_adamw
    }
}

/// The sums of the papers that the laws do not name.
mod closed_forms {
    use super::*;

    proptest! {
        #[test]
        fn momentum_equals_its_closed_form(gradients in gradients(), beta in 0.0..0.99f64) {
            let rule = Momentum { beta, nesterov: false, weight_decay: 0.0 };
            let (mut theta, mut state) = (0.0, [0.0]);
            for (t, &g) in (1..).zip(&gradients) {
                (theta, state) = rule.update(At::new(t, 0.1), theta, g, state);
            }
            // theta_n = -lr sum_i g_i (1 + beta + ... + beta^(n-1-i))
            let n = gradients.len();
            let expected: f64 = gradients
                .iter()
                .enumerate()
                .map(|(i, g)| -0.1 * g * (0..n - i).map(|k| beta.powi(k as i32)).sum::<f64>())
                .sum();
            let scale: f64 = gradients.iter().map(|g| g.abs()).sum::<f64>() * n as f64;
            prop_assert!((theta - expected).abs() <= 8.0 * n as f64 * f64::EPSILON * scale);
        }

        #[test]
        fn schedule_free_promises_the_weighted_mean_of_its_steps(gradients in gradients(), beta1 in 0.1..0.95f64) {
            let rule = ScheduleFreeAdamW { beta1, weight_decay: 0.0, ..ScheduleFreeAdamW::default() };
            let (mut y, mut state, mut running) = (0.5, [0.0; 2], 0.0);
            let (mut sum, mut weights) = (0.0, 0.0);
            for (t, &g) in (1..).zip(&gradients) {
                let mut at = At { t, lr: 0.01, running };
                at.running = rule.running(at);
                running = at.running;
                (y, state) = rule.update(at, y, g, state);
                let weight = 1.0 - rule.beta2.powf(t as f64); // gamma^2 / lr^2
                sum += weight * state[0];
                weights += weight;
                // Each of up to 50 updates rounds y, below 2, some 16 times, which counts 1 / beta1 times.
                let bound = 50.0 * 16.0 * 2.0 * f64::EPSILON / beta1;
                prop_assert!((rule.averaged(y, state) - sum / weights).abs() <= bound);
            }
        }
    }
}

/// SOAP's basis is determined where the first gradient is square and its singular values lie apart.
mod eigenbasis {
    use super::*;
    use optimizers::laws::Case;

    fn square() -> impl Strategy<Value = Case> {
        (1..4usize, 2..10usize).prop_flat_map(|(n, steps)| {
            let numbers = || prop::collection::vec(-2.0..2.0f64, n * n);
            (numbers(), prop::collection::vec(numbers(), steps)).prop_map(move |(theta, gradients)| Case {
                shape: [n, n],
                theta,
                lrs: (0..steps).map(|step| 0.1 / (1 + step) as f64).collect(),
                gradients,
            })
        })
    }

    proptest! {
        #![proptest_config(same_cases())]

        #[test]
        fn soap_follows_its_reference(case in square(), optimizer in drawn::soap(EPS, DECAY)) {
            let (expected, determined) = reference::soap(&optimizer, &case);
            prop_assume!(determined > 1e-3);
            // An eigenvector is off by epsilon over its distance from the next, and each of up to ten steps turns it.
            let bound = 10.0 * 16.0 * f64::EPSILON / determined.powi(2);
            for (expected, actual) in expected.iter().flatten().zip(case.run(&optimizer).iter().flatten()) {
                prop_assert!((expected - actual).abs() <= bound, "{actual} instead of {expected}, bound {bound:e}");
            }
        }

        #[test]
        fn soap_of_one_number_is_adam_a_step_late(gradients in gradients()) {
            prop_assume!(gradients.len() > 1);
            let rule = AdamW { beta1: 0.95, beta2: 0.95, eps: EPS, weight_decay: 0.01, cautious: false };
            let case = |gradients: &[f64]| Case {
                shape: [1, 1],
                theta: vec![0.5],
                gradients: gradients.iter().map(|&g| vec![g]).collect(),
                lrs: vec![0.01; gradients.len()],
            };
            let late = case(&gradients[1..]).run(&Elementwise::new(rule));
            let path = case(&gradients).run(&optimizers::Soap::default());
            for (expected, actual) in late.iter().flatten().zip(path[1..].iter().flatten()) {
                prop_assert!((expected - actual).abs() <= 1e3 * f64::EPSILON);
            }
        }
    }
}
