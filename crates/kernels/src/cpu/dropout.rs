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
        let [low, high] = threefry(self.key, place);
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
        let words = threefry(self.key, index / 32 * 16 + index % 16);
        self.factor_of(words[index as usize / 16 % 2])
    }

    /// The factors of successive elements, of which the first has this index.
    ///
    /// It is a loop for [`vectorised`](super::simd::vectorised), fastest where the index is a multiple of 32.
    #[inline(always)]
    pub fn factors(self, first: u64, factors: &mut [f32]) {
        let misaligned = (first % 32) as usize;
        let (head, factors) = factors.split_at_mut(((32 - misaligned) % 32).min(factors.len()));
        let mut group = first / 32;
        if !head.is_empty() {
            head.copy_from_slice(&self.group(group)[misaligned..][..head.len()]);
            group += 1;
        }
        let (groups, tail) = factors.as_chunks_mut::<32>();
        for factors in groups {
            *factors = self.group(group);
            group += 1;
        }
        if !tail.is_empty() {
            tail.copy_from_slice(&self.group(group)[..tail.len()]);
        }
    }

    /// The factors of the elements from `32 * group`.
    #[inline(always)]
    fn group(self, group: u64) -> [f32; 32] {
        let words = threefry_lanes::<16>(self.key, group * 16);
        let mut factors = [0.0; 32];
        for (factor, &word) in factors.iter_mut().zip(words.as_flattened()) {
            *factor = self.factor_of(word);
        }
        factors
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

/// Threefry-2x32 with 13 rounds, the fewest that pass BigCrush: two random words of a key and a counter ("Parallel random
/// numbers: as easy as 1, 2, 3", Salmon et al. 2011).
#[inline(always)]
fn threefry(key: u64, counter: u64) -> [u32; 2] {
    let [[first], [second]] = threefry_lanes::<1>(key, counter);
    [first, second]
}

/// The words of `N` successive counters that do not differ in their high words: additions, rotations and exclusive-ors
/// of all lanes at a time. The rounds are written out, so that the compiler makes vectors of the lanes.
#[inline(always)]
fn threefry_lanes<const N: usize>(key: u64, counter: u64) -> [[u32; N]; 2] {
    const PARITY: u32 = 0x1BD1_1BDA;
    let (k0, k1) = (key as u32, (key >> 32) as u32);
    let k2 = k0 ^ k1 ^ PARITY;
    let first = (counter as u32).wrapping_add(k0);
    let mut words = [[0; N], [((counter >> 32) as u32).wrapping_add(k1); N]];
    for (lane, word) in (0..).zip(&mut words[0]) {
        *word = first.wrapping_add(lane);
    }
    words = round::<13, N>(words);
    words = round::<15, N>(words);
    words = round::<26, N>(words);
    words = round::<6, N>(words);
    words = inject(words, [k1, k2.wrapping_add(1)]);
    words = round::<17, N>(words);
    words = round::<29, N>(words);
    words = round::<16, N>(words);
    words = round::<24, N>(words);
    words = inject(words, [k2, k0.wrapping_add(2)]);
    words = round::<13, N>(words);
    words = round::<15, N>(words);
    words = round::<26, N>(words);
    words = round::<6, N>(words);
    words = inject(words, [k0, k1.wrapping_add(3)]);
    round::<17, N>(words)
}

#[inline(always)]
fn round<const ROTATION: u32, const N: usize>([mut x0, mut x1]: [[u32; N]; 2]) -> [[u32; N]; 2] {
    for (x0, x1) in x0.iter_mut().zip(&mut x1) {
        *x0 = x0.wrapping_add(*x1);
        *x1 = x1.rotate_left(ROTATION) ^ *x0;
    }
    [x0, x1]
}

#[inline(always)]
fn inject<const N: usize>([mut x0, mut x1]: [[u32; N]; 2], keys: [u32; 2]) -> [[u32; N]; 2] {
    for (x0, x1) in x0.iter_mut().zip(&mut x1) {
        *x0 = x0.wrapping_add(keys[0]);
        *x1 = x1.wrapping_add(keys[1]);
    }
    [x0, x1]
}

#[cfg(test)]
mod tests {
    use super::threefry;

    /// The known answers that the authors publish with Random123 (`kat_vectors`, threefry2x32 13).
    #[test]
    fn threefry_gives_the_published_answers() {
        assert_eq!(threefry(0, 0), [0x9d1c_5ec6, 0x8bd5_0731]);
        assert_eq!(threefry(u64::MAX, u64::MAX), [0xfd36_d048, 0x2d17_272c]);
        assert_eq!(
            threefry(0x0370_7344_1319_8a2e, 0x85a3_08d3_243f_6a88),
            [0xba3e_4725, 0xf27d_669e]
        );
    }
}
