//! Panels of quantized weights by int8 rows: those of one tile straight from the packed weights, those of several from
//! weights unpacked to the first-level cache, a super-block of the inputs at a time. Weights of eight bits need hardly
//! any unpacking, and several tiles share it only when they are many.

use std::mem::MaybeUninit;

use super::super::{Form, Int8Kernel, Int8Rows, MAX_INT8_ROWS, Side};
use super::format::{Format, Weights, words};
use super::level::Level;
use super::tile::{Ahead, Tile};

/// The most rows of a tile, two panels wide: as many integer sums as leave registers for weights and activations.
pub(super) const ROWS: usize = 12;
/// Panels of a tile of one or two rows: several streams from memory are faster than one.
pub(super) const WIDE: usize = 4;
/// The fewest rows of a tile when there are several: thirteen rows are two tiles.
const SEVERAL: usize = (ROWS + 1).div_ceil(2);
/// Groups of a chunk: a super-block.
const CHUNK: usize = 8;
/// How many groups before they are needed weights are brought into the cache.
const AHEAD: usize = 8;
/// Tiles that share in bringing the next chunk.
pub(super) const SHARERS: usize = 4;
/// The most tiles for which weights of eight bits are not unpacked: that is no more than to widen their scales.
const FEW_TILES: usize = 4;
/// Bytes of an unpacked chunk of one panel, at most: two scales for each group, and minima.
const UNPACKED_BYTES: usize = CHUNK * (512 + 128) + 9 * 64;

/// Room for the sums of tiles two panels wide, for a tile's scratch, and for a chunk of two unpacked panels.
#[repr(C, align(64))]
struct Room {
    sums: [MaybeUninit<f32>; (MAX_INT8_ROWS + 2 * ROWS) * 2 * 16],
    scratch: [MaybeUninit<f32>; ROWS * 2 * 16],
    chunk: [[MaybeUninit<u8>; UNPACKED_BYTES]; 2],
}

/// The kernel of a format at a level.
pub(super) fn kernel<L: Level, F: Format>() -> Int8Kernel {
    let offset = if F::EIGHT_BITS { L::OFFSET_OF_EIGHT } else { F::OFFSET };
    let side = match (F::SHARED, F::ADDS, F::SCALES) {
        (false, false, _) => Side::Starts { offset },
        (false, true, _) => Side::Scaled,
        (true, false, 1) => Side::Starts { offset },
        (true, false, _) => Side::HalfStarts { offset },
        (true, true, 1) => Side::Pairs,
        (true, true, _) => Side::HalfPairs,
    };
    let shared = if F::SHARED { F::GROUPS } else { 1 };
    Int8Kernel { panels: panels::<L, F>, form: Form { max_height: ROWS, shared, side } }
}

