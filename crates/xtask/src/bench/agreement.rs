//! Whether all peers computed the same: nothing is worth timing otherwise.

use super::{peer::Peer, workload::Workload};
use crate::error::Error;

/// Steps whose losses are compared.
pub const STEPS: usize = 10;

/// The losses of a peer's first steps.
pub type Losses = (Peer, Vec<f64>);

/// Fails where a peer's losses differ from the first peer's, and names every peer and its first step that does.
pub fn check(workload: &Workload, losses: &[Losses]) -> Result<(), Error> {
    let Some(((reference, expected), others)) = losses.split_first() else {
        return Ok(());
    };
    let disagreements: Vec<String> = others
        .iter()
        .filter_map(|(peer, losses)| {
            let bound = tolerance(workload, peer.is_bf16() || reference.is_bf16()) * expected[0].abs();
            let far = |(loss, expected): (&f64, &f64)| {
                let distance = (loss - expected).abs();
                distance.is_nan() || distance > bound
            };
            let step = losses.iter().zip(expected).position(far)?;
            let (loss, expected) = (losses[step], expected[step]);
            Some(format!(
                "{peer} has the loss {loss} at step {step}, {reference} has {expected}: {:.1e} apart, at most {bound:.1e} is rounding",
                (loss - expected).abs()
            ))
        })
        .collect();
    if disagreements.is_empty() {
        Ok(())
    } else {
        Err(Error::Disagreement { disagreements })
    }
}

/// How far losses may lie apart, relative to the first of them.
///
/// Roundings are taken to be independent, so that a chain of K of them, each of relative size u, errs by u sqrt(K). In f32,
/// u = 2^-24, and an output of a product of inner length k is a chain of k roundings: a block has products of width (qkv),
/// the head's channels and the context (attention; together at most width + context), width (output), width and 4 width
/// (perceptron), and the head one of width; the backward pass is twice as long. In bf16, u = 2^-9 for each of the two
/// operands of a product, which do not grow with its length: there are six products in a block and the head, and twice
/// as many backward.
///
/// The loss after t steps errs in two ways: its own forward pass by at most that much of itself, and the steps before it,
/// whose gradients err by as much relative to themselves, by as much of what they have made the loss fall. The two
/// together are at most this share of the first loss. Logits are much smaller than the loss at first, so that there is room.
fn tolerance(workload: &Workload, bf16: bool) -> f64 {
    let Workload {
        layers,
        width,
        context,
        ..
    } = *workload;
    let (unit, forward) = if bf16 {
        (2f64.powi(-9), 2 * (6 * layers + 1))
    } else {
        (2f64.powi(-24), layers * (8 * width + context) + width)
    };
    unit * (3.0 * forward as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FALLING: [f64; 4] = [4.2, 4.0, 3.9, 3.8];

    fn moved(by: f64) -> Vec<f64> {
        FALLING.iter().map(|loss| loss + by).collect()
    }

    fn check(losses: &[Losses]) -> Result<(), String> {
        super::check(&Workload::example(), losses).map_err(|error| error.to_string())
    }

    #[test]
    fn rounding_is_agreement() {
        let losses = [
            (Peer::PytorchEager, moved(0.0)),
            (Peer::FlexFused, moved(1e-6)),
            (Peer::FlexFusedBf16, moved(1e-2)),
        ];
        assert_eq!(check(&losses), Ok(()));
    }

    #[test]
    fn a_peer_that_computes_something_else_is_named_with_its_first_step() {
        let mut wrong = moved(0.0);
        wrong[2] += 1e-3;
        let losses = [
            (Peer::PytorchEager, moved(0.0)),
            (Peer::FlexFused, wrong),
            (Peer::FlexFusedBf16, moved(1.0)),
            (Peer::FlexReference, moved(0.0)),
        ];
        let error = check(&losses).unwrap_err();
        assert!(
            error.contains("flex-fused has the loss 3.901 at step 2") && error.contains("flex-fused-bf16"),
            "{error}"
        );
        assert!(!error.contains("flex-reference"), "{error}");
    }

    #[test]
    fn a_loss_that_is_no_number_agrees_with_nothing() {
        let mut losses = [(Peer::PytorchEager, moved(0.0)), (Peer::FlexFused, moved(0.0))];
        losses[1].1[3] = f64::NAN;
        assert!(check(&losses).is_err());
        losses.swap(0, 1);
        assert!(check(&losses).is_err());
    }
}
