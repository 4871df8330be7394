//! Panels of F32, F16 and BF16: twelve rows by two panels in registers.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

/// The most rows of a tile, two panels wide: 24 sums, two weights and an activation.
const ROWS: usize = 12;
/// Units of a chunk: the weights of two panels come from the second-level cache, a little ahead, while sums stay in
/// registers. Chunks that fit into the first level spend more on loading and storing sums than they save.
pub(super) const UNITS: usize = 2048;
/// How far ahead, in bytes, weights are brought into the first-level cache.
const AHEAD: usize = 2048;

/// From so many rows on, weights are widened once rather than in every tile.
const WIDEN_ROWS: usize = 24;

/// Units that are widened at a time: two panels of them lie on the stack.
const WIDE_UNITS: usize = UNITS / 2;

/// Two panels of widened weights.
#[repr(C, align(64))]
struct Wide([MaybeUninit<f32>; 2 * 16 * WIDE_UNITS]);

/// Float weights as a tile reads them: blocks of one or two *units*, which are one value per lane, or a pair of BF16.
/// A unit meets 32 bits of activation: an `f32`, or a pair of BF16.
pub(super) trait FloatWeights {
    /// Units of a block.
    const UNITS: usize;
    /// Bytes of a block of one panel.
    const BYTES: usize;

    /// Unit `index` of a block.
    unsafe fn unit(block: *const u8, index: usize) -> __m512;

    /// Adds the products of a unit with an activation.
    unsafe fn add(sums: __m512, weights: __m512, x: __m512) -> __m512;

    /// Whether many rows are better multiplied with weights that were widened before.
    const WIDENS: bool = false;
    /// The most rows of a tile.
    const ROWS: usize = ROWS;

    /// [`widen`], compiled for its features.
    unsafe fn widen(panel: *const u8, units: usize, to: *mut f32);

    /// [`tile`], compiled for the features of [`add`](Self::add).
    unsafe fn tile<const R: usize, const P: usize>(tile: &Tile);
}

/// What a tile works on.
pub(super) struct Tile {
    pub(super) panel: *const u8,
    /// Bytes from panel to panel.
    pub(super) panel_stride: usize,
    pub(super) units: usize,
    /// 32 bits for each unit.
    pub(super) x: *const u8,
    /// Bytes from row to row.
    pub(super) x_stride: usize,
    pub(super) out: *mut f32,
    pub(super) out_stride: usize,
    /// What is brought into the second-level cache meanwhile.
    pub(super) next: Next,
    /// Whether the output is added to, because this is not the first chunk of the inputs.
    pub(super) add: bool,
}

/// Weights that are needed after those of a tile.
#[derive(Clone, Copy)]
pub(super) struct Next {
    from: *const u8,
    /// A line is asked for every `2^shift` blocks of the tile.
    shift: u32,
}

impl Next {
    /// Only before the first block: a single tile has no others to share with.
    const ONCE: u32 = usize::BITS - 1;

    /// A line at `from`, and no more.
    pub(super) fn once(from: *const u8) -> Self {
        Self { from, shift: Self::ONCE }
    }

    /// The share of tile `index` of `tiles`, which go through `blocks` blocks each: the first half of the tiles brings
    /// `lines` cache lines of the panel at `from`, the second half those of the panel after it.
    fn share(
        from: *const u8,
        stride: usize,
        lines: usize,
        (index, tiles): (usize, usize),
        blocks: usize,
    ) -> Self {
        if tiles < 2 {
            return Self::once(from);
        }
        let half = tiles.div_ceil(2);
        let shift = (half * blocks / lines.max(1)).max(1).ilog2();
        let before = 64 * (index % half) * (blocks >> shift);
        Self { from: from.wrapping_add(index / half * stride + before), shift }
    }
}

