//! Products of bfloat16 numbers, summed in f32.
#![expect(
    unsafe_code,
    reason = "instructions that Rust has no safe form of, on memory whose bounds are checked before them"
)]

use std::{
    arch::{asm, x86_64::*},
    sync::LazyLock,
};

use rayon::prelude::*;

use super::{
    super::matrix::{Matrix, MatrixMut},
    Onto,
    tiles::{LANES, Layout, Packed, Tile},
};

/// Rows and columns of what is computed at a time: two by two tiles.
const BLOCK: usize = 2 * LANES;
/// The widest panel: its half of the operands stays in the core's cache.
const PANEL: usize = 4 * BLOCK;
/// At least so many panels, where there is work for them.
const PANELS: usize = 8;
/// Numbers that are summed before the sums go back to memory.
const DEPTH: usize = 4096;
/// Lanes of the shared operand that stay in the core's cache while a panel passes over them.
const GROUP: usize = 8 * BLOCK;

/// What multiplies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unit {
    /// Tile registers: 16 by 16 sums of 32 products an instruction.
    Amx,
    /// AVX512-BF16: 16 sums of two products an instruction.
    Avx512,
}

impl Unit {
    /// The fastest that this processor has and the system grants.
    pub(super) fn of_this_processor() -> Option<Self> {
        static UNIT: LazyLock<Option<Unit>> = LazyLock::new(|| {
            let rounds = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512bf16");
            rounds.then(|| if amx_is_granted() { Unit::Amx } else { Unit::Avx512 })
        });
        *UNIT
    }
}

/// Whether the processor has bfloat16 tiles and the system lets this process use them: Linux wants to be asked, since
/// their 8 KiB have to be saved with each thread.
#[cfg(target_os = "linux")]
fn amx_is_granted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    const AMX_BF16_AND_TILE: u32 = 1 << 22 | 1 << 24;
    let has = __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & AMX_BF16_AND_TILE == AMX_BF16_AND_TILE;
    // SAFETY: the call asks for a permission and touches no memory.
    has && unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) } == 0
}

#[cfg(not(target_os = "linux"))]
fn amx_is_granted() -> bool {
    false
}

/// `out = onto + a b`, the numbers of `a` and `b` rounded.
///
/// The smaller operand is packed once. The larger one is cut into panels, and so is the output; a task packs its panel
/// and multiplies it with the whole of the other.
pub(super) fn matmul(unit: Unit, a: Matrix, b: Matrix, mut onto: Onto, mut out: MatrixMut) {
    let (rows, columns) = (out.rows(), out.columns());
    // At least once, so that a product over nothing is what it is added to.
    for first in (0..a.columns().max(1)).step_by(DEPTH) {
        let depth = first..a.columns().min(first + DEPTH);
        let (a, b) = (a.block(0..rows, depth.clone()), b.block(depth, 0..columns));
        shallow(unit, a, b, onto, out.block(0..rows, 0..columns));
        onto = Onto::Output;
    }
}

/// A product whose panels fit into the cache.
fn shallow(unit: Unit, a: Matrix, b: Matrix, onto: Onto, out: MatrixMut) {
    let (rows, columns) = (out.rows(), out.columns());
    let by_columns = columns >= rows;
    let longer = rows.max(columns);
    let width = longer.div_ceil(PANELS).next_multiple_of(BLOCK).min(PANEL);
    // SAFETY: a `Unit` is only there where the processor has AVX-512 F, BW and BF16.
    let shared = unsafe {
        if by_columns {
            Packed::new(a, Layout::LaneByLane)
        } else {
            Packed::new(b.transposed(), Layout::PairByPair)
        }
    };
    let panel_shape = if by_columns {
        [rows, width]
    } else {
        [width, columns]
    };
    let panels: Vec<MatrixMut> = out.blocks(panel_shape).collect();
    panels
        .into_par_iter()
        .enumerate()
        .for_each_init(Packed::default, |panel, (index, out)| {
            let lanes = index * width..longer.min(index * width + width);
            // SAFETY: as above.
            unsafe {
                if by_columns {
                    panel.refill(
                        b.transposed().block(lanes.clone(), 0..b.rows()),
                        Layout::PairByPair,
                    );
                } else {
                    panel.refill(a.block(lanes.clone(), 0..a.columns()), Layout::LaneByLane);
                }
            }
            let (task, grouped) = if by_columns {
                (
                    Task {
                        a: &shared,
                        b: panel,
                        onto: onto.at_column(lanes.start),
                    },
                    [GROUP, width],
                )
            } else {
                (
                    Task {
                        a: panel,
                        b: &shared,
                        onto,
                    },
                    [width, GROUP],
                )
            };
            match unit {
                // SAFETY: the unit is there.
                Unit::Amx => unsafe { with_tiles(|| task.run(out, grouped, |block| amx(block))) },
                // SAFETY: the unit is there.
                Unit::Avx512 => task.run(out, grouped, |block| unsafe { avx512(block) }),
            }
        });
}

