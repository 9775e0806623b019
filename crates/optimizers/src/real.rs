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
    /// -1, 0 or 1.
    fn sign(self) -> Self;
    /// The larger of two.
    fn max(self, other: Self) -> Self;
    /// The larger of this and a constant.
    fn at_least(self, least: f64) -> Self;
    /// The nearest number between `-limit` and `limit`.
    fn clamp(self, limit: f64) -> Self;
    /// `self` where `condition > 0`, else 0.
    fn where_positive(self, condition: Self) -> Self;
}

/// The scalar instances, in which a constant is rounded where it meets the number.
macro_rules! real {
    ($Float:ident) => {
        impl Real for $Float {
            #[inline(always)]
            fn scale(self, factor: f64) -> Self {
                self * factor as $Float
            }
            #[inline(always)]
            fn shift(self, term: f64) -> Self {
                self + term as $Float
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                self.sqrt()
            }
            #[inline(always)]
            fn sign(self) -> Self {
                // `signum` gives 1 for 0.
                if self == 0.0 { 0.0 } else { self.signum() }
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                if self > other { self } else { other }
            }
            #[inline(always)]
            fn at_least(self, least: f64) -> Self {
                Real::max(self, least as $Float)
            }
            #[inline(always)]
            fn clamp(self, limit: f64) -> Self {
                self.clamp(-limit as $Float, limit as $Float)
            }
            #[inline(always)]
            fn where_positive(self, condition: Self) -> Self {
                if condition > 0.0 { self } else { 0.0 }
            }
        }
    };
}

real!(f32);
real!(f64);

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
    fn sign(self) -> Self {
        self.sign()
    }
    fn max(self, other: Self) -> Self {
        self.max_pair(other)
    }
    fn at_least(self, least: f64) -> Self {
        self.clamp_min(least)
    }
    fn clamp(self, limit: f64) -> Self {
        self.clamp(-limit, limit)
    }
    fn where_positive(self, condition: Self) -> Self {
        self.mask_fill(condition.lower_equal_scalar(0.0), 0.0)
    }
}
