#![allow(missing_docs, unused, clippy::all)]
pub mod sums {
    pub fn sum_rows(x: &[f32], o: &mut [f32]) {}
    pub fn sum_of_squares(x: &[f32]) -> f64 {
        0.0
    }
}
pub mod layer_norm {
    pub fn forward(
        x: &[f32],
        w: &[f32],
        b: Option<&[f32]>,
        e: f32,
        y: &mut [f32],
        m: &mut [f32],
        i: &mut [f32],
    ) {
    }
    pub fn backward(
        dy: &[f32],
        x: &[f32],
        w: &[f32],
        m: &[f32],
        i: &[f32],
        dx: &mut [f32],
        dw: &mut [f32],
        db: Option<&mut [f32]>,
    ) {
    }
}
pub mod gelu {
    pub fn forward(x: &[f32], b: Option<&[f32]>, y: &mut [f32]) {}
    pub fn backward(dy: &[f32], x: &[f32], b: Option<&[f32]>, dx: &mut [f32], db: Option<&mut [f32]>) {}
}
pub mod residual {
    use crate::Dropout;
    pub fn forward(x: &[f32], b: Option<&[f32]>, r: &[f32], d: Dropout, y: &mut [f32]) {}
    pub fn backward(dy: &[f32], d: Dropout, dx: &mut [f32], db: Option<&mut [f32]>, w: usize) {}
}
pub mod embedding {
    use crate::Dropout;
    pub fn forward(t: &[u32], tb: &[f32], p: &[f32], c: usize, d: Dropout, y: &mut [f32]) {}
    pub fn backward(dy: &[f32], t: &[u32], c: usize, d: Dropout, dt: &mut [f32], dp: &mut [f32]) {}
}
pub mod cross_entropy {
    pub fn forward(l: &[f32], t: &[u32], n: &mut [f32], s: &mut [f32]) {}
    pub fn backward(l: &mut [f32], t: &[u32], s: &[f32], d: &[f32]) {}
}