/// A part of the output that one thread computes.
struct Task<'a> {
    a: &'a Packed,
    b: &'a Packed,
    onto: Onto<'a>,
}

/// One block: the strips of its rows and columns, what its sums begin with, and where they go.
struct Block<'a> {
    a: [&'a [Tile]; 2],
    b: [&'a [Tile]; 2],
    /// The first of its numbers, and from one row to the next in elements: 0 where all rows begin alike.
    start: (*const f32, usize),
    out: (*mut f32, usize),
}

impl Task<'_> {
    /// Computes the part, block by block with `multiply`, and group by group of `[rows, columns]`.
    fn run(&self, mut out: MatrixMut, group: [usize; 2], multiply: impl Fn(Block)) {
        let (rows, columns) = (out.rows(), out.columns());
        for (top, left) in corners([rows, columns], group) {
            let group = [group[0].min(rows - top), group[1].min(columns - left)];
            for (row, column) in corners(group, [BLOCK; 2]) {
                let (row, column) = (top + row, left + column);
                let block = out.block(row..rows.min(row + BLOCK), column..columns.min(column + BLOCK));
                self.block(row, column, block, &multiply);
            }
        }
    }

    /// Computes the block whose corner is at `row` and `column` of the part.
    fn block(&self, row: usize, column: usize, mut out: MatrixMut, multiply: impl Fn(Block)) {
        let a = [self.a.strip(row / LANES), self.a.strip(row / LANES + 1)];
        let b = [self.b.strip(column / LANES), self.b.strip(column / LANES + 1)];
        const ZEROS: [f32; BLOCK] = [0.0; BLOCK];
        if [out.rows(), out.columns()] == [BLOCK; 2] {
            let to = (out.as_mut_ptr(), out.row_stride());
            let start = match self.onto {
                Onto::Zero => (ZEROS.as_ptr(), 0),
                Onto::Row(bias) => (bias[column..][..BLOCK].as_ptr(), 0),
                Onto::Output => (to.0.cast_const(), to.1),
            };
            multiply(Block { a, b, start, out: to });
            return;
        }
        let mut whole = [[0.0; BLOCK]; BLOCK];
        for (row, whole) in whole.iter_mut().enumerate().take(out.rows()) {
            let width = out.columns();
            match self.onto {
                Onto::Zero => {}
                Onto::Row(bias) => whole[..width].copy_from_slice(&bias[column..][..width]),
                Onto::Output => whole[..width].copy_from_slice(out.row_mut(row)),
            }
        }
        let to = (whole.as_flattened_mut().as_mut_ptr(), BLOCK);
        multiply(Block {
            a,
            b,
            start: (to.0.cast_const(), to.1),
            out: to,
        });
        for (row, whole) in whole.iter().enumerate().take(out.rows()) {
            let width = out.columns();
            out.row_mut(row).copy_from_slice(&whole[..width]);
        }
    }
}

/// The corners of the blocks that cover a matrix, column of blocks by column.
fn corners([rows, columns]: [usize; 2], block: [usize; 2]) -> impl Iterator<Item = (usize, usize)> {
    let lefts = (0..columns).step_by(block[1]);
    lefts.flat_map(move |left| (0..rows).step_by(block[0]).map(move |top| (top, left)))
}

/// Eight tile registers of 16 rows of 64 bytes each: the layout of LDTILECFG's operand.
#[repr(C, align(64))]
struct TileConfiguration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Runs `work` with the tile registers set up.
///
/// # Safety
/// The processor has AMX, and the system grants it.
unsafe fn with_tiles(work: impl FnOnce()) {
    let mut configuration = TileConfiguration {
        palette: 1,
        start_row: 0,
        reserved: [0; 14],
        row_bytes: [0; 16],
        rows: [0; 16],
    };
    configuration.row_bytes[..8].fill(64);
    configuration.rows[..8].fill(16);
    // SAFETY: the operand is 64 bytes of the form that the instruction wants; Rust itself has no use for tile registers.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly)) };
    work();
    // SAFETY: no memory is touched. Without tiles in use, the system has less to save.
    unsafe { asm!("tilerelease", options(nostack, nomem)) };
}