/// [`super::super::Int8Panels`] of a format at a level.
///
/// # Safety
/// As there, on a processor with the level's features.
unsafe fn panels<L: Level, F: Format>(
    panel: *const u8,
    panels: usize,
    x: &Int8Rows,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
) {
    let job = Job { panel, panels, x, rows, out, out_stride };
    let mut room = MaybeUninit::<Room>::uninit();
    // SAFETY: it holds nothing that has to be initialised.
    let room = unsafe { room.assume_init_mut() };
    let several = rows > x.height;
    // SAFETY: the caller's promises.
    unsafe {
        match x.height {
            1 => packed::<L, F, 1, WIDE>(&job, room),
            2 => packed::<L, F, 2, WIDE>(&job, room),
            3 => packed::<L, F, 3, 2>(&job, room),
            4 => packed::<L, F, 4, 2>(&job, room),
            5 => packed::<L, F, 5, 2>(&job, room),
            6 => packed::<L, F, 6, 2>(&job, room),
            SEVERAL if several => unpacked::<L, F, SEVERAL>(&job, room),
            8 if several => unpacked::<L, F, 8>(&job, room),
            9 if several => unpacked::<L, F, 9>(&job, room),
            10 if several => unpacked::<L, F, 10>(&job, room),
            11 if several => unpacked::<L, F, 11>(&job, room),
            12 if several => unpacked::<L, F, 12>(&job, room),
            7 => packed::<L, F, 7, 2>(&job, room),
            8 => packed::<L, F, 8, 2>(&job, room),
            9 => packed::<L, F, 9, 2>(&job, room),
            10 => packed::<L, F, 10, 2>(&job, room),
            11 => packed::<L, F, 11, 2>(&job, room),
            _ => packed::<L, F, 12, 2>(&job, room),
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
    fn panel_bytes<F: Format>(&self) -> usize {
        self.x.groups / F::GROUPS * F::BYTES
    }

    /// Group `group` of `P` panels from `first` on; the first one stands in for those that do not exist.
    fn at<F: Format, const P: usize>(&self, first: usize, group: usize) -> [*const u8; P] {
        let panel = |p: usize| if first + p < self.panels { first + p } else { first };
        let within = group / F::GROUPS * F::BYTES;
        std::array::from_fn(|p| self.panel.wrapping_add(panel(p) * self.panel_bytes::<F>() + within))
    }

    /// A fixed distance ahead in panels that are read from front to back, and on into the next ones: what lies behind
    /// the end of a panel is another one of the same tile.
    fn ahead<F: Format, const P: usize>(&self, first: usize) -> Ahead<P> {
        let distance = AHEAD / F::GROUPS;
        Ahead {
            at: self.at::<F, P>(first, 0).map(|at| at.wrapping_add(distance * F::BYTES)),
            bytes: F::BYTES,
            jump: ((self.x.groups / F::GROUPS).saturating_sub(distance), (P - 1) * self.panel_bytes::<F>()),
        }
    }

    /// A tile's share of the next chunk of two panels, in a tile of `blocks` blocks: so much memory asked for at once
    /// would keep the processor waiting.
    fn share_of_next<F: Format>(
        &self,
        first: usize,
        group: usize,
        (tile, tiles): (usize, usize),
        blocks: usize,
    ) -> Ahead<2> {
        let (next, group) = match group + CHUNK {
            group if group < self.x.groups => (first, group),
            _ => (first + 2, 0),
        };
        let sharers = tiles.min(SHARERS);
        let share = (CHUNK / F::GROUPS * F::BYTES).div_ceil(sharers);
        let wanted = next < self.panels && tile < sharers;
        Ahead {
            at: self.at::<F, 2>(next, group).map(|at| at.wrapping_add(tile * share)),
            bytes: if wanted { share.div_ceil(blocks) } else { 0 },
            jump: (blocks, 0),
        }
    }

    /// Tile `tile` over groups of `W` from group `groups.0` on, as many as `groups.1`.
    fn tile<W: Weights, const P: usize>(
        &self,
        tile: usize,
        (group, groups): (usize, usize),
        panels: [*const u8; P],
        ahead: Ahead<P>,
        room: &mut Room,
    ) -> Tile<P> {
        let (height, blocks) = (self.x.height, self.x.groups / W::GROUPS);
        let block = tile * blocks * height + group / W::GROUPS * height;
        let q = tile * Int8Rows::tile_bytes(height, self.x.groups) + group * height * 32;
        Tile {
            panels,
            blocks: groups / W::GROUPS,
            q: self.x.q.wrapping_add(q).cast(),
            scales: self.x.scales.wrapping_add(block),
            side: self.x.side.wrapping_add(block * words::<W>()),
            sums: room.sums.as_mut_ptr().cast::<f32>().wrapping_add(tile * height * P * 16),
            scratch: room.scratch.as_mut_ptr().cast(),
            fresh: group == 0,
            ahead,
        }
    }

    /// Copies what `P` panels from `first` on gave.
    unsafe fn store<const P: usize>(&self, first: usize, room: &Room) {
        let width = 16 * P.min(self.panels - first);
        let sums = room.sums.as_ptr().cast::<f32>();
        for row in 0..self.rows {
            // SAFETY: the outputs are there for the panels that are, and as many sums.
            unsafe {
                let to = self.out.add(row * self.out_stride + 16 * first);
                sums.add(row * P * 16).copy_to_nonoverlapping(to, width);
            }
        }
    }
}

/// The only tile, from weights as they are packed, each panel from front to back.
unsafe fn packed<L: Level, F: Format, const R: usize, const P: usize>(job: &Job<'_>, room: &mut Room) {
    debug_assert!(job.rows <= R);
    for first in (0..job.panels).step_by(P) {
        let (panels, ahead) = (job.at::<F, P>(first, 0), job.ahead::<F, P>(first));
        let tile = job.tile::<F, P>(0, (0, job.x.groups), panels, ahead, room);
        // SAFETY: panels that exist, and as many rows as a tile has.
        unsafe { L::tile::<F, R, P>(&tile) };
        // SAFETY: the tile has been computed.
        unsafe { job.store::<P>(first, room) };
    }
}

/// Several tiles, a chunk of the inputs after the other, from weights unpacked for all of them where that pays.
unsafe fn unpacked<L: Level, F: Format, const R: usize>(job: &Job<'_>, room: &mut Room) {
    const {
        assert!(CHUNK / F::GROUPS * <F::Unpacked as Weights>::BYTES <= UNPACKED_BYTES);
        assert!(UNPACKED_BYTES.is_multiple_of(64));
    }
    let groups = job.x.groups;
    let tiles = job.rows.div_ceil(R);
    for first in (0..job.panels).step_by(2) {
        for group in (0..groups).step_by(CHUNK) {
            let span = (group, (groups - group).min(CHUNK));
            let packed = job.at::<F, 2>(first, group);
            if F::EIGHT_BITS && tiles <= FEW_TILES {
                // SAFETY: groups of panels.
                unsafe { chunk::<L, F, F, R>(job, first, span, packed, room) };
                continue;
            }
            let mut unpacked = [std::ptr::null(); 2];
            for (p, packed) in packed.into_iter().enumerate() {
                let chunk = room.chunk[p].as_mut_ptr().cast::<u8>();
                // SAFETY: groups of a panel, and room for as many.
                unsafe { L::unpack::<F>(packed, span.1, chunk) };
                unpacked[p] = chunk.cast_const();
            }
            // SAFETY: as many unpacked groups.
            unsafe { chunk::<L, F, F::Unpacked, R>(job, first, span, unpacked, room) };
        }
        // SAFETY: all tiles have been computed.
        unsafe { job.store::<2>(first, room) };
    }
}

/// All tiles over the groups of a chunk, from weights of format `F` as `W`.
unsafe fn chunk<L: Level, F: Format, W: Weights, const R: usize>(
    job: &Job<'_>,
    first: usize,
    (group, groups): (usize, usize),
    panels: [*const u8; 2],
    room: &mut Room,
) {
    let tiles = job.rows.div_ceil(R);
    for tile in 0..tiles {
        let ahead = job.share_of_next::<F>(first, group, (tile, tiles), groups / W::GROUPS);
        let tile = job.tile::<W, 2>(tile, (group, groups), panels, ahead, room);
        // SAFETY: the caller's groups, and as many rows as tiles have.
        unsafe { L::tile::<W, R, 2>(&tile) };
    }
}
