//! Panels of int8 weights with one scale per output, by int8 rows with one scale per 256 inputs.
//!
//! A panel is `scale: f32[16]` and then for each group of 32 inputs 8 registers of weights plus 128. Nothing has to be
//! unpacked, and the integers of a whole block of 256 inputs are summed before anything is scaled: two operations for
//! 64 dot products.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::super::{CHANNEL_SHARED as SHARED, Form, Int8Kernel, Int8Rows, MAX_INT8_ROWS, Side};
use super::int8::{ROWS, SHARERS, WIDE};
use super::level::Level;
use super::tile::Ahead;
use super::unroll::{panels, rows, steps};

/// Bytes of the scales of a panel, before its groups.
const SCALES: usize = 64;
/// Bytes of a group of a panel.
const GROUP: usize = 512;
/// Groups that all tiles go through before the next ones: of two panels, what the first-level cache keeps beside the
/// activations of a tile.
const CHUNK: usize = 4 * SHARED;
/// How many groups before they are needed a single tile brings weights into the cache.
const AHEAD: usize = 8;

/// What a tile works on.
pub(super) struct Tile<const P: usize> {
    /// The first group of each panel.
    panels: [*const u8; P],
    /// Groups to go through.
    groups: usize,
    /// Their activations, `R` rows side by side.
    q: *const i32,
    /// For each block and row.
    scales: *const f32,
    /// What the integer sum of a block begins with, for each block and row.
    starts: *const i32,
    /// `[R][P][16]` sums before they are scaled by output, at a multiple of 64 bytes.
    sums: *mut f32,
    /// Whether these are the first groups of their inputs.
    fresh: bool,
    ahead: Ahead<P>,
}

/// Where the sums of a tile go when they are complete.
pub(super) struct Outputs<const P: usize> {
    /// The scales of each panel.
    scales: [*const u8; P],
    /// Panels that exist.
    panels: usize,
    sums: *const f32,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
}

/// Room for the sums of tiles two panels wide.
#[repr(C, align(64))]
struct Room([MaybeUninit<f32>; (MAX_INT8_ROWS + 2 * ROWS) * 2 * 16]);

/// The kernel of a level.
pub(super) fn kernel<L: Level>() -> Int8Kernel {
    let side = Side::BlockStarts { offset: L::OFFSET_OF_EIGHT };
    Int8Kernel { panels: panels::<L>, form: Form { max_height: ROWS, shared: SHARED, side } }
}

/// [`super::super::Int8Panels`] of a level.
///
/// # Safety
/// As there, on a processor with the level's features.
unsafe fn panels<L: Level>(
    panel: *const u8,
    panels: usize,
    x: &Int8Rows,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    debug_assert!(x.groups > 0);
    let job = Job { panel, panels, x, rows, out, out_stride };
    let mut room = MaybeUninit::<Room>::uninit();
    // SAFETY: it holds nothing that has to be initialised.
    let room = unsafe { room.assume_init_mut() };
    // SAFETY: the caller's promises.
    unsafe {
        match x.height {
            1 => tiles::<L, 1, WIDE>(&job, room),
            2 => tiles::<L, 2, WIDE>(&job, room),
            3 => tiles::<L, 3, 2>(&job, room),
            4 => tiles::<L, 4, 2>(&job, room),
            5 => tiles::<L, 5, 2>(&job, room),
            6 => tiles::<L, 6, 2>(&job, room),
            7 => tiles::<L, 7, 2>(&job, room),
            8 => tiles::<L, 8, 2>(&job, room),
            9 => tiles::<L, 9, 2>(&job, room),
            10 => tiles::<L, 10, 2>(&job, room),
            11 => tiles::<L, 11, 2>(&job, room),
            _ => tiles::<L, 12, 2>(&job, room),
        }
    }
}

/// The arguments of a kernel.
struct Job<'a> {
    panel: *const u8,
    panels: usize,
    x: &'a Int8Rows,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
}