/// The sums of a block, in four tile registers.
///
/// # Safety
/// In [`with_tiles`]; start and out are 32 rows of 32 numbers at their strides.
unsafe fn amx(block: Block) {
    let Block { a, b, start, out } = block;
    const ROW: usize = size_of::<f32>();
    let (start_stride, out_stride) = (start.1 * ROW, out.1 * ROW);
    let depth = a[0].len();
    assert!(a[1].len() == depth && b[0].len() == depth && b[1].len() == depth);
    // SAFETY: a tile register is loaded from or stored to 16 rows of 64 bytes: those of start and out are the caller's
    // promise; those of the strips follow one another in `depth` tiles of 1024 bytes.
    unsafe {
        asm!(
            "tileloadd tmm0, [{start_top} + {start_stride}]",
            "tileloadd tmm1, [{start_top} + {start_stride} + 64]",
            "tileloadd tmm2, [{start_bottom} + {start_stride}]",
            "tileloadd tmm3, [{start_bottom} + {start_stride} + 64]",
            "test {depth}, {depth}",
            "jz 3f",
            "2:",
            "tileloadd tmm4, [{a0} + {row}]",
            "tileloadd tmm6, [{b0} + {row}]",
            "tileloadd tmm5, [{a1} + {row}]",
            "tileloadd tmm7, [{b1} + {row}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a0}, 1024",
            "add {a1}, 1024",
            "add {b0}, 1024",
            "add {b1}, 1024",
            "dec {depth}",
            "jnz 2b",
            "3:",
            start_top = in(reg) start.0,
            start_bottom = in(reg) start.0.wrapping_add(LANES * start.1),
            start_stride = in(reg) start_stride,
            depth = inout(reg) depth => _,
            a0 = inout(reg) a[0].as_ptr() => _,
            a1 = inout(reg) a[1].as_ptr() => _,
            b0 = inout(reg) b[0].as_ptr() => _,
            b1 = inout(reg) b[1].as_ptr() => _,
            row = in(reg) 64usize,
            options(nostack),
        );
        asm!(
            "tilestored [{top} + {stride}], tmm0",
            "tilestored [{top} + {stride} + 64], tmm1",
            "tilestored [{bottom} + {stride}], tmm2",
            "tilestored [{bottom} + {stride} + 64], tmm3",
            top = in(reg) out.0,
            bottom = in(reg) out.0.wrapping_add(LANES * out.1),
            stride = in(reg) out_stride,
            options(nostack),
        );
    }
}

/// The sums of a block, in vectors of 16 columns, eight rows at a time.
///
/// # Safety
/// The processor has AVX-512 F and BF16; start and out are 32 rows of 32 numbers at their strides.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn avx512(block: Block) {
    const ROWS: usize = 8;
    let Block { a, b, start, out } = block;
    for first in (0..BLOCK).step_by(ROWS) {
        let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
        for (row, sums) in sums.iter_mut().enumerate() {
            for (half, sum) in sums.iter_mut().enumerate() {
                // SAFETY: a row of start; the caller's promise.
                *sum =
                    unsafe { _mm512_loadu_ps(start.0.wrapping_add((first + row) * start.1 + half * LANES)) };
            }
        }
        let strip = a[first / LANES];
        for ((a, b0), b1) in strip.iter().zip(b[0]).zip(b[1]) {
            for pair in 0..LANES {
                let b = [b0.row(pair), b1.row(pair)];
                for (row, sums) in sums.iter_mut().enumerate() {
                    let a = _mm512_set1_epi32(a.word(first % LANES + row, pair));
                    for (sum, b) in sums.iter_mut().zip(b) {
                        // SAFETY: vectors of 512 bits, any of which are bfloat16.
                        *sum = unsafe {
                            _mm512_dpbf16_ps(
                                *sum,
                                std::mem::transmute::<__m512i, __m512bh>(a),
                                std::mem::transmute::<__m512i, __m512bh>(b),
                            )
                        };
                    }
                }
            }
        }
        for (row, sums) in sums.into_iter().enumerate() {
            for (half, sum) in sums.into_iter().enumerate() {
                // SAFETY: a row of out; the caller's promise.
                unsafe { _mm512_storeu_ps(out.0.wrapping_add((first + row) * out.1 + half * LANES), sum) };
            }
        }
    }
}
