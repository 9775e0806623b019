//! Optimizers and clipping at work on the parameters of a module.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use burn::{
    module::{Module, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};
use optimizers::{
    Adam, AdamW, Algorithm, At, Clip, ClipBy, Elementwise, GroupConfig, Lion, Optimizer, OptimizerConfig,
    ParameterGroup, ParameterPath, Rule, Sgd, StateError, Update, WeightDecayOn,
};
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

const GLOBAL: Clip = Clip {
    by: ClipBy::GlobalNorm,
    limit: 1.0,
};

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
            ..OptimizerConfig::default()
        }
        .init()
        .unwrap();
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
    let (clipped, before) = GLOBAL.apply(&pair, pair.gradients(&[60.0, 0.0, 0.0, 80.0]));
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
    let (gradients, before) = GLOBAL.apply(&pair, pair.gradients(&[f32::NAN, 1.0, 2.0, 3.0]));
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

    let (mut optimizer, mut pair) = (config.init().unwrap(), start());
    let mut saved = None;
    for t in 0..10 {
        if t == 4 {
            saved = Some((optimizer.state(), pair.clone()));
        }
        let gradients = pair.gradients(&gradient(t));
        pair = optimizer.step(0.01, pair, gradients);
    }
    let (state, mut resumed) = saved.unwrap();
    let mut optimizer = config.init().unwrap();
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
        let (clipped, before) = Clip { by: ClipBy::GlobalNorm, limit: max_norm }.apply(&pair, pair.gradients(&gradients));
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
        let config = OptimizerConfig { algorithm, weight_decay_on: WeightDecayOn::All, clip: 0.0, ..OptimizerConfig::default() };
        let pair = Pair::new(&parameters, &device);
        let grads = pair.gradients(&gradients);
        let expected: Vec<f32> = parameters
            .iter()
            .zip(&gradients)
            .map(|(&theta, &g)| rule.update(At::new(1, 0.1), theta, g, [0.0; 2]).0)
            .collect();
        prop_assert_eq!(config.init().unwrap().step(0.1, pair, grads).values(), expected);
    }
}

#[test]
fn sgd_descends_a_quadratic_at_its_known_rate() {
    let device = Device::flex().autodiff();
    let config = OptimizerConfig {
        clip: 0.0,
        weight_decay_on: WeightDecayOn::Matrices,
        algorithm: Algorithm::Sgd(Sgd::default()),
        ..OptimizerConfig::default()
    };
    let (mut optimizer, mut pair) = (config.init().unwrap(), Pair::new(&[1.0; 4], &device));
    for _ in 0..10 {
        let loss = (pair.matrix.val().square().sum() + pair.vector.val().square().sum()) * 0.5;
        let gradients = GradientsParams::from_grads(loss.backward(), &pair);
        pair = optimizer.step(0.5, pair, gradients);
    }
    // theta halves at each step of lr 0.5; a power of two, so exactly.
    assert_eq!(pair.values(), [2f32.powi(-10); 4]);
}

/// The parameters after a step from ones with gradients of one.
fn step(config: &OptimizerConfig) -> Vec<f32> {
    let pair = Pair::new(&[1.0; 4], &Device::flex().autodiff());
    let gradients = pair.gradients(&[1.0; 4]);
    config.init().unwrap().step(0.25, pair, gradients).values()
}

#[test]
fn a_group_has_its_own_learning_rate_decay_and_algorithm() {
    let sgd = OptimizerConfig {
        algorithm: Algorithm::Sgd(Sgd { weight_decay: 0.5 }),
        ..OptimizerConfig::default()
    };
    let with = |group: GroupConfig| OptimizerConfig {
        groups: vec![group],
        ..sgd.clone()
    };
    // theta - lr (g + weight_decay theta), the vector spared the decay.
    assert_eq!(step(&sgd), [0.625, 0.625, 0.75, 0.75]);
    let vectors = GroupConfig {
        parameters: "vec*".to_owned(),
        ..GroupConfig::default()
    };
    let slower = GroupConfig {
        lr_scale: 0.5,
        ..vectors.clone()
    };
    assert_eq!(step(&with(slower)), [0.625, 0.625, 0.875, 0.875]);
    let decayed = GroupConfig {
        weight_decay: Some(1.0),
        ..vectors.clone()
    };
    assert_eq!(step(&with(decayed)), [0.625, 0.625, 0.5, 0.5]);
    let signed = GroupConfig {
        algorithm: Some(Algorithm::Lion(Lion::default())),
        lr_scale: 2.0,
        ..vectors
    };
    assert_eq!(step(&with(signed)), [0.625, 0.625, 0.5, 0.5]);
    let matrices = GroupConfig {
        rank: Some(2),
        lr_scale: 0.5,
        ..GroupConfig::default()
    };
    assert_eq!(step(&with(matrices)), [0.8125, 0.8125, 0.75, 0.75]);
    // By rank too, vectors are spared the decay, unless the recipe says otherwise.
    let by_rank = GroupConfig {
        rank: Some(1),
        lr_scale: 0.5,
        ..GroupConfig::default()
    };
    assert_eq!(step(&with(by_rank.clone())), [0.625, 0.625, 0.875, 0.875]);
    let all = OptimizerConfig {
        weight_decay_on: WeightDecayOn::All,
        ..with(by_rank)
    };
    assert_eq!(step(&all), [0.625, 0.625, 0.8125, 0.8125]);
}

