#![allow(missing_docs, unused, clippy::all)]
pub mod attention {
    use crate::{AttentionShape, Dropout};
    pub fn forward(q: &[f32], s: AttentionShape, d: Dropout, o: &mut [f32], l: &mut [f32]) {}
    pub fn backward(
        do_: &[f32],
        q: &[f32],
        o: &[f32],
        l: &[f32],
        s: AttentionShape,
        d: Dropout,
        dq: &mut [f32],
    ) {
    }
}
