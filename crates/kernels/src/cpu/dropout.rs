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
    #[inline(always)]
    pub fn factor(self, index: u64) -> f32 {
        let [word, _] = threefry(self.key, index);
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
/// numbers: as easy as 1, 2, 3", Salmon et al. 2011). Additions, rotations and exclusive-ors only, so it vectorises.
#[inline(always)]
fn threefry(key: u64, counter: u64) -> [u32; 2] {
    const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
    const PARITY: u32 = 0x1BD1_1BDA;
    let (k0, k1) = (key as u32, (key >> 32) as u32);
    let keys = [k0, k1, k0 ^ k1 ^ PARITY];
    let mut x0 = (counter as u32).wrapping_add(keys[0]);
    let mut x1 = ((counter >> 32) as u32).wrapping_add(keys[1]);
    for round in 0..13 {
        x0 = x0.wrapping_add(x1);
        x1 = x1.rotate_left(ROTATIONS[round % 8]) ^ x0;
        if round % 4 == 3 {
            let injection = round / 4 + 1;
            x0 = x0.wrapping_add(keys[injection % 3]);
            x1 = x1
                .wrapping_add(keys[(injection + 1) % 3])
                .wrapping_add(injection as u32);
        }
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
