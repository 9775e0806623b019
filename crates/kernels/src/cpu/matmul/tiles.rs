//! Operands of a bfloat16 product, rounded and laid out as the processor's instructions take them.
#![expect(
    unsafe_code,
    reason = "AVX-512 intrinsics on memory whose bounds are checked before them"
)]

use std::{arch::x86_64::*, mem::MaybeUninit};

use rayon::prelude::*;

use super::super::matrix::Matrix;

/// Rows or columns of a tile.
pub(super) const LANES: usize = 16;
/// Depth of a tile: numbers of a row of the left operand, or of a column of the right one.
pub(super) const DEPTH: usize = 32;

/// Sixteen lanes by sixteen pairs of bfloat16 that are neighbours in depth.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile([[u32; LANES]; LANES]);

impl Tile {
    /// One of its rows.
    #[target_feature(enable = "avx512f")]
    pub(super) fn row(&self, row: usize) -> __m512i {
        // SAFETY: a row is 64 bytes.
        unsafe { _mm512_loadu_si512(self.0[row].as_ptr().cast()) }
    }

    /// One of its pairs.
    pub(super) fn word(&self, row: usize, column: usize) -> i32 {
        self.0[row][column].cast_signed()
    }
}

/// Which of a tile's dimensions its rows are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Layout {
    /// A row for each lane: the left operand's.
    LaneByLane,
    /// A row for each pair: the right operand's.
    PairByPair,
}

/// An operand in tiles: strips of lanes, each with its tiles one after the other in depth, zeros at the edges. Strips are
/// even in number, for blocks of two by two tiles.
#[derive(Debug, Default)]
pub(super) struct Packed {
    tiles: Vec<Tile>,
    depth: usize,
}

impl Packed {
    /// The operand whose lanes are the rows of `matrix`, packed by all threads.
    ///
    /// # Safety
    /// The processor has AVX-512 F, BW and BF16.
    pub(super) unsafe fn new(matrix: Matrix, layout: Layout) -> Self {
        let mut packed = Self::default();
        let depth = matrix.columns().div_ceil(DEPTH);
        packed.fill(matrix, |room| {
            room.par_chunks_exact_mut(depth.max(1))
                .enumerate()
                // SAFETY: the caller's promise.
                .for_each(|(strip, tiles)| unsafe { pack_strip(matrix, layout, strip, tiles) });
        });
        packed
    }

    /// Another operand in the same memory, packed by this thread.
    ///
    /// # Safety
    /// The processor has AVX-512 F, BW and BF16.
    pub(super) unsafe fn refill(&mut self, matrix: Matrix, layout: Layout) {
        let depth = matrix.columns().div_ceil(DEPTH);
        self.fill(matrix, |room| {
            for (strip, tiles) in room.chunks_exact_mut(depth.max(1)).enumerate() {
                // SAFETY: the caller's promise.
                unsafe { pack_strip(matrix, layout, strip, tiles) };
            }
        });
    }

    /// `pack` writes every tile that it is given.
    fn fill(&mut self, matrix: Matrix, pack: impl FnOnce(&mut [MaybeUninit<Tile>])) {
        self.depth = matrix.columns().div_ceil(DEPTH);
        let count = matrix.rows().div_ceil(LANES).next_multiple_of(2) * self.depth;
        self.tiles.clear();
        self.tiles.reserve(count);
        pack(&mut self.tiles.spare_capacity_mut()[..count]);
        // SAFETY: every tile has been written.
        unsafe { self.tiles.set_len(count) };
    }

    /// The tiles of one strip.
    pub(super) fn strip(&self, strip: usize) -> &[Tile] {
        &self.tiles[strip * self.depth..][..self.depth]
    }
}

/// Writes the tiles of one strip.
///
/// # Safety
/// The processor has AVX-512 F, BW and BF16.
unsafe fn pack_strip(matrix: Matrix, layout: Layout, strip: usize, tiles: &mut [MaybeUninit<Tile>]) {
    let end = matrix.rows();
    let lanes = (strip * LANES).min(end)..(strip * LANES + LANES).min(end);
    for (step, tile) in tiles.iter_mut().enumerate() {
        let columns = step * DEPTH..(step * DEPTH + DEPTH).min(matrix.columns());
        // SAFETY: the caller's promise.
        tile.write(unsafe { pack(matrix.block(lanes.clone(), columns), layout) });
    }
}