macro_rules! compiled {
    ($features:literal) => {
        #[inline(always)]
        unsafe fn widen(panel: *const u8, units: usize, to: *mut f32) {
            #[target_feature(enable = $features)]
            unsafe fn compiled<W: FloatWeights>(panel: *const u8, units: usize, to: *mut f32) {
                // SAFETY: the caller's promises are this function's.
                unsafe { self::widen::<W>(panel, units, to) }
            }
            // SAFETY: the caller runs on a processor with these features.
            unsafe { compiled::<Self>(panel, units, to) }
        }

        #[inline(always)]
        unsafe fn tile<const R: usize, const P: usize>(tile: &Tile) {
            #[target_feature(enable = $features)]
            unsafe fn compiled<W: FloatWeights, const R: usize, const P: usize>(tile: &Tile) {
                // SAFETY: the caller's promises are this function's.
                unsafe { self::tile::<W, R, P>(tile) }
            }
            // SAFETY: the caller runs on a processor with these features.
            unsafe { compiled::<Self, R, P>(tile) }
        }
    };
}

macro_rules! fused {
    () => {
        #[inline(always)]
        unsafe fn add(sums: __m512, weights: __m512, x: __m512) -> __m512 {
            // SAFETY: the features are those of the function this is inlined into.
            unsafe { _mm512_fmadd_ps(weights, x, sums) }
        }

        compiled!("avx512f,avx512bw,avx512dq,avx512vl");
    };
}

/// `f32` by `f32`.
pub(super) struct F32;

impl FloatWeights for F32 {
    const UNITS: usize = 1;
    const BYTES: usize = 64;

    #[inline(always)]
    unsafe fn unit(block: *const u8, _: usize) -> __m512 {
        // SAFETY: within the block.
        unsafe { _mm512_loadu_ps(block.cast()) }
    }

    fused!();
}

/// F16, widened, by `f32`.
pub(super) struct F16;

impl FloatWeights for F16 {
    const UNITS: usize = 1;
    const BYTES: usize = 32;
    const WIDENS: bool = true;

    #[inline(always)]
    unsafe fn unit(block: *const u8, _: usize) -> __m512 {
        // SAFETY: within the block.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(block.cast())) }
    }

    fused!();
}

/// BF16, widened, by `f32`.
pub(super) struct Bf16;

impl FloatWeights for Bf16 {
    const UNITS: usize = 2;
    const BYTES: usize = 64;
    const WIDENS: bool = true;
    // The compiler does not find registers for more.
    const ROWS: usize = 8;

    #[inline(always)]
    unsafe fn unit(block: *const u8, index: usize) -> __m512 {
        // SAFETY: within the block.
        unsafe {
            let pairs = _mm512_loadu_si512(block.cast());
            _mm512_castsi512_ps(if index == 0 {
                _mm512_slli_epi32::<16>(pairs)
            } else {
                _mm512_and_si512(pairs, _mm512_set1_epi32(0xFFFF_0000_u32 as i32))
            })
        }
    }

    fused!();
}

/// Pairs of BF16 by pairs of BF16.
pub(super) struct Bf16Dot;

impl FloatWeights for Bf16Dot {
    const UNITS: usize = 1;
    const BYTES: usize = 64;

    #[inline(always)]
    unsafe fn unit(block: *const u8, _: usize) -> __m512 {
        // SAFETY: within the block.
        unsafe { _mm512_loadu_ps(block.cast()) }
    }

    #[inline(always)]
    unsafe fn add(sums: __m512, weights: __m512, x: __m512) -> __m512 {
        // SAFETY: the features are those of the function this is inlined into; the registers are of the same bits.
        unsafe {
            let weights = std::mem::transmute::<__m512, __m512bh>(weights);
            let x = std::mem::transmute::<__m512, __m512bh>(x);
            _mm512_dpbf16_ps(sums, weights, x)
        }
    }

    compiled!("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16");
}

/// `R` rows by `P` panels. Every output is one chain of additions over the units, in their order.
///
/// # Safety
/// As many units of `P` panels and of `R` rows, and `R` by `16 P` outputs, on a processor with the features of
/// [`FloatWeights::add`].
#[inline(always)]
unsafe fn tile<W: FloatWeights, const R: usize, const P: usize>(t: &Tile) {
    // SAFETY: all addresses are within what the caller promises; prefetches may go anywhere.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); P]; R];
        if t.add {
            for row in 0..R {
                for p in 0..P {
                    sums[row][p] = _mm512_loadu_ps(t.out.add(row * t.out_stride + 16 * p));
                }
            }
        }
        let mut rows = [t.x; R];
        for row in 0..R {
            rows[row] = t.x.add(row * t.x_stride);
        }
        let blocks = t.units / W::UNITS;
        for block in 0..blocks {
            unit_block::<W, R, P>(t, block, W::UNITS, &rows, &mut sums);
        }
        if W::UNITS > 1 && blocks * W::UNITS < t.units {
            unit_block::<W, R, P>(t, blocks, 1, &rows, &mut sums);
        }
        for row in 0..R {
            for p in 0..P {
                _mm512_storeu_ps(t.out.add(row * t.out_stride + 16 * p), sums[row][p]);
            }
        }
    }
}

