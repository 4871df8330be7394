//! Panels of quantized weights by int8 rows: few rows straight from the packed weights, more of them from weights
//! unpacked to the first-level cache, a super-block of the inputs at a time.

use std::mem::MaybeUninit;

use super::super::{Form, Int8Kernel, Int8Rows, MAX_INT8_ROWS, Side};
use super::format::{Format, Weights, words};
use super::level::Level;
use super::tile::{Ahead, Tile};

/// The most rows of a tile, two panels wide: as many integer sums as leave registers for weights and activations.
const ROWS: usize = 12;
/// Panels of a tile of one or two rows: several streams from memory are faster than one.
const WIDE: usize = 4;
/// Tiles for which weights are not unpacked beforehand.
const PACKED_TILES: usize = 1;
/// Groups of a chunk: a super-block.
const CHUNK: usize = 8;
/// How many groups before they are needed weights are brought into the cache.
const AHEAD: usize = 8;
/// Tiles that share in bringing the next chunk.
const SHARERS: usize = 4;
/// Bytes of an unpacked chunk of one panel, at most: two scales for each group, and minima.
const UNPACKED_BYTES: usize = CHUNK * (512 + 128) + 9 * 64;

/// The sums of tiles two panels wide, and a tile's scratch.
#[repr(C, align(64))]
struct Sums {
    tiles: [MaybeUninit<f32>; (MAX_INT8_ROWS + 2 * ROWS) * 2 * 16],
    scratch: [MaybeUninit<f32>; ROWS * 2 * 16],
}

/// The unpacked weights of a chunk of two panels.
#[repr(C, align(64))]
struct Chunk([[MaybeUninit<u8>; UNPACKED_BYTES]; 2]);