/// Rounds a block of at most 16 lanes by 32 numbers.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack(block: Matrix, layout: Layout) -> Tile {
    let (native, rows) = if block.column_stride() == 1 {
        (Layout::LaneByLane, lane_by_lane(block))
    } else {
        assert!(block.row_stride() == 1, "lanes or depth are contiguous");
        (Layout::PairByPair, pair_by_pair(block))
    };
    let rows = if native == layout { rows } else { transpose(rows) };
    let mut tile = Tile([[0; LANES]; LANES]);
    for (to, row) in tile.0.iter_mut().zip(rows) {
        // SAFETY: a row is 64 bytes.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), row) };
    }
    tile
}

/// Of a block whose lanes are contiguous in depth.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn lane_by_lane(block: Matrix) -> [__m512i; LANES] {
    let depth = block.columns();
    let (low, high) = (mask(depth), mask(depth.saturating_sub(LANES)));
    let mut rows = [_mm512_setzero_si512(); LANES];
    for (lane, row) in rows.iter_mut().enumerate().take(block.rows()) {
        let numbers = block.row(lane).as_ptr();
        // SAFETY: the masks have as many bits as the row has numbers.
        let (low, high) = unsafe {
            (
                _mm512_maskz_loadu_ps(low, numbers),
                _mm512_maskz_loadu_ps(high, numbers.wrapping_add(LANES)),
            )
        };
        *row = bits(_mm512_cvtne2ps_pbh(high, low));
    }
    rows
}

/// Of a block in which numbers of the same depth are contiguous.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pair_by_pair(block: Matrix) -> [__m512i; LANES] {
    // From the first sixteen and the second sixteen of a register to pairs of them.
    let interleave = _mm512_set_epi16(
        31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18,
        2, 17, 1, 16, 0,
    );
    let lanes = mask(block.rows());
    let across = block.transposed();
    let load = |depth: usize| {
        if depth < across.rows() {
            // SAFETY: the mask has as many bits as the row has numbers.
            unsafe { _mm512_maskz_loadu_ps(lanes, across.row(depth).as_ptr()) }
        } else {
            _mm512_setzero_ps()
        }
    };
    let mut rows = [_mm512_setzero_si512(); LANES];
    for (pair, row) in rows.iter_mut().enumerate() {
        let rounded = _mm512_cvtne2ps_pbh(load(2 * pair + 1), load(2 * pair));
        *row = _mm512_permutexvar_epi16(interleave, bits(rounded));
    }
    rows
}

/// The first `lanes` of sixteen.
fn mask(lanes: usize) -> __mmask16 {
    ((1u32 << lanes.min(LANES)) - 1) as __mmask16
}

#[target_feature(enable = "avx512f")]
fn bits(numbers: __m512bh) -> __m512i {
    // SAFETY: both are 512 bits, any of which are integers.
    unsafe { std::mem::transmute(numbers) }
}

/// A matrix of 16 by 16 words: by words and pairs of words in each quarter of the registers, then by quarters.
#[target_feature(enable = "avx512f")]
fn transpose(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    let mut words = rows;
    for i in (0..LANES).step_by(2) {
        words[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        words[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    let mut pairs = words;
    for i in (0..LANES).step_by(4) {
        for j in 0..2 {
            pairs[i + 2 * j] = _mm512_unpacklo_epi64(words[i + j], words[i + j + 2]);
            pairs[i + 2 * j + 1] = _mm512_unpackhi_epi64(words[i + j], words[i + j + 2]);
        }
    }
    // `pairs[4 * q + c]` holds, in each quarter `p`, the column `4 * p + c` of the rows `4 * q` to `4 * q + 3`.
    let mut columns = pairs;
    for c in 0..4 {
        let (a, b, c2, d) = (pairs[c], pairs[4 + c], pairs[8 + c], pairs[12 + c]);
        let (even_low, odd_low) = (
            _mm512_shuffle_i32x4::<0x88>(a, b),
            _mm512_shuffle_i32x4::<0xDD>(a, b),
        );
        let (even_high, odd_high) = (
            _mm512_shuffle_i32x4::<0x88>(c2, d),
            _mm512_shuffle_i32x4::<0xDD>(c2, d),
        );
        columns[c] = _mm512_shuffle_i32x4::<0x88>(even_low, even_high);
        columns[8 + c] = _mm512_shuffle_i32x4::<0xDD>(even_low, even_high);
        columns[4 + c] = _mm512_shuffle_i32x4::<0x88>(odd_low, odd_high);
        columns[12 + c] = _mm512_shuffle_i32x4::<0xDD>(odd_low, odd_high);
    }
    columns
}
