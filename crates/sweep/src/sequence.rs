//! Sequences of points of the unit cube, each point a pure function of (seed, index): random, Sobol and Halton.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// The direction numbers of Sobol's sequence for the dimensions after the first: the polynomial's coefficients between
/// its leading and its last one as bits, and the first numbers m, as many as its degree.
///
/// S. Joe and F. Y. Kuo, Constructing Sobol sequences with better two-dimensional projections, SIAM J. Sci. Comput. 30
/// (2008): the first lines of their table new-joe-kuo-6.
const JOE_KUO: [(u32, &[u32]); 20] = [
    (0, &[1]),
    (1, &[1, 3]),
    (1, &[1, 3, 1]),
    (2, &[1, 1, 1]),
    (1, &[1, 1, 3, 3]),
    (4, &[1, 3, 5, 13]),
    (2, &[1, 1, 5, 5, 17]),
    (4, &[1, 1, 5, 5, 5]),
    (7, &[1, 1, 7, 11, 19]),
    (11, &[1, 1, 5, 1, 1]),
    (13, &[1, 1, 1, 3, 11]),
    (14, &[1, 3, 5, 5, 31]),
    (1, &[1, 3, 3, 9, 7, 49]),
    (13, &[1, 1, 1, 15, 21, 21]),
    (16, &[1, 3, 1, 13, 27, 49]),
    (19, &[1, 1, 1, 15, 7, 5]),
    (22, &[1, 3, 1, 15, 13, 25]),
    (25, &[1, 1, 5, 5, 19, 61]),
    (1, &[1, 3, 7, 11, 23, 15, 103]),
    (4, &[1, 3, 7, 13, 13, 15, 69]),
];

/// Bits of a coordinate of Sobol's sequence.
const BITS: usize = u32::BITS as usize;

/// Points of the unit cube.
#[derive(Clone, Debug)]
pub(crate) enum Sequence {
    Random {
        seed: u64,
        dimensions: usize,
    },
    /// For each dimension the directions, and the shift that is added without carry.
    Sobol(Vec<([u32; BITS], u32)>),
    /// For each dimension its base, a prime, and the shift that is added modulo 1.
    Halton(Vec<(u64, f64)>),
}

impl Sequence {
    /// The most dimensions that Sobol's sequence has here.
    pub const SOBOL_DIMENSIONS: usize = JOE_KUO.len() + 1;

    pub fn random(seed: u64, dimensions: usize) -> Self {
        Self::Random { seed, dimensions }
    }

    /// Sobol's sequence under a random digital shift; of more than [`SOBOL_DIMENSIONS`](Self::SOBOL_DIMENSIONS), the
    /// others are missing.
    pub fn sobol(seed: u64, dimensions: usize) -> Self {
        let shifts = (0..dimensions as u64).map(|dimension| generator(seed, dimension).next_u32());
        let directions = std::iter::once(first_directions()).chain(JOE_KUO.iter().map(directions));
        Self::Sobol(directions.zip(shifts).collect())
    }

    /// Halton's sequence in the first primes, under a random shift modulo 1.
    pub fn halton(seed: u64, dimensions: usize) -> Self {
        let prime = |n: &u64| (2..*n).all(|divisor| !n.is_multiple_of(divisor));
        let shifts = (0..dimensions as u64).map(|dimension| unit(generator(seed, dimension).next_u64()));
        Self::Halton((2..).filter(prime).zip(shifts).collect())
    }

    /// The point at `index`, each coordinate at least 0 and below 1.
    pub fn point(&self, index: u64) -> Vec<f64> {
        match self {
            Self::Random { seed, dimensions } => {
                let mut generator = generator(*seed, index);
                (0..*dimensions).map(|_| unit(generator.next_u64())).collect()
            }
            Self::Sobol(dimensions) => {
                let coordinate = |(directions, shift): &([u32; BITS], u32)| sobol(directions, index) ^ shift;
                let scale = 0.5f64.powi(BITS as i32);
                dimensions
                    .iter()
                    .map(|dimension| f64::from(coordinate(dimension)) * scale)
                    .collect()
            }
            // The point at 0 is the corner in every base.
            Self::Halton(dimensions) => dimensions
                .iter()
                .map(|(base, shift)| (radical_inverse(index + 1, *base) + shift).fract())
                .collect(),
        }
    }
}