#[test]
fn parameters_have_the_paths_of_their_fields() {
    let pair = Pair::new(&[1.0; 4], &Device::flex());
    assert_eq!(ParameterPath::all(&pair), ["matrix", "vector"]);
    assert_eq!(ParameterPath::all(&[pair]), ["0.matrix", "0.vector"]);
}

#[test]
fn a_pattern_that_is_none_and_one_that_matches_nothing_are_named() {
    let with = |parameters: &str| OptimizerConfig {
        groups: vec![GroupConfig {
            parameters: parameters.to_owned(),
            ..GroupConfig::default()
        }],
        ..OptimizerConfig::default()
    };
    assert!(with("a[").init().unwrap_err().to_string().contains("a["));
    let pair = Pair::new(&[1.0; 4], &Device::flex());
    let optimizer = with("matix").init().unwrap();
    assert_eq!(optimizer.unused_groups(&pair), ["matix", "matix"]);
    assert!(with("mat*x").init().unwrap().unused_groups(&pair).is_empty());
}

#[test]
fn an_optimizer_of_burns_is_a_group_like_any_other() {
    let burns = burn::optim::SgdConfig::new().build();
    let mut optimizer = Optimizer::new(vec![
        ParameterGroup {
            ranks: 2..=2,
            ..ParameterGroup::all(Update::burn(burns))
        },
        ParameterGroup::all(Algorithm::Sgd(Sgd::default()).into()),
    ]);
    let pair = Pair::new(&[1.0; 4], &Device::flex().autodiff());
    let gradients = pair.gradients(&[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(
        optimizer.step(0.25, pair, gradients).values(),
        [0.75, 0.5, 0.25, 0.0]
    );
}

#[test]
fn a_rule_serves_burns_own_module_optimizer() {
    let mut optimizer = burn::optim::ModuleOptimizer::from(Elementwise::new(Sgd::default()));
    let pair = Pair::new(&[1.0; 4], &Device::flex().autodiff());
    let gradients = pair.gradients(&[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(
        optimizer.step(0.25, pair, gradients).values(),
        [0.75, 0.5, 0.25, 0.0]
    );
}

#[test]
fn schedule_free_is_evaluated_at_its_average() {
    let algorithm = Algorithm::ScheduleFreeAdamW(Default::default());
    let mut optimizer = Optimizer::new(vec![ParameterGroup::all(algorithm.into())]);
    let mut pair = Pair::new(&[1.0; 4], &Device::flex().autodiff());
    assert_eq!(optimizer.averaged(pair.clone()).values(), pair.values());
    let mut travelled = Vec::new();
    for _ in 0..20 {
        let gradients = pair.gradients(&[1.0; 4]);
        pair = optimizer.step(0.01, pair, gradients);
        travelled.push(pair.values()[0]);
    }
    // Every step goes down by lr: the average lags behind the newest, and leads the first.
    let average = optimizer.averaged(pair.clone()).values()[0];
    assert!(
        average > pair.values()[0] && average < travelled[0],
        "{average} {travelled:?}"
    );
}

#[test]
fn every_algorithm_continues_bit_for_bit_from_its_saved_state() {
    let device = Device::flex().autodiff();
    for algorithm in Algorithm::all() {
        let name = algorithm.name();
        let config = OptimizerConfig {
            algorithm,
            ..OptimizerConfig::default()
        };
        let gradient = |t: usize| [0.3, -1.0, 0.01 * t as f32, 2.0, 0.5, -0.1];
        let (mut optimizer, mut pair) = (
            config.init().unwrap(),
            Pair::new(&[1.0, -2.0, 3.0, 0.5, 1.5, 2.5], &device),
        );
        for t in 0..3 {
            let gradients = pair.gradients(&gradient(t));
            pair = optimizer.step(0.01, pair, gradients);
        }
        let mut resumed = config.init().unwrap();
        let state = optimizer.state();
        resumed.load_state(&pair, state.clone()).unwrap();
        let mut other = pair.clone();
        for t in 3..6 {
            let gradients = pair.gradients(&gradient(t));
            pair = optimizer.step(0.01, pair, gradients);
            let gradients = other.gradients(&gradient(t));
            other = resumed.step(0.01, other, gradients);
        }
        assert_eq!(pair.values(), other.values(), "{name}");

        for missing in state.keys() {
            let mut state = state.clone();
            state.remove(missing);
            // With its only entry gone, a parameter was never updated.
            if state
                .keys()
                .any(|key| key.split('.').next() == missing.split('.').next())
            {
                let error = resumed.load_state(&pair, state).unwrap_err();
                assert!(
                    matches!(&error, StateError::Missing(key) if key == missing),
                    "{name}: {error}"
                );
            }
        }
        let mut state = state;
        state.insert("matrix.nothing".to_owned(), TensorData::from([1.0f32]));
        assert!(
            matches!(resumed.load_state(&pair, state), Err(StateError::Unknown(_))),
            "{name}"
        );
    }
}

#[test]
fn a_state_of_another_shape_is_refused() {
    let device = Device::flex().autodiff();
    let config = OptimizerConfig {
        algorithm: Algorithm::Adam(Adam::default()),
        ..OptimizerConfig::default()
    };
    let mut optimizer = config.init().unwrap();
    let pair = Pair::new(&[1.0; 6], &device);
    let gradients = pair.gradients(&[1.0; 6]);
    optimizer.step(0.1, pair, gradients);
    let smaller = Pair::new(&[1.0; 5], &device);
    let error = config
        .init()
        .unwrap()
        .load_state(&smaller, optimizer.state())
        .unwrap_err();
    assert!(matches!(error, StateError::WrongShape { .. }), "{error}");
}

#[test]
fn a_count_that_is_none_is_refused() {
    let device = Device::flex().autodiff();
    let config = OptimizerConfig::default();
    let mut optimizer = config.init().unwrap();
    let pair = Pair::new(&[1.0; 6], &device);
    let gradients = pair.gradients(&[1.0; 6]);
    let pair = optimizer.step(0.1, pair, gradients);
    for count in [TensorData::from([-1i64]), TensorData::from([1.0f32])] {
        let mut state = optimizer.state();
        state.insert("matrix.t".to_owned(), count);
        let error = config.init().unwrap().load_state(&pair, state).unwrap_err();
        assert!(
            matches!(&error, StateError::NotANumber(key) if key == "matrix.t"),
            "{error}"
        );
    }
}

/// A gradient and a limit.
fn clipped(by: ClipBy, limit: f64, gradients: &[f32]) -> (Vec<f32>, f64) {
    let pair = Pair::new(&vec![1.0; gradients.len()], &Device::flex());
    let (clipped, norm) = Clip { by, limit }.apply(&pair, pair.gradients(gradients));
    let matrix = clipped.get(pair.matrix.id).unwrap();
    (values(matrix, clipped.get(pair.vector.id).unwrap()), norm)
}

#[test]
fn values_are_clipped_one_by_one_and_units_by_their_weights() {
    let (by_value, before) = clipped(ClipBy::Value, 1.0, &[3.0, -0.5, 4.0, -12.0]);
    assert_eq!(by_value, [1.0, -0.5, 1.0, -1.0]);
    assert!((before - 169.25f64.sqrt()).abs() <= 8.0 * f64::from(f32::EPSILON) * before);
    // The units are the two columns, of one weight of 1 each, and the vector, of norm sqrt(2).
    let (adaptive, _) = clipped(ClipBy::Adaptive, 0.5, &[3.0, -0.25, 0.3, 0.4]);
    assert_eq!(adaptive, [0.5, -0.25, 0.3, 0.4]);
    let (adaptive, _) = clipped(ClipBy::Adaptive, 0.5, &[0.0, 0.0, 3.0, 4.0]);
    let length = norm(&adaptive[2..]);
    assert!(
        (length - 0.5 * 2f64.sqrt()).abs() <= 4.0 * f64::from(f32::EPSILON),
        "{adaptive:?}"
    );
}

#[test]
fn norms_beyond_the_squares_of_f32_are_still_exact() {
    let (_, large) = clipped(ClipBy::GlobalNorm, 0.0, &[3e30, 0.0, 0.0, 4e30]);
    assert!(
        (large / 5e30 - 1.0).abs() <= 4.0 * f64::from(f32::EPSILON),
        "{large:e}"
    );
    let (_, small) = clipped(ClipBy::GlobalNorm, 0.0, &[3e-30, 0.0, 0.0, 4e-30]);
    assert!(
        (small / 5e-30 - 1.0).abs() <= 4.0 * f64::from(f32::EPSILON),
        "{small:e}"
    );
    let (unchanged, infinite) = clipped(ClipBy::GlobalNorm, 1.0, &[f32::INFINITY, 0.0, 0.0, 1.0]);
    assert!(infinite.is_infinite() && unchanged[3] == 1.0);
}

proptest! {
    /// Against plain loops in f64: a unit is a column of a matrix, and a whole vector.
    #[test]
    fn adaptive_clipping_is_its_formula_for_every_unit(
        (rows, columns, weights, gradients) in (1..5usize, 1..5usize).prop_flat_map(|(rows, columns)| {
            // Weights down to 0, whose norm counts as 1e-3.
            let weights = prop::collection::vec(prop_oneof![Just(0.0f32), -2.0f32..2.0], rows * columns);
            (Just(rows), Just(columns), weights, prop::collection::vec(-2.0f32..2.0, rows * columns))
        }),
        limit in 0.01..2.0f64,
        as_vector: bool,
    ) {
        let (rows, columns) = if as_vector { (rows * columns, 1) } else { (rows, columns) };
        let device = Device::flex();
        let clip = Clip { by: ClipBy::Adaptive, limit };
        let tensor = |numbers: &[f32]| Tensor::<1>::from_floats(numbers, &device);
        let mut params = GradientsParams::new();
        let clipped = if as_vector {
            let parameter = Param::from_tensor(tensor(&weights));
            params.register(parameter.id, tensor(&gradients));
            clip.apply(&parameter, params).0.get::<1>(parameter.id).unwrap().into_data()
        } else {
            let matrix = |numbers: &[f32]| tensor(numbers).reshape([rows, columns]);
            let parameter = Param::from_tensor(matrix(&weights));
            params.register(parameter.id, matrix(&gradients));
            clip.apply(&parameter, params).0.get::<2>(parameter.id).unwrap().into_data()
        };
        let clipped = clipped.try_to_vec::<f32>().unwrap();
        for column in 0..columns {
            let unit = |numbers: &[f32]| -> Vec<f32> { (0..rows).map(|row| numbers[row * columns + column]).collect() };
            let (length, largest) = (norm(&unit(&gradients)), limit * norm(&unit(&weights)).max(1e-3));
            // Two norms of up to 16 squares, a quotient and two products.
            let bound = 24.0 * f64::from(f32::EPSILON);
            for (actual, g) in unit(&clipped).iter().zip(unit(&gradients)) {
                let expected = f64::from(g) * (largest / length).min(1.0);
                prop_assert!((f64::from(*actual) - expected).abs() <= bound * expected.abs(), "{actual} {expected}");
            }
        }
    }

    #[test]
    fn no_clipping_increases_the_norm(gradients in vector(), limit in 0.01..200.0f64) {
        for by in [ClipBy::GlobalNorm, ClipBy::Value, ClipBy::Adaptive] {
            let (clipped, before) = clipped(by, limit, &gradients);
            // The factors and the sums are rounded.
            let bound = 1.0 + 2.0 * gradients.len() as f64 * f64::from(f32::EPSILON);
            prop_assert!(norm(&clipped) <= before * bound);
            for (c, g) in clipped.iter().zip(&gradients) {
                prop_assert!(c * g >= 0.0 && c.abs() <= g.abs(), "{by:?}: {g} became {c}");
            }
        }
    }

    #[test]
    fn it_does_not_matter_how_parameters_are_split(gradients in vector(), limit in 0.1..200.0f64) {
        let (pair, norm) = clipped(ClipBy::GlobalNorm, limit, &gradients);
        let whole = Param::from_tensor(Tensor::<1>::zeros([gradients.len()], &Device::flex()));
        let mut params = GradientsParams::new();
        params.register(whole.id, Tensor::<1>::from_floats(gradients.as_slice(), &Device::flex()));
        let (one, one_norm) = Clip { by: ClipBy::GlobalNorm, limit }.apply(&whole, params);
        let one = one.get::<1>(whole.id).unwrap().into_data().try_to_vec::<f32>().unwrap();
        let bound = 2.0 * gradients.len() as f64 * f64::from(f32::EPSILON);
        prop_assert!((norm - one_norm).abs() <= bound * norm);
        for (a, b) in one.iter().zip(&pair) {
            prop_assert!(f64::from((a - b).abs()) <= bound * f64::from(b.abs()));
        }
    }
}