impl Job<'_> {
    fn panel_bytes(&self) -> usize {
        SCALES + self.x.groups * GROUP
    }

    /// `P` panels from `first` on; the first one stands in for those that do not exist.
    fn at<const P: usize>(&self, first: usize) -> [*const u8; P] {
        let panel = |p: usize| if first + p < self.panels { first + p } else { first };
        std::array::from_fn(|p| self.panel.wrapping_add(panel(p) * self.panel_bytes()))
    }

    /// A fixed distance ahead in panels that are read from front to back, and on into the next ones: what lies behind
    /// the end of a panel is another one of the same tile.
    fn ahead<const P: usize>(&self, first: usize) -> Ahead<P> {
        Ahead {
            at: self.at::<P>(first).map(|at| at.wrapping_add(SCALES + AHEAD * GROUP)),
            bytes: GROUP,
            jump: (self.x.groups.saturating_sub(AHEAD), (P - 1) * self.panel_bytes()),
        }
    }

    /// A tile's share of the next chunk, when it goes through `groups` groups itself.
    fn share_of_next<const P: usize>(
        &self,
        first: usize,
        (group, groups): (usize, usize),
        (tile, tiles): (usize, usize),
    ) -> Ahead<P> {
        let (next, group) = match group + groups {
            group if group < self.x.groups => (first, group),
            _ => (first + P, 0),
        };
        let sharers = tiles.min(SHARERS);
        let share = (CHUNK * GROUP).div_ceil(sharers);
        let wanted = next < self.panels && tile < sharers;
        Ahead {
            at: self.at::<P>(next).map(|at| at.wrapping_add(SCALES + group * GROUP + tile * share)),
            bytes: if wanted { share.div_ceil(groups) } else { 0 },
            jump: (groups, 0),
        }
    }

    /// Tile `tile` of height `R` over `groups` groups from `group` on.
    fn tile<const R: usize, const P: usize>(
        &self,
        tile: usize,
        (group, groups): (usize, usize),
        panels: [*const u8; P],
        ahead: Ahead<P>,
        room: &mut Room,
    ) -> Tile<P> {
        let q = tile * Int8Rows::tile_bytes(R, self.x.groups) + group * R * 32;
        let block = (tile * self.x.groups.div_ceil(SHARED) + group / SHARED) * R;
        Tile {
            panels: panels.map(|panel| panel.wrapping_add(SCALES + group * GROUP)),
            groups,
            q: self.x.q.wrapping_add(q).cast(),
            scales: self.x.scales.wrapping_add(block),
            starts: self.x.side.wrapping_add(block),
            sums: room.0.as_mut_ptr().cast::<f32>().wrapping_add(tile * R * P * 16),
            fresh: group == 0,
            ahead,
        }
    }
}

/// All rows by all panels, `P` of these at a time.
unsafe fn tiles<L: Level, const R: usize, const P: usize>(job: &Job<'_>, room: &mut Room) {
    let groups = job.x.groups;
    let tiles = job.rows.div_ceil(R);
    // A single tile reads every panel once, from front to back.
    let chunk = if tiles == 1 { groups.max(1) } else { CHUNK };
    for first in (0..job.panels).step_by(P) {
        let panels = job.at::<P>(first);
        for group in (0..groups).step_by(chunk) {
            let span = (group, (groups - group).min(chunk));
            for tile in 0..tiles {
                let ahead = match tiles {
                    1 => job.ahead(first),
                    _ => job.share_of_next(first, span, (tile, tiles)),
                };
                let work = job.tile::<R, P>(tile, span, panels, ahead, room);
                let outputs = Outputs {
                    scales: panels,
                    panels: P.min(job.panels - first),
                    sums: work.sums,
                    rows: R.min(job.rows - tile * R),
                    out: job.out.wrapping_add(tile * R * job.out_stride + 16 * first),
                    out_stride: job.out_stride,
                };
                let last = group + chunk >= groups;
                if last {
                    outputs.prefetch();
                }
                // SAFETY: groups that exist, and as many rows as a tile has.
                unsafe { L::channel_tile::<R, P>(&work) };
                if last {
                    // SAFETY: the tile's sums are complete, and these outputs exist.
                    unsafe { L::channel_outputs::<P>(&outputs) };
                }
            }
        }
    }
}

/// How many chains of dependent dot products an output has, so that few outputs do not wait for results.
const fn chains(outputs: usize) -> usize {
    match outputs {
        0..=6 => 4,
        7..=12 => 2,
        _ => 1,
    }
}

