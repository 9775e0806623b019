//! Reductions of a row. The compiler does not reorder sums of floats, so these say the order: element `i` goes to
//! accumulator `i % LANES`, and the accumulators are summed as a tree.

/// Accumulators: two registers of AVX-512, four of AVX2, eight of NEON, enough to hide the latency of an addition.
const LANES: usize = 32;

/// The sums of `K` terms of the corresponding elements of `N` slices of one length.
#[inline(always)]
pub(super) fn sums<const N: usize, const K: usize>(
    slices: [&[f32]; N],
    terms: impl Fn([f32; N]) -> [f32; K],
) -> [f32; K] {
    let mut lanes = [[0.0f32; LANES]; K];
    let length = slices[0].len();
    let whole = length / LANES * LANES;
    for first in (0..whole).step_by(LANES) {
        for lane in 0..LANES {
            add(&mut lanes, lane, terms(elements(slices, first + lane)));
        }
    }
    for lane in 0..length - whole {
        add(&mut lanes, lane, terms(elements(slices, whole + lane)));
    }
    let mut sums = [0.0; K];
    for (sum, lanes) in sums.iter_mut().zip(lanes) {
        *sum = tree(lanes, |a, b| a + b);
    }
    sums
}

/// The element of each slice. Written out, since `std::array::from_fn` and `map` are not inlined into code for other SIMD
/// than the crate's.
#[inline(always)]
fn elements<const N: usize>(slices: [&[f32]; N], index: usize) -> [f32; N] {
    let mut elements = [0.0; N];
    for (element, slice) in elements.iter_mut().zip(slices) {
        *element = slice[index];
    }
    elements
}

#[inline(always)]
fn add<const K: usize>(lanes: &mut [[f32; LANES]; K], lane: usize, terms: [f32; K]) {
    for (lanes, term) in lanes.iter_mut().zip(terms) {
        lanes[lane] += term;
    }
}

/// The largest element; minus infinity of none. Skips NaN.
#[inline(always)]
pub(super) fn maximum(slice: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, tail) = slice.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(tail) {
        *lane = larger(*lane, x);
    }
    tree(lanes, larger)
}

/// One of all lanes, halving them.
#[inline(always)]
fn tree(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = join(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}
