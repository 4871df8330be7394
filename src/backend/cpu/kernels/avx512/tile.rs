//! The register tile of the int8 kernels: some rows by some panels.

use std::arch::asm;
use std::arch::x86_64::*;

use super::format::{Format, Weights, words};
use super::level::Level;
use super::unroll::{panels, rows, steps};

/// What a tile works on.
pub(super) struct Tile<const P: usize> {
    /// The first block of each panel.
    pub(super) panels: [*const u8; P],
    /// Blocks to go through.
    pub(super) blocks: usize,
    /// Their activations, `R` rows side by side.
    pub(super) q: *const i32,
    pub(super) scales: *const f32,
    pub(super) side: *const i32,
    /// `[R][P][16]` outputs, at a multiple of 64 bytes.
    pub(super) sums: *mut f32,
    /// Room for as many, with whatever in it.
    pub(super) scratch: *mut f32,
    /// Whether the outputs begin at zero, because these are the first blocks of their inputs.
    pub(super) fresh: bool,
    pub(super) ahead: Ahead<P>,
}

/// Memory that is needed later, brought into the cache meanwhile.
#[derive(Clone, Copy)]
pub(super) struct Ahead<const P: usize> {
    /// What belongs to each panel.
    pub(super) at: [*const u8; P],
    /// Bytes for each block.
    pub(super) bytes: usize,
    /// The block from which on it lies elsewhere, and how many bytes further than it would.
    pub(super) jump: (usize, usize),
}

/// The most outputs of a tile whose `f32` sums stay in registers, beside as many integer sums, weights and an
/// activation. Where activations share a scale, there are sums of the block as well.
const fn in_registers<W: Weights, const R: usize, const P: usize>() -> bool {
    R * P <= if W::SHARED { 8 } else { 12 }
}

/// `R` by `P` registers of sums, in memory when there are too many.
struct Sums<const R: usize, const P: usize> {
    registers: [[__m512; P]; R],
    memory: *mut f32,
    in_registers: bool,
}

impl<const R: usize, const P: usize> Sums<R, P> {
    #[inline(always)]
    unsafe fn zero(memory: *mut f32, in_registers: bool) -> Self {
        // SAFETY: the promises of `tile`.
        unsafe {
            let mut sums = Self { registers: [[_mm512_setzero_ps(); P]; R], memory, in_registers };
            sums.clear();
            sums
        }
    }

    #[inline(always)]
    unsafe fn clear(&mut self) {
        rows!(row => {
            panels!(p => {
                // SAFETY: as above.
                unsafe { self.set(row, p, _mm512_setzero_ps()) };
            });
        });
    }

    #[inline(always)]
    unsafe fn get(&self, row: usize, p: usize) -> __m512 {
        if self.in_registers {
            self.registers[row][p]
        } else {
            // SAFETY: as above.
            unsafe { _mm512_load_ps(self.memory.add(16 * (row * P + p))) }
        }
    }

    #[inline(always)]
    unsafe fn set(&mut self, row: usize, p: usize, value: __m512) {
        if self.in_registers {
            self.registers[row][p] = value;
        } else {
            // SAFETY: as above.
            unsafe { _mm512_store_ps(self.memory.add(16 * (row * P + p)), value) };
        }
    }

    #[inline(always)]
    unsafe fn load(&mut self) {
        if self.in_registers {
            rows!(row => {
                panels!(p => {
                    // SAFETY: as above.
                    self.registers[row][p] = unsafe { _mm512_load_ps(self.memory.add(16 * (row * P + p))) };
                });
            });
        }
    }

    #[inline(always)]
    unsafe fn store(&self) {
        if self.in_registers {
            rows!(row => {
                panels!(p => {
                    // SAFETY: as above.
                    unsafe {
                        _mm512_store_ps(self.memory.add(16 * (row * P + p)), self.registers[row][p]);
                    }
                });
            });
        }
    }
}

