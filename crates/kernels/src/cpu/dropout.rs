//! Dropout masks.

/// Inverted dropout, whose mask is a pure function of a key and of the element's index: the same on every device, in every
/// order of evaluation, and again in the backward pass, so that no mask is kept.
///
/// ```
/// use kernels::Dropout;
///
/// let dropout = Dropout { probability: 0.25, key: 7 };
/// let kept = (0..10_000).filter(|&index| dropout.factor(index) > 0.0).count();
/// assert!((7_300..7_700).contains(&kept)); // within 4.6 deviations of 7500
/// assert_eq!(dropout.factor(3), dropout.factor(3));
/// assert_eq!(Dropout::NONE.factor(3), 1.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Of an element to be zero; at least 0 and below 1.
    pub probability: f64,
    /// What the mask is drawn with.
    pub key: u64,
}

impl Dropout {
    /// Drops nothing.
    pub const NONE: Self = Self {
        probability: 0.0,
        key: 0,
    };

    /// The dropout of another place in the model: the same probability, other masks.
    pub fn at(self, place: u64) -> Self {
        let [low, high] = threefry(words(self.key), words(place));
        Self {
            key: u64::from(high) << 32 | u64::from(low),
            ..self
        }
    }

    /// Whether nothing is dropped.
    #[inline(always)]
    pub fn is_none(self) -> bool {
        self.probability == 0.0
    }

    /// What the element is multiplied with: 0, or `1 / (1 - probability)`.
    ///
    /// Both words of a block are used, without shuffling them: of 32 elements, the first 16 have the first words of 16
    /// blocks, and the others the second words.
    #[inline(always)]
    pub fn factor(self, index: u64) -> f32 {
        let drawn = threefry(words(self.key), words(index / 32 * 16 + index % 16));
        self.factor_of(drawn[index as usize / 16 % 2])
    }

    /// The factors of successive elements, of which the first has this index.
    ///
    /// It is a loop for [`vectorised`](super::simd::vectorised), fastest where the index is a multiple of 32.
    #[inline(always)]
    pub fn factors(self, first: u64, factors: &mut [f32]) {
        let mut group = first / 32;
        let mut skipped = (first % 32) as usize;
        let mut rest = factors;
        while !rest.is_empty() {
            let (now, later) = rest.split_at_mut((32 - skipped).min(rest.len()));
            if let Some(now) = now.as_mut_array() {
                self.group(group, now);
            } else {
                let mut drawn = [0.0; 32];
                self.group(group, &mut drawn);
                now.copy_from_slice(&drawn[skipped..][..now.len()]);
            }
            (group, skipped, rest) = (group + 1, 0, later);
        }
    }

    /// The factors of the elements from `32 * group`.
    #[inline(always)]
    fn group(self, group: u64, factors: &mut [f32; 32]) {
        let (firsts, seconds) = factors.split_at_mut(16);
        let [low, high] = words(group * 16);
        for (lane, (first, second)) in (0..16).zip(firsts.iter_mut().zip(seconds)) {
            // A multiple of 16 and less than 16 do not carry into the high word.
            let [a, b] = threefry(words(self.key), [low + lane, high]);
            *first = self.factor_of(a);
            *second = self.factor_of(b);
        }
    }

    #[inline(always)]
    fn factor_of(self, word: u32) -> f32 {
        if word < self.threshold() {
            0.0
        } else {
            self.scale()
        }
    }

    /// `1 / (1 - probability)`.
    #[inline(always)]
    pub fn scale(self) -> f32 {
        (1.0 / (1.0 - self.probability)) as f32
    }

    /// The words below it are dropped.
    #[inline(always)]
    fn threshold(self) -> u32 {
        (self.probability * 4_294_967_296.0) as u32
    }
}

/// Threefry-2x32 with 13 rounds, the fewest that pass BigCrush: two random words of a key and a counter, low words first
/// ("Parallel random numbers: as easy as 1, 2, 3", Salmon et al. 2011).
///
/// Additions, rotations and exclusive-ors, straight on and with constant rotations, so that a loop over counters is
/// vectorised: with a loop over the rounds inside, it is not.
#[inline(always)]
fn threefry([k0, k1]: [u32; 2], [c0, c1]: [u32; 2]) -> [u32; 2] {
    const PARITY: u32 = 0x1BD1_1BDA;
    let k2 = k0 ^ k1 ^ PARITY;
    let x = [c0.wrapping_add(k0), c1.wrapping_add(k1)];
    let x = four_rounds::<13, 15, 26, 6>(x, [k1, k2.wrapping_add(1)]);
    let x = four_rounds::<17, 29, 16, 24>(x, [k2, k0.wrapping_add(2)]);
    let x = four_rounds::<13, 15, 26, 6>(x, [k0, k1.wrapping_add(3)]);
    round::<17>(x)
}

/// Four rounds, and the keys added after them.
#[inline(always)]
fn four_rounds<const A: u32, const B: u32, const C: u32, const D: u32>(
    x: [u32; 2],
    [k0, k1]: [u32; 2],
) -> [u32; 2] {
    let [x0, x1] = round::<D>(round::<C>(round::<B>(round::<A>(x))));
    [x0.wrapping_add(k0), x1.wrapping_add(k1)]
}

#[inline(always)]
fn round<const ROTATION: u32>([x0, x1]: [u32; 2]) -> [u32; 2] {
    let x0 = x0.wrapping_add(x1);
    [x0, x1.rotate_left(ROTATION) ^ x0]
}

/// The low and the high word.
#[inline(always)]
fn words(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::{Dropout, threefry, words};

    /// The known answers that the authors publish with Random123 (`kat_vectors`, threefry2x32 13).
    #[test]
    fn threefry_gives_the_published_answers() {
        let threefry = |key, counter| threefry(words(key), words(counter));
        assert_eq!(threefry(0, 0), [0x9d1c_5ec6, 0x8bd5_0731]);
        assert_eq!(threefry(u64::MAX, u64::MAX), [0xfd36_d048, 0x2d17_272c]);
        assert_eq!(
            threefry(0x0370_7344_1319_8a2e, 0x85a3_08d3_243f_6a88),
            [0xba3e_4725, 0xf27d_669e]
        );
    }

    /// From anywhere in a group of 32, across the counters' high word too.
    #[test]
    fn successive_factors_are_the_factors_of_each() {
        let dropout = Dropout {
            probability: 0.4,
            key: 0x0123_4567_89ab_cdef,
        };
        for base in [0, (1 << 33) - 64, u64::MAX / 32 * 32 - 1024] {
            for (skipped, length) in
                (0..70).flat_map(|skipped| [0, 1, 15, 31, 32, 33, 97].map(|n| (skipped, n)))
            {
                let first = base + skipped;
                let mut factors = vec![f32::NAN; length];
                dropout.factors(first, &mut factors);
                let each: Vec<f32> = (first..)
                    .take(length)
                    .map(|index| dropout.factor(index))
                    .collect();
                assert_eq!(factors, each, "{length} from {first}");
            }
        }
    }
}
