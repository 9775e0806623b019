//! Which tokens are drawn, and how likely each is, against a plain reading of the definitions.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

use model::{Sampling, SamplingError};
use proptest::{prelude::*, sample::select};

/// The distribution by its definition, and how near the nucleus' edge comes to a sum of probabilities: nearer than
/// rounding, either side is right.
fn plain(sampling: Sampling, logits: &[f32]) -> (Vec<f64>, f64) {
    let ids = 0..logits.len();
    let ahead = |a: usize, b: usize| logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
    let rank: Vec<usize> = ids
        .clone()
        .map(|i| ids.clone().filter(|&j| ahead(j, i)).count())
        .collect();
    if sampling.temperature == 0.0 {
        return (rank.iter().map(|&rank| f64::from(rank == 0)).collect(), 1.0);
    }
    let maximum = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |i: usize| ((f64::from(logits[i]) - f64::from(maximum)) / sampling.temperature).exp();
    let top = |i: &usize| sampling.top_k.is_none_or(|k| rank[*i] < k);
    let total: f64 = ids.clone().filter(top).map(weight).sum();
    let before = |i: usize| -> f64 {
        let likelier = ids.clone().filter(|&j| rank[j] < rank[i]);
        likelier.map(|j| weight(j) / total).sum()
    };
    let nucleus =
        |i: &usize| top(i) && (rank[*i] == 0 || sampling.top_p == 1.0 || before(*i) < sampling.top_p);
    let edge = ids
        .clone()
        .filter(|i| top(i) && rank[*i] > 0 && sampling.top_p < 1.0)
        .map(|i| (before(i) - sampling.top_p).abs())
        .fold(1.0, f64::min);
    let kept: f64 = ids.clone().filter(nucleus).map(weight).sum();
    let one = |i: usize| if nucleus(&i) { weight(i) / kept } else { 0.0 };
    (ids.clone().map(one).collect(), edge)
}

/// Few different values, so that there are ties.
fn logits() -> impl Strategy<Value = Vec<f32>> {
    let tied = select(vec![-1.0f32, 0.0, -0.0, 0.5, 2.0]);
    prop::collection::vec(
        prop_oneof![tied, -5.0f32..5.0, Just(1e4f32), Just(-1e4f32)],
        1..20,
    )
}

fn samplings() -> impl Strategy<Value = Sampling> {
    let temperature = prop_oneof![Just(0.0), Just(1.0), 0.1..4.0, Just(1e-300), Just(1e300)];
    let top_k = prop::option::of(prop_oneof![1..25usize, Just(usize::MAX)]);
    let top_p = prop_oneof![Just(1.0), 1e-9..1.0f64, Just(0.5), Just(f64::MIN_POSITIVE)];
    (temperature, top_k, top_p).prop_map(|(temperature, top_k, top_p)| Sampling {
        temperature,
        top_k,
        top_p,
    })
}

proptest! {
    #[test]
    fn probabilities_are_those_of_the_definition(sampling in samplings(), logits in logits()) {
        let (expected, edge) = plain(sampling, &logits);
        prop_assume!(edge > 1e-9);
        let actual = sampling.probabilities(&logits);
        prop_assert!((actual.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        for (actual, expected) in actual.iter().zip(&expected) {
            // Sums of 20 terms.
            prop_assert!((actual - expected).abs() <= 40.0 * f64::EPSILON, "{actual} and {expected}");
            prop_assert_eq!(*actual > 0.0, *expected > 0.0);
        }
    }

    #[test]
    fn a_number_draws_the_token_whose_share_of_the_unit_interval_it_lies_in(
        sampling in samplings(), logits in logits(), within in 0.01..0.99f64,
    ) {
        let mut below = 0.0;
        for (token, probability) in (0..).zip(sampling.probabilities(&logits)) {
            if probability > 1e-9 {
                prop_assert_eq!(sampling.draw(&logits, below + within * probability), token);
            }
            below += probability;
        }
    }

    #[test]
    fn what_was_cut_off_is_never_drawn(sampling in samplings(), logits in logits(), uniform in 0.0..1.0f64) {
        let last = 1.0 - f64::EPSILON / 2.0;
        for uniform in [0.0, uniform, last] {
            let token = sampling.draw(&logits, uniform);
            prop_assert!(sampling.probabilities(&logits)[token as usize] > 0.0);
        }
    }

    #[test]
    fn the_most_likely_token_is_what_greed_one_of_k_and_the_smallest_nucleus_draw(
        logits in logits(), uniform in 0.0..1.0f64,
    ) {
        let all = Sampling::default();
        let drawn = [
            Sampling { temperature: 0.0, ..all },
            Sampling { top_k: Some(1), ..all },
            Sampling { top_p: f64::MIN_POSITIVE, ..all },
        ]
        .map(|sampling| sampling.draw(&logits, uniform) as usize);
        // The first of the largest.
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let first = logits.iter().position(|&logit| logit == largest).unwrap();
        prop_assert_eq!(drawn, [first; 3]);
    }
}

#[test]
fn of_equals_the_lower_ids_are_kept() {
    let all = Sampling::default();
    let kept = |sampling: Sampling| sampling.probabilities(&[1.0, 1.0, 1.0, 1.0]);
    assert_eq!(
        kept(Sampling {
            top_k: Some(2),
            ..all
        }),
        [0.5, 0.5, 0.0, 0.0]
    );
    assert_eq!(kept(Sampling { top_p: 0.5, ..all }), [0.5, 0.5, 0.0, 0.0]);
    assert_eq!(kept(Sampling { top_p: 0.51, ..all })[2], 1.0 / 3.0);
    // The nucleus is that of what the k are left with: a half each.
    assert_eq!(
        kept(Sampling {
            top_k: Some(2),
            top_p: 0.5,
            ..all
        }),
        [1.0, 0.0, 0.0, 0.0]
    );
}

#[test]
fn settings_that_draw_nothing_are_errors() {
    let all = Sampling::default();
    for (sampling, error) in [
        (
            Sampling {
                temperature: -0.1,
                ..all
            },
            SamplingError::Temperature(-0.1),
        ),
        (
            Sampling {
                temperature: f64::INFINITY,
                ..all
            },
            SamplingError::Temperature(f64::INFINITY),
        ),
        (
            Sampling {
                top_k: Some(0),
                ..all
            },
            SamplingError::TopK,
        ),
        (Sampling { top_p: 0.0, ..all }, SamplingError::TopP(0.0)),
        (Sampling { top_p: 1.5, ..all }, SamplingError::TopP(1.5)),
    ] {
        assert_eq!(sampling.validate(), Err(error));
    }
    let no_number = Sampling {
        temperature: f64::NAN,
        ..all
    };
    assert!(matches!(no_number.validate(), Err(SamplingError::Temperature(_))));
    let no_number = Sampling {
        top_p: f64::NAN,
        ..all
    };
    assert!(matches!(no_number.validate(), Err(SamplingError::TopP(_))));
    assert_eq!(all.validate(), Ok(()));
}