#[inline(always)]
unsafe fn unit_block<W: FloatWeights, const R: usize, const P: usize>(
    t: &Tile,
    block: usize,
    units: usize,
    rows: &[*const u8; R],
    sums: &mut [[__m512; P]; R],
) {
    // SAFETY: the promises of `tile`.
    unsafe {
        let at = t.panel.add(block * W::BYTES);
        for p in 0..P {
            let ahead = at.wrapping_add(p * t.panel_stride + AHEAD);
            _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
        }
        if block & ((1 << t.next.shift) - 1) == 0 {
            _mm_prefetch::<_MM_HINT_T1>(t.next.from.wrapping_add(64 * (block >> t.next.shift)).cast());
        }
        for unit in 0..units {
            let mut weights = [_mm512_setzero_ps(); P];
            for p in 0..P {
                weights[p] = W::unit(at.add(p * t.panel_stride), unit);
            }
            for row in 0..R {
                let x = rows[row].add(4 * (block * W::UNITS + unit)).cast::<f32>().read_unaligned();
                let x = _mm512_set1_ps(x);
                for p in 0..P {
                    sums[row][p] = W::add(sums[row][p], weights[p], x);
                }
            }
        }
    }
}

/// Writes the values of `units` units of one panel, sixteen lanes each.
///
/// # Safety
/// As many units, and room for them.
#[inline(always)]
unsafe fn widen<W: FloatWeights>(panel: *const u8, units: usize, to: *mut f32) {
    for unit in 0..units {
        // SAFETY: within what the caller promises; prefetches may go anywhere.
        unsafe {
            let block = panel.add(unit / W::UNITS * W::BYTES);
            if unit % W::UNITS == 0 {
                _mm_prefetch::<_MM_HINT_T0>(block.wrapping_add(AHEAD / 2).cast());
            }
            let values = W::unit(block, unit % W::UNITS);
            _mm512_storeu_ps(to.add(16 * unit), values);
        }
    }
}

/// Panels by rows.
///
/// # Safety
/// `panels` panels of `units` units, `rows` rows of as many, and their outputs, on a processor with the features of
/// [`FloatWeights::add`].
#[allow(clippy::too_many_arguments)]
pub(super) unsafe fn panels<W: FloatWeights>(
    panel: *const u8,
    panels: usize,
    units: usize,
    x: *const u8,
    x_stride: usize,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    let all = Panels { panel, panels, units, x, x_stride, rows, out, out_stride };
    // SAFETY: the caller's promises.
    unsafe {
        if W::WIDENS && rows >= WIDEN_ROWS {
            all.widened::<W>();
        } else {
            all.packed::<W>();
        }
    }
}

/// The arguments of [`panels`].
struct Panels {
    panel: *const u8,
    panels: usize,
    units: usize,
    x: *const u8,
    x_stride: usize,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
}

/// Some inputs of one or two panels.
struct Chunk {
    weights: *const u8,
    /// Bytes from panel to panel.
    stride: usize,
    /// The first unit, and how many.
    first: usize,
    units: usize,
    /// The first panel.
    pair: usize,
}