/// `R` rows by `P` panels. A row's operations are the same in every tile, whatever its height and width.
///
/// Each group gives the exact integer sum of its products. Where activations do not share a scale, `scale * x_scale *
/// sum` and then the add are fused onto what the groups before gave. Where they do, `scale * sum` of all groups of a
/// block are fused onto each other, then the minima; and `x_scale` times this onto what the blocks before gave.
///
/// # Safety
/// The blocks of `P` panels, `R` rows with as many groups, and sums and scratch as stated, on a processor with the
/// level's features.
#[inline(always)]
pub(super) unsafe fn tile<L: Level, W: Weights, const R: usize, const P: usize>(t: &Tile<P>) {
    // SAFETY: all addresses are within what the caller promises; prefetches may go anywhere.
    unsafe {
        let in_registers = in_registers::<W, R, P>();
        let mut out = Sums::<R, P> { registers: [[_mm512_setzero_ps(); P]; R], memory: t.sums, in_registers };
        if t.fresh {
            out.clear()
        } else {
            out.load()
        }
        let mut shared = Sums::<R, P>::zero(t.scratch, in_registers);
        let (mut panels, mut ahead) = (t.panels, t.ahead.at);
        let (mut q, mut scales, mut side) = (t.q, t.scales, t.side);
        for block in 0..t.blocks {
            if block == t.ahead.jump.0 {
                panels!(p => {
                    ahead[p] = ahead[p].wrapping_add(t.ahead.jump.1);
                });
            }
            let mut heads = [W::head(panels[0]); P];
            for p in 1..P {
                heads[p] = W::head(panels[p]);
            }
            for group in 0..W::GROUPS {
                let share = t.ahead.bytes / W::GROUPS;
                panels!(p => {
                    let mut line = 0;
                    while line < share {
                        let at = ahead[p].wrapping_add(group * share + line);
                        _mm_prefetch::<_MM_HINT_T0>(at.cast());
                        line += 64;
                    }
                });
                let q = q.add(group * R * 8);
                if W::SHARED {
                    group_in_block::<L, W, R, P>(&panels, &heads, group, q, side, &mut shared);
                } else {
                    lone_group::<L, W, R, P>(&panels, &heads, q, scales, side, &mut out);
                }
                if !in_registers {
                    // Or the compiler would keep all sums in registers that there are not.
                    asm!("", options(nostack, preserves_flags));
                }
            }
            if W::SHARED {
                if W::ADDS {
                    minima::<L, W, R, P>(&panels, &heads, side, &mut shared);
                }
                rows!(row => {
                    let x_scale = _mm512_set1_ps(*scales.add(row));
                    panels!(p => {
                        let sum = _mm512_fmadd_ps(shared.get(row, p), x_scale, out.get(row, p));
                        out.set(row, p, sum);
                    });
                });
                shared.clear();
            }
            q = q.add(W::GROUPS * R * 8);
            scales = scales.add(R);
            side = side.add(R * words::<W>());
            panels!(p => {
                panels[p] = panels[p].add(W::BYTES);
                ahead[p] = ahead[p].wrapping_add(t.ahead.bytes);
            });
        }
        out.store();
    }
}

/// The integer sums of a group, or of a half of it: `sums` go in as what they begin with.
macro_rules! dots {
    ($panels:ident, $group:ident, $q:ident, $sums:ident, $($s:literal)*) => {{
        macro_rules! step {
            ($step:literal) => {
                let mut weights = [_mm512_setzero_si512(); P];
                panels!(p => {
                    weights[p] = W::step::<$step>($panels[p], $group);
                    if !W::READY {
                        weights[p] = L::bytes(weights[p], W::EIGHT_BITS);
                    }
                });
                rows!(row => {
                    let x = _mm512_set1_epi32(*$q.add(row * 8 + $step));
                    panels!(p => {
                        $sums[row][p] = L::dot($sums[row][p], weights[p], x, W::EIGHT_BITS);
                    });
                });
            };
        }
        steps!(step: $($s)*);
    }};
}

/// A group whose activations have a scale of their own.
#[inline(always)]
unsafe fn lone_group<L: Level, W: Weights, const R: usize, const P: usize>(
    panels: &[*const u8; P],
    heads: &[W::Head; P],
    q: *const i32,
    scales: *const f32,
    side: *const i32,
    out: &mut Sums<R, P>,
) {
    // SAFETY: the promises of `tile`.
    unsafe {
        let mut sums = [[_mm512_setzero_si512(); P]; R];
        if !W::ADDS {
            rows!(row => {
                sums[row] = [_mm512_set1_epi32(*side.add(row)); P];
            });
        }
        let group = 0;
        dots!(panels, group, q, sums, 0 4 1 5 2 6 3 7);
        panels!(p => {
            let scale = W::scale(panels[p], heads[p], 0, 0);
            rows!(row => {
                let scale = _mm512_mul_ps(scale, _mm512_set1_ps(*scales.add(row)));
                let sum = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(sums[row][p]), out.get(row, p));
                out.set(row, p, sum);
            });
        });
        if W::ADDS {
            panels!(p => {
                let add = W::add(panels[p]);
                rows!(row => {
                    let scaled = _mm512_set1_ps(f32::from_bits((*side.add(row)).cast_unsigned()));
                    out.set(row, p, _mm512_fmadd_ps(add, scaled, out.get(row, p)));
                });
            });
        }
    }
}

