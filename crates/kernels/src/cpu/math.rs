//! Functions of f32 without branches or calls, so that a loop over them is vectorised.

/// `e^x` to 2 ULP; 0 below -103.97 (and for -inf), infinite above 88.72, NaN for NaN.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; e^r is a polynomial, 2^n two exponents (so that denormals come out right).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = if x < -104.0 { -104.0 } else { x };
    let x = if x > 89.0 { 89.0 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = (-n).mul_add(LN_2_LOW, (-n).mul_add(LN_2_HIGH, x));
    let mut p = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = r.mul_add(p, coefficient);
    }
    let exponent = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = exponent >> 1;
    p * power_of_two(half) * power_of_two(exponent.wrapping_sub(half))
}

/// `2^n` for -126 <= n <= 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(n.wrapping_add(127).wrapping_shl(23) as u32)
}

/// `sigmoid(x) = 1 / (1 + e^-x)` and `1 - sigmoid(x)`, each to a few ULP of itself where |x| is small; beyond |x| = 87 they
/// stay at what they are there, 1e-38 from 0 and 1. NaN for NaN.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> (f32, f32) {
    // So that e^-x and its inverse are normal numbers.
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 87.0 { 87.0 } else { x };
    let e = exp(-x);
    let sigmoid = 1.0 / (1.0 + e);
    (sigmoid, e * sigmoid)
}

#[cfg(test)]
mod tests {
    use super::{exp, sigmoid};

    #[test]
    fn exp_is_within_two_ulp() {
        let mut worst = 0.0f64;
        for i in -1_040_000..=887_000 {
            let x = i as f32 * 1e-4;
            let exact = f64::from(x).exp();
            let ulp = f64::from(f32::from_bits((exact as f32).to_bits() + 1)) - f64::from(exact as f32);
            worst = worst.max((f64::from(exp(x)) - exact).abs() / ulp);
        }
        assert!(worst <= 2.0, "{worst} ULP");
        assert_eq!([exp(f32::NEG_INFINITY), exp(0.0)], [0.0, 1.0]);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn sigmoid_and_its_complement_are_relatively_exact() {
        // exp's two ULP, of an argument that is exact, then three roundings of half an ULP each: 4 ULP.
        let bound = 4.0 * f64::from(f32::EPSILON);
        for i in -870_000..=870_000 {
            let x = i as f32 * 1e-4;
            let (s, complement) = sigmoid(x);
            for (actual, exact) in [(s, f64::from(x)), (complement, -f64::from(x))] {
                let exact = 1.0 / (1.0 + (-exact).exp());
                let error = (f64::from(actual) / exact - 1.0).abs();
                assert!(error <= bound, "sigmoid({x}) is off by {error:e}");
            }
        }
        for (x, limit) in [(f32::MAX, (1.0, 0.0)), (f32::NEG_INFINITY, (0.0, 1.0))] {
            let (s, complement) = sigmoid(x);
            assert!((s - limit.0).abs() < 2e-38 && (complement - limit.1).abs() < 2e-38);
        }
        assert!(sigmoid(f32::NAN).0.is_nan());
    }
}