impl Panels {
    /// Weights as they are packed.
    #[inline(always)]
    unsafe fn packed<W: FloatWeights>(&self) {
        let panel_stride = self.panel_stride::<W>();
        let tiles = self.rows.div_ceil(W::ROWS);
        // A single tile goes through all inputs at once.
        let chunk = if tiles > 1 { UNITS } else { self.units.max(1) };
        for first in (0..self.units).step_by(chunk) {
            let units = (self.units - first).min(chunk);
            for pair in (0..self.panels).step_by(2) {
                let from = self.panel.wrapping_add(pair * panel_stride + first / W::UNITS * W::BYTES);
                let chunk = Chunk { weights: from, stride: panel_stride, first, units, pair };
                let lines = units.div_ceil(W::UNITS) * W::BYTES / 64;
                let next = |tile| {
                    let next = from.wrapping_add(2 * panel_stride);
                    Next::share(next, panel_stride, lines, (tile, tiles), units.div_ceil(W::UNITS))
                };
                // SAFETY: a chunk of one or two panels.
                unsafe { self.tiles::<W>(tiles, &chunk, next) }
            }
        }
    }

    /// Weights that are widened a chunk at a time. A function of its own, because of its stack.
    #[inline(never)]
    unsafe fn widened<W: FloatWeights>(&self) {
        let panel_stride = self.panel_stride::<W>();
        let tiles = self.rows.div_ceil(ROWS);
        let mut wide = MaybeUninit::<Wide>::uninit();
        let wide = wide.as_mut_ptr().cast::<f32>();
        for first in (0..self.units).step_by(WIDE_UNITS) {
            let units = (self.units - first).min(WIDE_UNITS);
            for pair in (0..self.panels).step_by(2) {
                let from = self.panel.wrapping_add(pair * panel_stride + first / W::UNITS * W::BYTES);
                // SAFETY: a chunk of one or two panels, and room for it.
                unsafe {
                    W::widen(from, units, wide);
                    if pair + 1 < self.panels {
                        W::widen(from.add(panel_stride), units, wide.add(16 * WIDE_UNITS));
                    }
                    let stride = 64 * WIDE_UNITS;
                    let chunk = Chunk { weights: wide.cast(), stride, first, units, pair };
                    let lines = units.div_ceil(W::UNITS) * W::BYTES / 64;
                    let next = |tile| {
                        let next = from.wrapping_add(2 * panel_stride);
                        Next::share(next, panel_stride, lines, (tile, tiles), units)
                    };
                    self.tiles::<F32>(tiles, &chunk, next);
                }
            }
        }
    }

    /// Bytes from panel to panel.
    fn panel_stride<W: FloatWeights>(&self) -> usize {
        self.units.div_ceil(W::UNITS) * W::BYTES
    }

    /// All rows by a chunk of one or two panels.
    #[inline(always)]
    unsafe fn tiles<W: FloatWeights>(&self, tiles: usize, chunk: &Chunk, next: impl Fn(usize) -> Next) {
        let &Chunk { weights, stride, first, units, pair } = chunk;
        for index in 0..tiles {
            let (first_row, height) = tile_rows(index, tiles, self.rows);
            let tile = Tile {
                panel: weights,
                panel_stride: stride,
                units,
                x: self.x.wrapping_add(first_row * self.x_stride + 4 * first),
                x_stride: self.x_stride,
                out: self.out.wrapping_add(first_row * self.out_stride + 16 * pair),
                out_stride: self.out_stride,
                next: next(index),
                add: first > 0,
            };
            // SAFETY: the caller's promises, for `height` rows.
            unsafe { by_height::<W>(height, pair + 1 < self.panels, &tile) }
        }
    }
}

/// First row and height of one of `tiles` tiles, which are of equal height as nearly as that goes.
pub(super) fn tile_rows(index: usize, tiles: usize, rows: usize) -> (usize, usize) {
    let first = index * rows / tiles;
    (first, (index + 1) * rows / tiles - first)
}

/// A tile of some height and of one or two panels.
///
/// # Safety
/// As for [`tile`], on a processor with the features of [`FloatWeights::add`].
#[inline(always)]
pub(super) unsafe fn by_height<W: FloatWeights>(height: usize, pair: bool, tile: &Tile) {
    macro_rules! heights {
        ($($height:literal)*) => {
            match (height, pair) {
                $(
                    // SAFETY: the caller's promises.
                    ($height, true) => unsafe { W::tile::<$height, 2>(tile) },
                    // SAFETY: the caller's promises.
                    ($height, false) => unsafe { W::tile::<$height, 1>(tile) },
                )*
                _ => {}
            }
        };
    }
    heights!(1 2 3 4 5 6 7 8 9 10 11 12);
}
