//! The register tile of the int8 kernels: some rows by one or two panels.

use std::arch::x86_64::*;

use super::format::{Format, Weights};
use super::level::Level;
use super::rows::Rows;

/// The most outputs of a tile that keeps two sums for each. A dot product takes five to six cycles and two begin in
/// each, so that ten to twelve have to be under way.
const APART: usize = 8;

/// What a tile works on.
pub(super) struct Tile<'a> {
    /// The first block of the first panel.
    pub(super) panel: *const u8,
    /// Bytes from panel to panel.
    pub(super) panel_stride: usize,
    /// Blocks to go through.
    pub(super) blocks: usize,
    /// Their activations.
    pub(super) rows: &'a Rows,
    /// Sixteen values of the first panel in the first row.
    pub(super) out: *mut f32,
    pub(super) out_stride: usize,
    /// Whether the output is added to, because this is not the first chunk of the inputs.
    pub(super) add: bool,
    /// Memory that is needed next, brought into the cache meanwhile, `next_bytes` for each block.
    pub(super) next: *const u8,
    pub(super) next_bytes: usize,
}

/// Expands to one call per step of four inputs.
macro_rules! steps {
    ($step:ident: $($s:literal)*) => { $($step!($s);)* };
}

/// `R` rows by `P` panels. A row's operations are the same in every tile: in each group the exact integer sums, then
/// `scale * x_scale * sum` and the adds, fused, onto what the groups before it gave.
///
/// # Safety
/// The blocks of `P` panels, `R` filled rows with as many groups, and `R` by `16 P` outputs, on a processor with the
/// level's features.
#[inline(always)]
pub(super) unsafe fn tile<L: Level, W: Weights, const R: usize, const P: usize>(t: &Tile<'_>) {
    // SAFETY: all addresses are within what the caller promises; prefetches may go anywhere.
    unsafe {
        let mut out = [[_mm512_setzero_ps(); P]; R];
        if t.add {
            for row in 0..R {
                for p in 0..P {
                    out[row][p] = _mm512_loadu_ps(t.out.add(row * t.out_stride + 16 * p));
                }
            }
        }
        let mut at = t.panel;
        let mut next = t.next;
        let mut first = 0;
        for _ in 0..t.blocks {
            let mut line = 0;
            while line < t.next_bytes {
                _mm_prefetch::<_MM_HINT_T0>(next.wrapping_add(line).cast());
                line += 64;
            }
            next = next.wrapping_add(t.next_bytes);
            let mut blocks = [at; P];
            for p in 0..P {
                blocks[p] = at.add(p * t.panel_stride);
            }
            let mut heads = [W::head(at); P];
            for p in 1..P {
                heads[p] = W::head(blocks[p]);
            }
            for group in 0..W::GROUPS {
                self::group::<L, W, R, P>(&blocks, &heads, group, t.rows, first + group, &mut out);
            }
            first += W::GROUPS;
            at = at.add(W::BYTES);
        }
        for row in 0..R {
            for p in 0..P {
                _mm512_storeu_ps(t.out.add(row * t.out_stride + 16 * p), out[row][p]);
            }
        }
    }
}

/// One group of the blocks: group `x_group` of the rows.
#[inline(always)]
unsafe fn group<L: Level, W: Weights, const R: usize, const P: usize>(
    blocks: &[*const u8; P],
    heads: &[W::Head; P],
    group: usize,
    rows: &Rows,
    x_group: usize,
    out: &mut [[__m512; P]; R],
) {
    // SAFETY: the promises of `tile`.
    unsafe {
        // The sums of steps 0 to 3 and of steps 4 to 7; of all steps in the first when the tile is high enough to keep
        // the processor busy with one sum for each output.
        let apart = W::SCALES == 2 || R * P <= APART;
        let mut first = [[_mm512_setzero_si512(); P]; R];
        let mut second = [[_mm512_setzero_si512(); P]; R];
        for row in 0..R {
            let start = rows.start::<R>(row, W::SCALES * x_group);
            for p in 0..P {
                first[row][p] = start;
            }
            if W::SCALES == 2 {
                let start = rows.start::<R>(row, 2 * x_group + 1);
                for p in 0..P {
                    second[row][p] = start;
                }
            }
        }
        macro_rules! step {
            ($s:literal) => {
                let sums = if apart && $s >= 4 { &mut second } else { &mut first };
                let mut weights = [_mm512_setzero_si512(); P];
                for p in 0..P {
                    weights[p] = W::step::<$s>(blocks[p], group);
                    if !W::READY {
                        weights[p] = L::bytes(weights[p], W::SIGNED);
                    }
                }
                for row in 0..R {
                    let x = rows.step::<$s, R>(row, x_group);
                    for p in 0..P {
                        sums[row][p] = L::dot(sums[row][p], weights[p], x, W::SIGNED);
                    }
                }
            };
        }
        steps!(step: 0 4 1 5 2 6 3 7);
        for p in 0..P {
            let scales = W::scales(blocks[p], heads[p], group);
            for row in 0..R {
                let x_scale = rows.scale::<R>(row, x_group);
                let (first, second) = (first[row][p], second[row][p]);
                out[row][p] = if W::SCALES == 1 {
                    let sum = if apart { _mm512_add_epi32(first, second) } else { first };
                    _mm512_fmadd_ps(_mm512_mul_ps(scales[0], x_scale), _mm512_cvtepi32_ps(sum), out[row][p])
                } else {
                    let sum = _mm512_mul_ps(scales[0], _mm512_cvtepi32_ps(first));
                    let sum = _mm512_fmadd_ps(scales[1], _mm512_cvtepi32_ps(second), sum);
                    _mm512_fmadd_ps(sum, x_scale, out[row][p])
                };
            }
        }
        if W::ADDS {
            for p in 0..P {
                let adds = W::adds(blocks[p], heads[p], group);
                for half in 0..W::SCALES {
                    for row in 0..R {
                        let sum = rows.sum::<R>(row, W::SCALES * x_group + half);
                        out[row][p] = _mm512_fmadd_ps(adds[half], sum, out[row][p]);
                    }
                }
            }
        }
    }
}

/// Unpacks `groups` groups of one panel, a whole number of blocks, to blocks of `F::Unpacked`.
///
/// # Safety
/// As many groups from `block` on, and room for them at `to`.
#[inline(always)]
pub(super) unsafe fn unpack<L: Level, F: Format>(block: *const u8, groups: usize, to: *mut u8) {
    // SAFETY: within what the caller promises.
    unsafe {
        for index in 0..groups / F::GROUPS {
            let block = block.add(index * F::BYTES);
            let head = F::head(block);
            for group in 0..F::GROUPS {
                let to = to.add((index * F::GROUPS + group) * <F::Unpacked as Weights>::BYTES);
                macro_rules! step {
                    ($s:literal) => {
                        let weights = L::bytes(F::step::<$s>(block, group), F::SIGNED);
                        _mm512_storeu_si512(to.add(64 * $s).cast(), weights);
                    };
                }
                steps!(step: 0 1 2 3 4 5 6 7);
                let scales = F::scales(block, head, group);
                for half in 0..F::SCALES {
                    _mm512_storeu_ps(to.add(512 + 64 * half).cast(), scales[half]);
                }
                if F::ADDS {
                    let adds = F::adds(block, head, group);
                    for half in 0..F::SCALES {
                        _mm512_storeu_ps(to.add(512 + 64 * (F::SCALES + half)).cast(), adds[half]);
                    }
                }
            }
        }
    }
}
