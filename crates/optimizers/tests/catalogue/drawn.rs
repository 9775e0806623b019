//! The algorithms with drawn hyper-parameters.

use optimizers::*;
use proptest::prelude::*;

/// The betas of first moments.
fn beta1() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), 0.0..0.95f64, Just(0.9)]
}

/// The betas of second moments; 1 / (1 - beta) is at most 1000.
fn beta2() -> impl Strategy<Value = f64> {
    prop_oneof![0.5..0.99f64, Just(0.95), Just(0.999)]
}

/// A function that gives a strategy of an algorithm with this eps and this weight decay.
macro_rules! drawn {
    ($($name:ident: $Optimizer:ty = |$eps:ident, $weight_decay:ident, ($($drawn:ident),*)| ($($strategy:expr),*) => $make:expr;)*) => {
        $(pub fn $name($eps: f64, $weight_decay: f64) -> BoxedStrategy<$Optimizer> {
            let _ = $eps; // not every method has one
            ($($strategy,)*).prop_map(move |($($drawn,)*)| $make).boxed()
        })*
    };
}

drawn! {
    sgd: Elementwise<Sgd, 0> = |eps, weight_decay, (_none)| (Just(())) =>
        Elementwise::new(Sgd { weight_decay });
    momentum: Elementwise<Momentum, 1> = |eps, weight_decay, (beta, nesterov)| (beta1(), any::<bool>()) =>
        Elementwise::new(Momentum { beta, nesterov, weight_decay });
    adam: Elementwise<Adam, 2> = |eps, weight_decay, (beta1, beta2)| (beta1(), beta2()) =>
        Elementwise::new(Adam { beta1, beta2, eps, weight_decay });
    amsgrad: Elementwise<AmsGrad, 3> = |eps, weight_decay, (beta1, beta2)| (beta1(), beta2()) =>
        Elementwise::new(AmsGrad { beta1, beta2, eps, weight_decay });
    adamw: Elementwise<AdamW, 2> = |eps, weight_decay, (beta1, beta2)| (beta1(), beta2()) =>
        Elementwise::new(AdamW { beta1, beta2, eps, weight_decay, cautious: false });
    cautious_adamw: Elementwise<AdamW, 2> = |eps, weight_decay, (beta1, beta2)| (beta1(), beta2()) =>
        Elementwise::new(AdamW { beta1, beta2, eps, weight_decay, cautious: true });
    nadam: Elementwise<NAdam, 2> = |eps, weight_decay, (beta1, beta2, momentum_decay)|
        (beta1(), beta2(), 0.0..0.1f64) =>
        Elementwise::new(NAdam {
            beta1, beta2, eps, weight_decay, momentum_decay, decoupled_weight_decay: false
        });
    nadamw: Elementwise<NAdam, 2> = |eps, weight_decay, (beta1, beta2)| (beta1(), beta2()) =>
        Elementwise::new(NAdam {
            beta1, beta2, eps, weight_decay, momentum_decay: 0.004, decoupled_weight_decay: true
        });
    radam: Elementwise<RAdam, 2> = |eps, weight_decay, (beta1, beta2)| (beta1(), beta2()) =>
        Elementwise::new(RAdam { beta1, beta2, eps, weight_decay, decoupled_weight_decay: false });
    radamw: Elementwise<RAdam, 2> = |eps, weight_decay, (beta1, beta2)| (beta1(), beta2()) =>
        Elementwise::new(RAdam { beta1, beta2, eps, weight_decay, decoupled_weight_decay: true });
    adagrad: Elementwise<AdaGrad, 1> = |eps, weight_decay, (lr_decay)| (0.0..0.1f64) =>
        Elementwise::new(AdaGrad { lr_decay, initial_accumulator: 0.0, eps, weight_decay });
    adagrad_from_one: Elementwise<AdaGrad, 1> = |eps, weight_decay, (lr_decay)| (0.0..0.1f64) =>
        Elementwise::new(AdaGrad { lr_decay, initial_accumulator: 1.0, eps, weight_decay });
    rmsprop: Elementwise<RmsProp, 2> = |eps, weight_decay, (alpha, momentum)| (beta2(), beta1()) =>
        Elementwise::new(RmsProp { alpha, eps, momentum, weight_decay });
    lion: Elementwise<Lion, 1> = |eps, weight_decay, (beta1, beta2)| (beta1(), beta2()) =>
        Elementwise::new(Lion { beta1, beta2, weight_decay });
    signum: Elementwise<Signum, 1> = |eps, weight_decay, (beta)| (beta1()) =>
        Elementwise::new(Signum { beta, weight_decay });
    adan: Elementwise<Adan, 4> = |eps, weight_decay, (beta1, beta2, beta3)| (beta1(), beta1(), beta2()) =>
        Elementwise::new(Adan { beta1, beta2, beta3, eps, weight_decay });
    adopt: Elementwise<Adopt, 2> = |eps, weight_decay, (beta1, beta2)| (beta1(), beta2()) =>
        Elementwise::new(Adopt { beta1, beta2, eps, weight_decay });
    ademamix: Elementwise<AdEmaMix, 3> = |eps, weight_decay, (beta1, beta2, beta3, alpha, warmup)|
        (0.1..0.95f64, beta2(), beta2(), 0.0..8.0f64, 0..60u64) =>
        Elementwise::new(AdEmaMix { beta1, beta2, beta3, alpha, warmup, eps, weight_decay });
    schedule_free_adamw: Elementwise<ScheduleFreeAdamW, 2> = |eps, weight_decay, (beta1, beta2)|
        (0.1..0.95f64, beta2()) =>
        Elementwise::new(ScheduleFreeAdamW { beta1, beta2, eps, weight_decay });
    adafactor: Adafactor = |eps, weight_decay, (beta2_decay, clip_threshold)| (-1.0..-0.3f64, 0.5..2.0f64) =>
        Adafactor { beta2_decay, eps1: 1e-30, eps2: 1e-3, clip_threshold, weight_decay };
    lamb: Lamb = |eps, weight_decay, (beta1, beta2)| (beta1(), beta2()) =>
        Lamb { beta1, beta2, eps, weight_decay };
    muon: Muon = |eps, weight_decay, (momentum, nesterov, original)| (beta1(), any::<bool>(), any::<bool>()) =>
        Muon {
            momentum,
            nesterov,
            eps: eps.max(1e-30),
            weight_decay,
            adjust_lr: if original { AdjustLr::Original } else { AdjustLr::MatchRmsAdamW },
            ..Muon::default()
        };
    soap: Soap = |eps, weight_decay, (beta1, beta2, frequency)| (beta1(), beta2(), 1..5u64) =>
        Soap { beta1, beta2, frequency, eps, weight_decay, ..Soap::default() };
    mars: Mars = |eps, weight_decay, (beta1, beta2, gamma)| (beta1(), beta2(), 0.0..0.1f64) =>
        Mars { beta1, beta2, gamma, eps, weight_decay };
}
