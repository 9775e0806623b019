//! Optimizers and clipping at work on the parameters of a module.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use burn::{
    module::{Module, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor},
};
use optimizers::{AdamW, Algorithm, At, OptimizerConfig, Rule, Sgd, WeightDecayOn, clip_global_norm};
use proptest::prelude::*;

#[derive(Module, Debug)]
struct Pair {
    matrix: Param<Tensor<2>>,
    vector: Param<Tensor<1>>,
}

impl Pair {
    fn new(values: &[f32], device: &Device) -> Self {
        let all = Tensor::<1>::from_floats(values, device);
        let n = values.len() - 2;
        Self {
            matrix: Param::from_tensor(all.clone().narrow(0, 0, n).reshape([1, n])),
            vector: Param::from_tensor(all.narrow(0, n, 2)),
        }
    }

    fn gradients(&self, values: &[f32]) -> GradientsParams {
        let device = self.matrix.device().inner();
        let gradients = Pair::new(values, &device);
        let mut params = GradientsParams::new();
        params.register(self.matrix.id, gradients.matrix.val());
        params.register(self.vector.id, gradients.vector.val());
        params
    }

    fn values(&self) -> Vec<f32> {
        values(self.matrix.val(), self.vector.val())
    }
}

fn values(matrix: Tensor<2>, vector: Tensor<1>) -> Vec<f32> {
    let mut all = matrix.into_data().try_to_vec::<f32>().unwrap();
    all.extend(vector.into_data().try_to_vec::<f32>().unwrap());
    all
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

fn vector() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(-100.0f32..100.0, 3..40)
}

#[test]
fn weight_decay_spares_vectors_unless_the_recipe_says_otherwise() {
    let device = Device::flex().autodiff();
    for (weight_decay_on, expected_vector) in [(WeightDecayOn::Matrices, 1.0), (WeightDecayOn::All, 0.95)] {
        let algorithm = Algorithm::AdamW(AdamW {
            weight_decay: 0.5,
            ..AdamW::default()
        });
        let mut optimizer = OptimizerConfig {
            weight_decay_on,
            algorithm,
            clip: 0.0,
        }
        .init();
        let pair = Pair::new(&[1.0; 4], &device);
        let gradients = pair.gradients(&[0.0; 4]);
        assert_eq!(
            optimizer.step(0.1, pair, gradients).values(),
            [0.95, 0.95, expected_vector, expected_vector]
        );
    }
}

#[test]
fn the_chapters_clipping() {
    let pair = Pair::new(&[0.0; 4], &Device::flex());
    let (clipped, before) = clip_global_norm(&pair, pair.gradients(&[60.0, 0.0, 0.0, 80.0]), 1.0);
    assert_eq!(before, 100.0);
    let after = values(
        clipped.get(pair.matrix.id).unwrap(),
        clipped.get(pair.vector.id).unwrap(),
    );
    assert!((norm(&after) - 1.0).abs() <= 4.0 * f64::from(f32::EPSILON));
}

#[test]
fn a_norm_that_is_not_finite_is_reported_and_nothing_is_scaled() {
    let pair = Pair::new(&[0.0; 4], &Device::flex());
    let (gradients, before) = clip_global_norm(&pair, pair.gradients(&[f32::NAN, 1.0, 2.0, 3.0]), 1.0);
    assert!(before.is_nan());
    assert_eq!(
        gradients
            .get::<1>(pair.vector.id)
            .unwrap()
            .into_data()
            .try_to_vec::<f32>()
            .unwrap(),
        [2.0, 3.0]
    );
}