/// A stream of random numbers of its own for each (seed, stream).
pub(crate) fn generator(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(stream);
    generator
}

/// At least 0 and below 1, from the 53 highest bits.
pub(crate) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 * 0.5f64.powi(53)
}

/// The directions of the first dimension, whose coordinates are van der Corput's.
fn first_directions() -> [u32; BITS] {
    std::array::from_fn(|bit| 1 << (BITS - 1 - bit))
}

/// With m_k for the polynomial x^s + a_1 x^(s-1) + .. + 1:
/// `m_k = 2 a_1 m_(k-1) ^ 4 a_2 m_(k-2) ^ .. ^ 2^s m_(k-s) ^ m_(k-s)`, and the direction is `m_k / 2^k`.
fn directions((coefficients, first): &(u32, &[u32])) -> [u32; BITS] {
    let degree = first.len();
    let mut directions = [0; BITS];
    for k in 0..BITS {
        directions[k] = if k < degree {
            first[k] << (BITS - 1 - k)
        } else {
            let last = directions[k - degree];
            let mut direction = last ^ (last >> degree);
            for i in 1..degree {
                if coefficients >> (degree - 1 - i) & 1 == 1 {
                    direction ^= directions[k - i];
                }
            }
            direction
        };
    }
    directions
}

/// The coordinate at `index` in the order of the Gray code.
fn sobol(directions: &[u32; BITS], index: u64) -> u32 {
    let gray = index ^ (index >> 1);
    (0..BITS)
        .filter(|bit| gray >> bit & 1 == 1)
        .fold(0, |x, bit| x ^ directions[bit])
}

