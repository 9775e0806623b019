//! Matrix products.

#[cfg(target_arch = "x86_64")]
mod bf16;
mod f32;
#[cfg(target_arch = "x86_64")]
mod tiles;

use super::matrix::{Matrix, MatrixMut};
use crate::Precision;

/// What a product is added to.
#[derive(Clone, Copy, Debug)]
pub enum Onto<'a> {
    /// Nothing.
    Zero,
    /// This row, in every row: a bias.
    Row(&'a [f32]),
    /// What the output holds.
    Output,
}

impl Onto<'_> {
    /// What the columns from this one on are added to.
    #[inline(always)]
    pub(crate) fn at_column(self, column: usize) -> Self {
        match self {
            Self::Row(row) => Self::Row(&row[column..]),
            other => other,
        }
    }
}

/// `out = onto + a b`.
///
/// Shapes: `a` `[m, k]`, `b` `[k, n]`, `out` `[m, n]` row by row.
///
/// With [`Precision::Bf16`] the numbers of `a` and `b` are rounded to bfloat16, ties to even; their products are exact in
/// f32, and summed in f32. By the processor's AMX tiles where it has them, else by its AVX512-BF16 instructions, else by
/// f32 products of the rounded numbers.
///
/// # Panics
/// Where the shapes do not fit.
pub fn matmul(a: Matrix, b: Matrix, onto: Onto, out: &mut [f32], precision: Precision) {
    assert_eq!(a.columns(), b.rows(), "columns of a and rows of b");
    let mut out = MatrixMut::new(out, [a.rows(), b.columns()]);
    if let Onto::Row(row) = onto {
        assert_eq!(row.len(), b.columns(), "a row of the output");
    }
    match precision {
        Precision::Bf16 => rounded(a, b, onto, out),
        _ => f32::matmul(a, b, onto, &mut out),
    }
}

#[cfg(target_arch = "x86_64")]
fn rounded(a: Matrix, b: Matrix, onto: Onto, mut out: MatrixMut) {
    match bf16::Unit::of_this_processor() {
        Some(unit) => bf16::matmul(unit, a, b, onto, out),
        None => rounded_portably(a, b, onto, &mut out),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn rounded(a: Matrix, b: Matrix, onto: Onto, mut out: MatrixMut) {
    rounded_portably(a, b, onto, &mut out);
}

fn rounded_portably(a: Matrix, b: Matrix, onto: Onto, out: &mut MatrixMut) {
    let (rounded_a, rounded_b) = (round_all(a), round_all(b));
    f32::matmul(
        Matrix::new(&rounded_a, [a.rows(), a.columns()]),
        Matrix::new(&rounded_b, [b.rows(), b.columns()]),
        onto,
        out,
    );
}

/// The matrix row by row, its numbers rounded to bfloat16.
fn round_all(matrix: Matrix) -> Vec<f32> {
    let (rows, columns) = (matrix.rows(), matrix.columns());
    let numbers = (0..rows).flat_map(|row| (0..columns).map(move |column| matrix.at(row, column)));
    numbers.map(round).collect()
}

/// The nearest bfloat16, ties to even: the upper half of an f32.
fn round(x: f32) -> f32 {
    const LOWER: u32 = 0xFFFF;
    if x.is_nan() {
        return x;
    }
    let bits = x.to_bits();
    let half_or_just_below = LOWER / 2 + (bits >> 16 & 1);
    f32::from_bits(bits.wrapping_add(half_or_just_below) & !LOWER)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers between -1 and 1 that look random.
    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn rounds_to_the_nearest_bfloat16_and_ties_to_even() {
        // Eight bits of precision: from 1 to 2 in steps of 2^-7.
        let step = 2f32.powi(-7);
        assert_eq!(round(1.0 + 0.49 * step), 1.0);
        assert_eq!(round(1.0 + 0.51 * step), 1.0 + step);
        assert_eq!(round(1.0 + 0.5 * step), 1.0);
        assert_eq!(round(1.0 + 1.5 * step), 1.0 + 2.0 * step);
        assert_eq!(round(-1.0 - 1.5 * step), -1.0 - 2.0 * step);
        assert_eq!(round(f32::MAX), f32::INFINITY);
        assert!(round(f32::from_bits(0x7F80_0001)).is_nan());
    }

    type Product<'a> = &'a dyn Fn(Matrix, Matrix, Onto, &mut MatrixMut);

    /// Every way to multiply rounded numbers that this processor has.
    fn check_every_unit(check: impl Fn(&str, Product)) {
        check("portable", &|a, b, onto, out| rounded_portably(a, b, onto, out));
        #[cfg(target_arch = "x86_64")]
        if let Some(best) = bf16::Unit::of_this_processor() {
            for unit in [bf16::Unit::Avx512, best] {
                check(&format!("{unit:?}"), &|a, b, onto, out| {
                    let [rows, columns] = [out.rows(), out.columns()];
                    bf16::matmul(unit, a, b, onto, out.block(0..rows, 0..columns));
                });
            }
        }
    }

    #[test]
    fn every_unit_sums_the_products_of_the_rounded_numbers() {
        for [m, k, n] in [
            [1, 1, 1],
            [3, 5, 2],
            [16, 32, 16],
            [33, 31, 47],
            [32, 64, 65],
            [300, 70, 150],
        ] {
            let (x, w, bias, before) = (
                numbers(m * k, 1),
                numbers(k * n, 2),
                numbers(n, 3),
                numbers(m * n, 4),
            );
            let across = |elements: &[f32], rows: usize| -> Vec<f32> {
                let columns = elements.len() / rows;
                let at = |i: usize| elements[i % rows * columns + i / rows];
                (0..elements.len()).map(at).collect()
            };
            let (x_across, w_across) = (across(&x, m), across(&w, k));
            let lefts = [
                Matrix::new(&x, [m, k]),
                Matrix::new(&x_across, [k, m]).transposed(),
            ];
            let rights = [
                Matrix::new(&w, [k, n]),
                Matrix::new(&w_across, [n, k]).transposed(),
            ];
            let ontos = [Onto::Zero, Onto::Row(&bias), Onto::Output];
            check_every_unit(|unit, multiply| {
                for (a, b, onto) in lefts
                    .iter()
                    .flat_map(|a| rights.iter().map(move |b| (a, b)))
                    .flat_map(|(a, b)| ontos.iter().map(move |onto| (*a, *b, *onto)))
                {
                    let mut out = before.clone();
                    multiply(a, b, onto, &mut MatrixMut::new(&mut out, [m, n]));
                    for (i, out) in out.iter().enumerate() {
                        let start = match onto {
                            Onto::Zero => 0.0,
                            Onto::Row(bias) => bias[i % n],
                            Onto::Output => before[i],
                        };
                        let term = |l: usize| {
                            f64::from(round(x[i / n * k + l])) * f64::from(round(w[l * n + i % n]))
                        };
                        let exact = f64::from(start) + (0..k).map(term).sum::<f64>();
                        let size = f64::from(start.abs()) + (0..k).map(|l| term(l).abs()).sum::<f64>();
                        // One rounding a term, in whatever order they are summed.
                        let bound = (k + 1) as f64 * f64::from(f32::EPSILON) * size;
                        let error = (f64::from(*out) - exact).abs();
                        assert!(
                            error <= bound,
                            "{unit}, {m} x {k} x {n}, {onto:?}: {out} instead of {exact}"
                        );
                    }
                }
            });
        }
    }
}
