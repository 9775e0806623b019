//! Burn's own optimizers, every field set by name, under the laws of this crate: why the catalogue has its own.

use std::fmt::{self, Debug};

use burn::optim::{self as burns, Optimizer, decay::WeightDecayConfig};
use optimizers::{
    AdaGrad, Adafactor, Adan, AdjustLr, Elementwise, Lamb, Lion, Muon, RmsProp,
    laws::{self, Case, Verdict},
};
use proptest::strategy::Just;

use crate::reference;

/// One of Burn's, which print nothing of themselves.
#[derive(Clone)]
struct Burns<O>(O);

impl<O> Debug for Burns<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an optimizer of Burn's")
    }
}

impl<O: Optimizer> Optimizer for Burns<O> {
    type State<const D: usize> = O::State<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        theta: burn::tensor::Tensor<D>,
        g: burn::tensor::Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (burn::tensor::Tensor<D>, Option<Self::State<D>>) {
        self.0.step(lr, theta, g, state)
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &burn::tensor::Device) -> Self::State<D> {
        O::to_device(state, device)
    }
}

/// The laws that an optimizer breaks, of those that all must obey; `reference` is its path by the paper, to be followed
/// within the 5e4 units in the last place that ours are allowed.
fn broken<O: Optimizer>(optimizer: O, reference: impl Fn(&Case) -> Vec<Vec<f64>>) -> Vec<&'static str> {
    let one = || Just(Burns(optimizer.clone()));
    let verdicts: [(&'static str, Verdict); 5] = [
        ("no_learning_rate_no_move", laws::no_learning_rate_no_move(one())),
        ("sign_symmetry", laws::sign_symmetry(one())),
        ("state_survives_saving", laws::state_survives_saving(one())),
        ("finite_stays_finite", laws::finite_stays_finite(one())),
        (
            "agrees_with",
            laws::agrees_with(one(), |_, case| reference(case), 5e4),
        ),
    ];
    let broken = verdicts.into_iter().filter(|(_, verdict)| verdict.is_err());
    broken.map(|(law, _)| law).collect()
}

const WEIGHT_DECAY: f64 = 0.1;

#[test]
fn adagrad() {
    let ours = Elementwise::new(AdaGrad {
        weight_decay: WEIGHT_DECAY,
        ..AdaGrad::default()
    });
    let burns = burns::AdaGradConfig::new()
        .with_lr_decay(0.0)
        .with_epsilon(1e-10)
        .with_weight_decay(Some(WeightDecayConfig::new(0.1)))
        .build();
    assert_eq!(
        broken(burns, |case| reference::adagrad(&ours, case)),
        ["agrees_with"]
    );
}

#[test]
fn rmsprop() {
    let ours = Elementwise::new(RmsProp {
        weight_decay: WEIGHT_DECAY,
        ..RmsProp::default()
    });
    let burns = burns::RmsPropConfig::new()
        .with_alpha(0.99)
        .with_epsilon(1e-8)
        .with_centered(false)
        .with_momentum(0.0)
        .with_weight_decay(Some(WeightDecayConfig::new(0.1)))
        .build();
    assert_eq!(
        broken(burns, |case| reference::rmsprop(&ours, case)),
        ["agrees_with"]
    );
}

#[test]
fn lion() {
    let ours = Elementwise::new(Lion {
        weight_decay: WEIGHT_DECAY,
        ..Lion::default()
    });
    let burns = burns::LionConfig::new()
        .with_beta_1(0.9)
        .with_beta_2(0.99)
        .with_weight_decay(0.1)
        .build();
    assert_eq!(
        broken(burns, |case| reference::lion(&ours, case)),
        ["agrees_with"]
    );
}

#[test]
fn adan() {
    let ours = Elementwise::new(Adan {
        weight_decay: WEIGHT_DECAY,
        ..Adan::default()
    });
    let burns = burns::AdanConfig::new()
        .with_beta_1(0.98)
        .with_beta_2(0.92)
        .with_beta_3(0.99)
        .with_epsilon(1e-8)
        .with_weight_decay(0.1)
        .with_no_prox(false)
        .build();
    assert_eq!(
        broken(burns, |case| reference::adan(&ours, case)),
        ["agrees_with"]
    );
}

#[test]
fn lamb() {
    let ours = Lamb {
        weight_decay: WEIGHT_DECAY,
        ..Lamb::default()
    };
    let burns = burns::LambConfig::new()
        .with_beta_1(0.9)
        .with_beta_2(0.999)
        .with_epsilon(1e-6)
        .with_weight_decay(0.1)
        .with_use_trust_ratio(true)
        .build();
    assert_eq!(
        broken(burns, |case| reference::lamb(&ours, case)),
        ["agrees_with"]
    );
}

#[test]
fn adafactor() {
    let ours = Adafactor {
        weight_decay: WEIGHT_DECAY,
        ..Adafactor::default()
    };
    let burns = burns::AdafactorConfig::new()
        .with_decay_rate(-0.8)
        .with_epsilon_1(1e-30)
        .with_epsilon_2(1e-3)
        .with_clip_threshold(1.0)
        .with_relative_step(true)
        .with_scale_parameter(true)
        .with_weight_decay(0.1)
        .build();
    assert_eq!(
        broken(burns, |case| reference::adafactor(&ours, case)),
        ["finite_stays_finite", "agrees_with"]
    );
}

#[test]
fn muon() {
    let ours = Muon {
        weight_decay: WEIGHT_DECAY,
        adjust_lr: AdjustLr::Original,
        ..Muon::default()
    };
    let burns = burns::MuonConfig::new()
        .with_momentum(burns::momentum::MomentumConfig {
            momentum: 0.95,
            dampening: 0.0,
            nesterov: true,
        })
        .with_ns_coefficients((3.4445, -4.775, 2.0315))
        .with_ns_steps(5)
        .with_epsilon(1e-7)
        .with_adjust_lr_fn(burns::AdjustLrFn::Original)
        .with_weight_decay(Some(WeightDecayConfig::new(0.1)))
        .build();
    assert_eq!(
        broken(burns, |case| reference::muon(&ours, case)),
        ["agrees_with"]
    );
}
