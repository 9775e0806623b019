//! The update rules as scalars, and the three instances of each against one another.

use burn::tensor::{Device, Tensor};
use optimizers::{Adam, AdamW, At, Momentum, Real, Rule, Sgd};
use proptest::prelude::*;

fn at(t: u64, lr: f64) -> At {
    At { t, lr }
}

/// The parameter after every gradient in turn.
fn run<const K: usize, R: Real>(
    rule: &impl Rule<K>,
    lr: f64,
    theta: R,
    zeros: impl Fn() -> R,
    gradients: impl IntoIterator<Item = R>,
) -> R {
    let start = (theta, std::array::from_fn(|_| zeros()));
    let (theta, _) = gradients
        .into_iter()
        .zip(1..)
        .fold(start, |(theta, state), (g, t)| {
            rule.update(at(t, lr), theta, g, state)
        });
    theta
}

fn gradient() -> impl Strategy<Value = f64> {
    // Both signs, from tiny to large, in f32 so that every instance sees the same number.
    (-3.0..3.0f64, any::<bool>()).prop_map(|(exponent, negative)| {
        let g = 10f64.powf(exponent) as f32;
        f64::from(if negative { -g } else { g })
    })
}

fn gradients() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(gradient(), 1..50)
}

/// The f32 and tensor instances against the f64 one.
fn instances_agree<const K: usize>(rule: &impl Rule<K>, gradients: &[f64]) -> Result<(), TestCaseError> {
    let (lr, theta) = (f64::from(0.01f32), f64::from(0.3f32));
    let exact = run(rule, lr, theta, || 0.0, gradients.iter().copied());
    let single = run(
        rule,
        lr,
        theta as f32,
        || 0.0,
        gradients.iter().map(|&g| g as f32),
    );
    let device = Device::flex();
    let one = |x: f64| Tensor::<1>::from_floats([x as f32], &device);
    let tensor: f32 = run(
        rule,
        lr,
        one(theta),
        || one(0.0),
        gradients.iter().map(|&g| one(g)),
    )
    .into_scalar();
    // About a dozen roundings an update, each relative to the largest number that was summed up so far; the constants
    // 1 - beta lose up to three digits when beta2^t nears 1, which bias correction divides out again.
    let largest = gradients.iter().fold(1.0f64, |a, g| a.max(g.abs()));
    let path = largest * lr * 10.0 * gradients.len() as f64 + theta.abs();
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

proptest! {
    #[test]
    fn the_three_instances_of_a_rule_agree(gradients in gradients(), weight_decay in 0.0..0.5f64) {
        instances_agree(&Sgd { weight_decay }, &gradients)?;
        instances_agree(&Momentum { weight_decay, ..Momentum::default() }, &gradients)?;
        instances_agree(&Adam { weight_decay, ..Adam::default() }, &gradients)?;
        instances_agree(&AdamW { weight_decay, ..AdamW::default() }, &gradients)?;
    }

    #[test]
    fn momentum_equals_its_closed_form(gradients in gradients(), beta in 0.0..0.99f64) {
        let rule = Momentum { beta, weight_decay: 0.0 };
        let actual = run(&rule, 0.1, 0.0, || 0.0, gradients.iter().copied());
        // theta_n = -lr sum_i g_i (1 + beta + ... + beta^(n-1-i))
        let n = gradients.len();
        let expected: f64 = gradients
            .iter()
            .enumerate()
            .map(|(i, g)| -0.1 * g * (0..n - i).map(|k| beta.powi(k as i32)).sum::<f64>())
            .sum();
        let scale: f64 = gradients.iter().map(|g| g.abs()).sum::<f64>() * n as f64;
        prop_assert!((actual - expected).abs() <= 8.0 * n as f64 * f64::EPSILON * scale);
    }

    #[test]
    fn adams_first_step_is_lr_times_the_sign(g in gradient(), lr in 1e-5..1.0f64) {
        let rule = Adam { eps: 0.0, ..Adam::default() };
        let (theta, _) = rule.update(at(1, lr), 0.0, g, [0.0; 2]);
        prop_assert!((theta + lr * g.signum()).abs() <= 16.0 * f64::EPSILON * lr);
    }

    #[test]
    fn bias_correction_is_exact_for_a_constant_gradient(g in gradient(), steps in 1..50u64) {
        let rule = Adam { eps: 0.0, ..Adam::default() };
        let n = steps as usize;
        let theta = run(&rule, 1.0, 0.0, || 0.0, std::iter::repeat_n(g, n));
        // Each step is the sign. 1 - beta2^t is as small as 1e-3, so its rounding is worth a thousand ULPs.
        prop_assert!((theta + g.signum() * steps as f64).abs() <= 1e4 * steps as f64 * f64::EPSILON);
    }

    #[test]
    fn adams_update_does_not_change_with_the_gradients_scale(gradients in gradients(), power in -20..20i32) {
        let rule = Adam { eps: 0.0, ..Adam::default() };
        // A power of two scales without rounding; its square does too.
        let factor = 2f64.powi(power);
        let plain = run(&rule, 0.1, 0.0, || 0.0, gradients.iter().copied());
        let scaled = run(&rule, 0.1, 0.0, || 0.0, gradients.iter().map(|g| g * factor));
        prop_assert_eq!(plain, scaled);
    }

    #[test]
    fn adamws_decay_does_not_depend_on_the_gradient(g in gradient(), theta in -2.0..2.0f64) {
        let moved = |weight_decay: f64| {
            AdamW { weight_decay, ..AdamW::default() }.update(at(1, 0.01), theta, g, [0.0; 2]).0
        };
        let decay = moved(0.0) - moved(0.5);
        prop_assert!((decay - 0.01 * 0.5 * theta).abs() <= 8.0 * f64::EPSILON * 2.0);
    }

    #[test]
    fn adamws_decay_alone_shrinks_geometrically(theta in -2.0..2.0f64, steps in 1..50usize) {
        let rule = AdamW { weight_decay: 0.1, ..AdamW::default() };
        let actual = run(&rule, 0.01, theta, || 0.0, std::iter::repeat_n(0.0, steps));
        let expected = theta * 0.999f64.powi(steps as i32);
        prop_assert!((actual - expected).abs() <= 4.0 * steps as f64 * f64::EPSILON * theta.abs());
    }

    #[test]
    fn without_lr_nothing_moves(gradients in gradients(), theta in -2.0..2.0f64) {
        let gradients = || gradients.iter().copied();
        prop_assert_eq!(run(&Sgd::default(), 0.0, theta, || 0.0, gradients()), theta);
        prop_assert_eq!(run(&Momentum::default(), 0.0, theta, || 0.0, gradients()), theta);
        prop_assert_eq!(run(&Adam::default(), 0.0, theta, || 0.0, gradients()), theta);
        prop_assert_eq!(run(&AdamW::default(), 0.0, theta, || 0.0, gradients()), theta);
    }
}

#[test]
fn adam_and_adamw_differ_where_there_is_decay() {
    let weight_decay = 0.1;
    let (adam, _) = Adam {
        weight_decay,
        ..Adam::default()
    }
    .update(at(1, 0.1), 1.0f64, 1.0, [0.0; 2]);
    let (adamw, _) = AdamW {
        weight_decay,
        ..AdamW::default()
    }
    .update(at(1, 0.1), 1.0f64, 1.0, [0.0; 2]);
    // Adam's first step is lr whatever the decay added to the gradient; AdamW's is lr (1 + weight_decay).
    assert!((adam - 0.9).abs() < 1e-8, "{adam}");
    assert!((adamw - 0.89).abs() < 1e-8, "{adamw}");
}