/// The kernel of a format at a level.
pub(super) fn kernel<L: Level, F: Format>() -> Int8Kernel {
    let offset = if F::SIGNED { L::SIGNED_OFFSET } else { F::OFFSET };
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
    // SAFETY: the caller's promises.
    unsafe {
        if rows.div_ceil(x.height) > PACKED_TILES {
            match x.height {
                7 => unpacked::<L, F, 7>(&job),
                8 => unpacked::<L, F, 8>(&job),
                9 => unpacked::<L, F, 9>(&job),
                10 => unpacked::<L, F, 10>(&job),
                11 => unpacked::<L, F, 11>(&job),
                12 => unpacked::<L, F, 12>(&job),
                // No even cut of more rows than two tiles have is lower than nine.
                _ => {}
            }
            return;
        }
        match x.height {
            1 => packed::<L, F, 1, WIDE>(&job),
            2 => packed::<L, F, 2, WIDE>(&job),
            3 => packed::<L, F, 3, 2>(&job),
            4 => packed::<L, F, 4, 2>(&job),
            5 => packed::<L, F, 5, 2>(&job),
            6 => packed::<L, F, 6, 2>(&job),
            7 => packed::<L, F, 7, 2>(&job),
            8 => packed::<L, F, 8, 2>(&job),
            9 => packed::<L, F, 9, 2>(&job),
            10 => packed::<L, F, 10, 2>(&job),
            11 => packed::<L, F, 11, 2>(&job),
            _ => packed::<L, F, 12, 2>(&job),
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

    /// A tile's share of the next chunk: so much memory asked for at once would keep the processor waiting.
    fn share_of_next<F: Format, const P: usize>(
        &self,
        first: usize,
        group: usize,
        tile: usize,
        tiles: usize,
        blocks: usize,
    ) -> Ahead<P> {
        let (next, group) = match group + CHUNK {
            group if group < self.x.groups => (first, group),
            _ => (first + P, 0),
        };
        let sharers = tiles.min(SHARERS);
        let share = (CHUNK / F::GROUPS * F::BYTES).div_ceil(sharers);
        let wanted = next < self.panels && tile < sharers;
        Ahead {
            at: self.at::<F, P>(next, group).map(|at| at.wrapping_add(tile * share)),
            bytes: if wanted { share.div_ceil(blocks) } else { 0 },
            jump: (blocks, 0),
        }
    }

    /// A tile over groups of `W` from `group` on.
    #[allow(clippy::too_many_arguments)] // the parts of a tile
    fn tile<W: Weights, const P: usize>(
        &self,
        tile: usize,
        group: usize,
        groups: usize,
        panels: [*const u8; P],
        ahead: Ahead<P>,
        sums: *mut f32,
        scratch: *mut f32,
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
            sums: sums.wrapping_add(tile * height * P * 16),
            scratch,
            fresh: group == 0,
            ahead,
        }
    }

    /// Copies what `P` panels from `first` on gave.
    unsafe fn store<const P: usize>(&self, first: usize, sums: *const f32) {
        let width = 16 * P.min(self.panels - first);
        for row in 0..self.rows {
            // SAFETY: the outputs are there for the panels that are, and as many sums.
            unsafe {
                let to = self.out.add(row * self.out_stride + 16 * first);
                sums.add(row * P * 16).copy_to_nonoverlapping(to, width);
            }
        }
    }
}

/// One or two tiles, from weights as they are packed.
unsafe fn packed<L: Level, F: Format, const R: usize, const P: usize>(job: &Job<'_>) {
    let groups = job.x.groups;
    let tiles = job.rows.div_ceil(R);
    // One tile reads its panels from front to back; two take turns.
    let chunk = if tiles == 1 { groups } else { CHUNK };
    let mut room = MaybeUninit::<Sums>::uninit();
    // SAFETY: the places of fields; nothing is read before it is written.
    let (sums, scratch) = unsafe {
        let room = room.as_mut_ptr();
        ((&raw mut (*room).tiles).cast::<f32>(), (&raw mut (*room).scratch).cast::<f32>())
    };
    for first in (0..job.panels).step_by(P) {
        for group in (0..groups).step_by(chunk) {
            let here = (groups - group).min(chunk);
            for tile in 0..tiles {
                let ahead = if tiles == 1 {
                    job.ahead::<F, P>(first)
                } else {
                    job.share_of_next::<F, P>(first, group, tile, tiles, here / F::GROUPS)
                };
                let tile =
                    job.tile::<F, P>(tile, group, here, job.at::<F, P>(first, group), ahead, sums, scratch);
                // SAFETY: groups of panels that exist, and of as many rows as tiles have.
                unsafe { L::tile::<F, R, P>(&tile) };
            }
        }
        // SAFETY: all tiles have been computed.
        unsafe { job.store::<P>(first, sums) };
    }
}

/// More tiles, from chunks of unpacked weights.
unsafe fn unpacked<L: Level, F: Format, const R: usize>(job: &Job<'_>) {
    const {
        assert!(CHUNK / F::GROUPS * <F::Unpacked as Weights>::BYTES <= UNPACKED_BYTES);
    }
    let groups = job.x.groups;
    let tiles = job.rows.div_ceil(R);
    let mut room = MaybeUninit::<Sums>::uninit();
    let mut chunk = MaybeUninit::<Chunk>::uninit();
    // SAFETY: as in `packed`.
    let (sums, scratch, chunk) = unsafe {
        let (room, chunk) = (room.as_mut_ptr(), chunk.as_mut_ptr());
        let chunk = (&raw mut (*chunk).0).cast::<u8>();
        ((&raw mut (*room).tiles).cast::<f32>(), (&raw mut (*room).scratch).cast::<f32>(), chunk)
    };
    for first in (0..job.panels).step_by(2) {
        for group in (0..groups).step_by(CHUNK) {
            let here = (groups - group).min(CHUNK);
            for (p, packed) in job.at::<F, 2>(first, group).into_iter().enumerate() {
                // SAFETY: groups of a panel, and room for as many.
                unsafe { L::unpack::<F>(packed, here, chunk.add(p * UNPACKED_BYTES)) };
            }
            let unpacked = [chunk.cast_const(), chunk.wrapping_add(UNPACKED_BYTES)];
            let blocks = here / <F::Unpacked as Weights>::GROUPS;
            for tile in 0..tiles {
                let ahead = job.share_of_next::<F, 2>(first, group, tile, tiles, blocks);
                let tile = job.tile::<F::Unpacked, 2>(tile, group, here, unpacked, ahead, sums, scratch);
                // SAFETY: unpacked groups, and as many rows as tiles have.
                unsafe { L::tile::<F::Unpacked, R, 2>(&tile) };
            }
        }
        // SAFETY: all tiles have been computed.
        unsafe { job.store::<2>(first, sums) };
    }
}
