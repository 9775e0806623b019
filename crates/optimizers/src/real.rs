use std::ops::{Add, Div, Mul, Sub};

use burn::tensor::Tensor;

/// The arithmetic that update rules are written in: f64, f32, and tensors, where every operation is element-wise.
///
/// Constants are f64 and are rounded once, to the precision of the instance, where they meet it.
pub trait Real:
    Clone + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// `self * factor`.
    fn scale(self, factor: f64) -> Self;
    /// `self + term`.
    fn shift(self, term: f64) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
}

impl Real for f64 {
    fn scale(self, factor: f64) -> Self {
        self * factor
    }
    fn shift(self, term: f64) -> Self {
        self + term
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
}

impl Real for f32 {
    #[inline(always)]
    fn scale(self, factor: f64) -> Self {
        self * factor as f32
    }
    #[inline(always)]
    fn shift(self, term: f64) -> Self {
        self + term as f32
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }
}

impl Real for Tensor<1> {
    fn scale(self, factor: f64) -> Self {
        self.mul_scalar(factor)
    }
    fn shift(self, term: f64) -> Self {
        self.add_scalar(term)
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
}