/// A group of a block whose activations share a scale.
#[inline(always)]
unsafe fn group_in_block<L: Level, W: Weights, const R: usize, const P: usize>(
    panels: &[*const u8; P],
    heads: &[W::Head; P],
    group: usize,
    q: *const i32,
    side: *const i32,
    shared: &mut Sums<R, P>,
) {
    // SAFETY: the promises of `tile`.
    unsafe {
        for half in 0..W::SCALES {
            let mut sums = [[_mm512_setzero_si512(); P]; R];
            if !W::ADDS {
                rows!(row => {
                    let start = *side.add(row * words::<W>() + W::SCALES * group + half);
                    sums[row] = [_mm512_set1_epi32(start); P];
                });
            }
            match (W::SCALES, half) {
                (1, _) => dots!(panels, group, q, sums, 0 4 1 5 2 6 3 7),
                (_, 0) => dots!(panels, group, q, sums, 0 1 2 3),
                _ => dots!(panels, group, q, sums, 4 5 6 7),
            }
            panels!(p => {
                let scale = W::scale(panels[p], heads[p], group, half);
                rows!(row => {
                    let sum = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(sums[row][p]), shared.get(row, p));
                    shared.set(row, p, sum);
                });
            });
        }
    }
}

/// The minima of a block, times the sums of its activations.
#[inline(always)]
unsafe fn minima<L: Level, W: Weights, const R: usize, const P: usize>(
    panels: &[*const u8; P],
    heads: &[W::Head; P],
    side: *const i32,
    shared: &mut Sums<R, P>,
) {
    // SAFETY: the promises of `tile`.
    unsafe {
        let mut sums = [[_mm512_setzero_si512(); P]; R];
        for pair in 0..words::<W>() {
            let mut minima = [_mm512_setzero_si512(); P];
            panels!(p => {
                minima[p] = W::minima(panels[p], pair);
            });
            rows!(row => {
                let x = _mm512_set1_epi32(*side.add(row * words::<W>() + pair));
                panels!(p => {
                    sums[row][p] = L::dot_pairs(sums[row][p], minima[p], x);
                });
            });
        }
        panels!(p => {
            let scale = W::minimum_scale(panels[p], heads[p]);
            rows!(row => {
                let sum = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(sums[row][p]), shared.get(row, p));
                shared.set(row, p, sum);
            });
        });
    }
}

/// Unpacks `groups` groups of one panel, a whole number of blocks, to blocks of `F::Unpacked`.
///
/// # Safety
/// As many groups from `block` on, and room for them at `to`, a multiple of 64 bytes.
#[inline(always)]
pub(super) unsafe fn unpack<L: Level, F: Format>(block: *const u8, groups: usize, to: *mut u8) {
    const {
        assert!(
            F::GROUPS == <F::Unpacked as Weights>::GROUPS && F::SHARED == <F::Unpacked as Weights>::SHARED
        );
    }
    // SAFETY: within what the caller promises.
    unsafe {
        let (mut block, mut to) = (block, to);
        for _ in 0..groups / F::GROUPS {
            let head = F::head(block);
            for group in 0..F::GROUPS {
                macro_rules! step {
                    ($s:literal) => {
                        let weights = L::bytes(F::step::<$s>(block, group), F::EIGHT_BITS);
                        _mm512_store_si512(to.cast(), weights);
                        to = to.add(64);
                    };
                }
                steps!(step: 0 1 2 3 4 5 6 7);
                for half in 0..F::SCALES {
                    _mm512_store_ps(to.cast(), F::scale(block, head, group, half));
                    to = to.add(64);
                }
            }
            if F::ADDS && !F::SHARED {
                _mm512_store_ps(to.cast(), F::add(block));
                to = to.add(64);
            }
            if F::ADDS && F::SHARED {
                for pair in 0..words::<F>() {
                    _mm512_store_si512(to.cast(), F::minima(block, pair));
                    to = to.add(64);
                }
                _mm512_store_ps(to.cast(), F::minimum_scale(block, head));
                to = to.add(64);
            }
            block = block.add(F::BYTES);
        }
    }
}