#[test]
fn a_saved_state_continues_bit_for_bit() {
    let device = Device::flex().autodiff();
    let config = OptimizerConfig::default();
    let gradient = |t: usize| [0.3, -1.0, 0.01 * t as f32, 2.0];
    let start = || Pair::new(&[1.0, -2.0, 3.0, 0.5], &device);

    let (mut optimizer, mut pair) = (config.init(), start());
    let mut saved = None;
    for t in 0..10 {
        if t == 4 {
            saved = Some((optimizer.state(), pair.clone()));
        }
        let gradients = pair.gradients(&gradient(t));
        pair = optimizer.step(0.01, pair, gradients);
    }
    let (state, mut resumed) = saved.unwrap();
    let mut optimizer = config.init();
    optimizer.load_state(&resumed, state).unwrap();
    for t in 4..10 {
        let gradients = resumed.gradients(&gradient(t));
        resumed = optimizer.step(0.01, resumed, gradients);
    }
    assert_eq!(pair.values(), resumed.values());

    let mut state = optimizer.state();
    state.remove("matrix.first_moment").unwrap();
    let error = optimizer.load_state(&pair, state).unwrap_err();
    assert!(error.to_string().contains("matrix.first_moment"), "{error}");
}

proptest! {
    #[test]
    fn clipping_bounds_the_norm_and_keeps_the_direction(gradients in vector(), max_norm in 0.1..200.0f64) {
        let pair = Pair::new(&gradients, &Device::flex());
        let (clipped, before) = clip_global_norm(&pair, pair.gradients(&gradients), max_norm);
        let clipped = values(clipped.get(pair.matrix.id).unwrap(), clipped.get(pair.vector.id).unwrap());
        // A sum of n squares in f32.
        let bound = gradients.len() as f64 * f64::from(f32::EPSILON);
        prop_assert!((before / norm(&gradients) - 1.0).abs() <= bound);
        prop_assert!((norm(&clipped) - before.min(max_norm)).abs() <= 2.0 * bound * before);
        if before <= max_norm {
            prop_assert_eq!(&clipped, &gradients);
        }
        for (c, g) in clipped.iter().zip(&gradients) {
            let expected = f64::from(*g) * (max_norm / before).min(1.0);
            prop_assert!((f64::from(*c) - expected).abs() <= 2.0 * bound * expected.abs());
        }
    }

    #[test]
    fn a_step_in_place_is_the_rule_for_every_element(
        parameters in prop::collection::vec(-3.0f32..3.0, 3..70_000),
        seed in any::<u32>(),
    ) {
        let device = Device::flex().autodiff();
        let gradients: Vec<f32> = (0..parameters.len() as u32)
            .map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) as f32 / u32::MAX as f32) - 0.5)
            .collect();
        let rule = AdamW::default();
        let algorithm = Algorithm::AdamW(rule.clone());
        let config = OptimizerConfig { algorithm, weight_decay_on: WeightDecayOn::All, clip: 0.0 };
        let pair = Pair::new(&parameters, &device);
        let grads = pair.gradients(&gradients);
        let expected: Vec<f32> = parameters
            .iter()
            .zip(&gradients)
            .map(|(&theta, &g)| rule.update(At { t: 1, lr: 0.1 }, theta, g, [0.0; 2]).0)
            .collect();
        prop_assert_eq!(config.init().step(0.1, pair, grads).values(), expected);
    }
}

#[test]
fn sgd_descends_a_quadratic_at_its_known_rate() {
    let device = Device::flex().autodiff();
    let config = OptimizerConfig {
        clip: 0.0,
        weight_decay_on: WeightDecayOn::Matrices,
        algorithm: Algorithm::Sgd(Sgd::default()),
    };
    let (mut optimizer, mut pair) = (config.init(), Pair::new(&[1.0; 4], &device));
    for _ in 0..10 {
        let loss = (pair.matrix.val().square().sum() + pair.vector.val().square().sum()) * 0.5;
        let gradients = GradientsParams::from_grads(loss.backward(), &pair);
        pair = optimizer.step(0.5, pair, gradients);
    }
    // theta halves at each step of lr 0.5; a power of two, so exactly.
    assert_eq!(pair.values(), [2f32.powi(-10); 4]);
}