/// `R` rows by `P` panels. A row's operations are the same in every tile: each block gives the exact integer sum of its
/// products, and `x_scale * sum` is fused onto what the blocks before gave.
///
/// # Safety
/// The groups of `P` panels, `R` rows with as many, and sums as stated, on a processor with the level's features.
#[inline(always)]
pub(super) unsafe fn tile<L: Level, const R: usize, const P: usize>(t: &Tile<P>) {
    // SAFETY: all addresses are within what the caller promises; prefetches may go anywhere.
    unsafe {
        let chains = const { chains(R * P) };
        let (mut panels, mut ahead) = (t.panels, t.ahead.at);
        let (mut q, mut scales, mut starts) = (t.q, t.scales, t.starts);
        let (mut group, mut fresh) = (0, t.fresh);
        while group < t.groups {
            let mut sums = [[[_mm512_setzero_si512(); P]; R]; 4];
            rows!(row => {
                sums[0][row] = [_mm512_set1_epi32(*starts.add(row)); P];
            });
            let end = if t.groups - group < SHARED { t.groups } else { group + SHARED };
            while group < end {
                if group == t.ahead.jump.0 {
                    panels!(p => {
                        ahead[p] = ahead[p].wrapping_add(t.ahead.jump.1);
                    });
                }
                panels!(p => {
                    let mut line = 0;
                    while line < t.ahead.bytes {
                        _mm_prefetch::<_MM_HINT_T0>(ahead[p].wrapping_add(line).cast());
                        line += 64;
                    }
                });
                macro_rules! step {
                    ($s:literal) => {
                        let mut weights = [_mm512_setzero_si512(); P];
                        panels!(p => {
                            weights[p] = L::bytes(_mm512_loadu_si512(panels[p].add(64 * $s).cast()), true);
                        });
                        rows!(row => {
                            let x = _mm512_set1_epi32(*q.add(row * 8 + $s));
                            panels!(p => {
                                let chain = $s % chains;
                                sums[chain][row][p] = L::dot(sums[chain][row][p], weights[p], x, true);
                            });
                        });
                    };
                }
                steps!(step: 0 1 2 3 4 5 6 7);
                panels!(p => {
                    panels[p] = panels[p].add(GROUP);
                    ahead[p] = ahead[p].wrapping_add(t.ahead.bytes);
                });
                q = q.add(R * 8);
                group += 1;
            }
            rows!(row => {
                let x_scale = _mm512_set1_ps(*scales.add(row));
                panels!(p => {
                    let mut sum = sums[0][row][p];
                    for chain in 1..chains {
                        sum = _mm512_add_epi32(sum, sums[chain][row][p]);
                    }
                    let at = t.sums.add(16 * (row * P + p));
                    let before = if fresh { _mm512_setzero_ps() } else { _mm512_load_ps(at) };
                    _mm512_store_ps(at, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), x_scale, before));
                });
            });
            fresh = false;
            scales = scales.add(R);
            starts = starts.add(R);
        }
    }
}

impl<const P: usize> Outputs<P> {
    /// Has the outputs' memory ready by the time that the sums are: rows of outputs lie far apart.
    fn prefetch(&self) {
        for row in 0..self.rows {
            for panel in 0..self.panels {
                let at = self.out.wrapping_add(row * self.out_stride + 16 * panel);
                // SAFETY: a prefetch may go anywhere.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
            }
        }
    }
}

/// Scales the sums of a tile by output.
///
/// # Safety
/// As many sums, scales and outputs, on a processor with the level's features.
#[inline(always)]
pub(super) unsafe fn outputs<const P: usize>(o: &Outputs<P>) {
    // SAFETY: the caller's promises.
    unsafe {
        let scales = o.scales.map(|at| _mm512_loadu_ps(at.cast()));
        for row in 0..o.rows {
            for panel in 0..o.panels {
                let sum = _mm512_load_ps(o.sums.add(16 * (row * P + panel)));
                let to = o.out.add(row * o.out_stride + 16 * panel);
                _mm512_storeu_ps(to, _mm512_mul_ps(sum, scales[panel]));
            }
        }
    }
}