/// The digits of `index` in `base`, mirrored at the point.
fn radical_inverse(mut index: u64, base: u64) -> f64 {
    let (mut value, mut scale) = (0.0, 1.0);
    while index > 0 {
        scale /= base as f64;
        value += (index % base) as f64 * scale;
        index /= base;
    }
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn haltons_first_points_are_those_of_paper_and_pencil() {
        let expected = [
            (1.0 / 2.0, 1.0 / 3.0),
            (1.0 / 4.0, 2.0 / 3.0),
            (3.0 / 4.0, 1.0 / 9.0),
            (1.0 / 8.0, 4.0 / 9.0),
            (5.0 / 8.0, 7.0 / 9.0),
            (3.0 / 8.0, 2.0 / 9.0),
        ];
        for (index, (two, three)) in (1..).zip(expected) {
            assert_eq!(radical_inverse(index, 2), two);
            // A quotient and a product, each rounded once.
            assert!((radical_inverse(index, 3) - three).abs() <= 2.0 * f64::EPSILON);
        }
        let Sequence::Halton(dimensions) = Sequence::halton(0, 6) else {
            panic!("Halton's sequence")
        };
        assert_eq!(
            dimensions.iter().map(|(base, _)| *base).collect::<Vec<_>>(),
            [2, 3, 5, 7, 11, 13]
        );
    }

    #[test]
    fn sobols_points_are_scipys() {
        // Times 2^32, what SciPy 1.17.1 computes for scipy.stats.qmc.Sobol(d=21, scramble=False, bits=32).random(1024).
        let published: [(u64, [u32; Sequence::SOBOL_DIMENSIONS]); 2] = [
            (
                700,
                [
                    1203765248, 423624704, 591396864, 2025848832, 239075328, 1505755136, 339738624,
                    3015704576, 4022337536, 4013948928, 1799356416, 2361393152, 3015704576, 3200253952,
                    1363148800, 339738624, 448790528, 1589641216, 3544186880, 54525952, 1396703232,
                ],
            ),
            (
                1023,
                [
                    4194304, 3233808384, 2629828608, 624951296, 801112064, 1883242496, 599785472, 2654994432,
                    1480589312, 3653238784, 2915041280, 155189248, 557842432, 2856321024, 1556086784,
                    1992294400, 1346371584, 3762290688, 2512388096, 1371537408, 3720347648,
                ],
            ),
        ];
        for (index, expected) in published {
            let all = std::iter::once(first_directions()).chain(JOE_KUO.iter().map(directions));
            let point: Vec<u32> = all.map(|directions| sobol(&directions, index)).collect();
            assert_eq!(point, expected, "{index}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn each_2_to_the_k_sobol_points_are_stratified_in_every_dimension(
            seed: u64, k in 0..10u32, block in 0..4u64, dimensions in 1..=Sequence::SOBOL_DIMENSIONS,
        ) {
            let sequence = Sequence::sobol(seed, dimensions);
            let count = 1u64 << k;
            for dimension in 0..dimensions {
                let mut cells = vec![0; count as usize];
                for index in block * count..(block + 1) * count {
                    cells[(sequence.point(index)[dimension] * count as f64) as usize] += 1;
                }
                prop_assert!(cells.iter().all(|&points| points == 1));
            }
        }

        #[test]
        fn the_first_two_sobol_dimensions_are_a_net(seed: u64, k in 0..9u32, split in 0..9u32) {
            // Every box of 2^-a by 2^-b with a + b = k holds one of 2^k points.
            let (a, b) = (split.min(k), k - split.min(k));
            let sequence = Sequence::sobol(seed, 2);
            let mut boxes = vec![0; 1 << k];
            for index in 0..1u64 << k {
                let point = sequence.point(index);
                let cell = |x: f64, bits: u32| (x * f64::from(1u32 << bits)) as usize;
                boxes[(cell(point[0], a) << b) | cell(point[1], b)] += 1;
            }
            prop_assert!(boxes.iter().all(|&points| points == 1));
        }

        #[test]
        fn coordinates_are_in_the_unit_interval_and_depend_on_seed_and_index_alone(
            seed: u64, index in 0..1_000_000u64, dimensions in 1..12usize,
        ) {
            for make in [Sequence::random, Sequence::sobol, Sequence::halton] {
                let point = make(seed, dimensions).point(index);
                prop_assert_eq!(point.len(), dimensions);
                prop_assert!(point.iter().all(|x| (0.0..1.0).contains(x)));
                prop_assert_eq!(&point, &make(seed, dimensions).point(index));
                prop_assert_ne!(&point, &make(seed ^ 1, dimensions).point(index));
            }
        }
    }

    /// The centred L2 discrepancy (Hickernell 1998), as SciPy's `qmc.discrepancy` has it.
    fn discrepancy(points: &[Vec<f64>]) -> f64 {
        let n = points.len() as f64;
        let dimensions = points[0].len() as i32;
        let far = |x: &f64| (x - 0.5).abs();
        let single: f64 = points
            .iter()
            .map(|p| {
                p.iter()
                    .map(|x| 1.0 + 0.5 * far(x) - 0.5 * far(x).powi(2))
                    .product::<f64>()
            })
            .sum();
        let pairs: f64 = points
            .iter()
            .flat_map(|p| points.iter().map(move |q| (p, q)))
            .map(|(p, q)| {
                p.iter()
                    .zip(q)
                    .map(|(x, y)| 1.0 + 0.5 * far(x) + 0.5 * far(y) - 0.5 * (x - y).abs())
                    .product::<f64>()
            })
            .sum();
        (13.0f64 / 12.0).powi(dimensions) - 2.0 / n * single + pairs / (n * n)
    }

    #[test]
    fn low_discrepancy_is_lower_than_that_of_random_points_and_falls_faster() {
        let mean = |make: fn(u64, usize) -> Sequence, count: u64| {
            let of = |seed| {
                let sequence = make(seed, 4);
                let points: Vec<Vec<f64>> = (0..count).map(|index| sequence.point(index)).collect();
                discrepancy(&points)
            };
            (0..8).map(of).sum::<f64>() / 8.0
        };
        for make in [Sequence::sobol, Sequence::halton] {
            let (few, many) = (mean(make, 64), mean(make, 512));
            let (few_random, many_random) = (mean(Sequence::random, 64), mean(Sequence::random, 512));
            assert!(few < few_random && many < many_random);
            // The squared discrepancy of random points falls as 1/n, an eighth here.
            assert!(many / few < many_random / few_random);
        }
    }
}
