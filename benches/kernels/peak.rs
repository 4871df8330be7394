//! What the processor can do: loops of nothing but the instruction in question.

#![allow(unsafe_code)]
#![allow(clippy::multiple_unsafe_ops_per_block)] // loops of nothing but such operations, under one promise

use std::time::Duration;

use model_runtime::backend::cpu::Level;

/// GOP/s of one thread; `None` where the level has no such instruction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peaks {
    /// `f32` fused multiply-add.
    pub(crate) f32: Option<f64>,
    /// Pairs of BF16, accumulated in `f32`.
    pub(crate) bf16: Option<f64>,
    /// Four int8 products, accumulated in 32 bits.
    pub(crate) int8: Option<f64>,
}

#[cfg(target_arch = "x86_64")]
mod loops {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// Repetitions of [`WAYS`] independent operations: some microseconds, so that a run may fit between two
    /// interruptions.
    pub(super) const ROUNDS: usize = 2000;
    /// Enough to hide the latency of each.
    pub(super) const WAYS: usize = 16;

    // Every chain starts from what the compiler cannot know: of equal ones it makes copies, and times those.

    #[target_feature(enable = "avx512f")]
    pub(super) fn fma() -> f32 {
        let (a, b) = (black_box(_mm512_set1_ps(0.5)), black_box(_mm512_set1_ps(1e-3)));
        let mut sums = [_mm512_setzero_ps(); WAYS].map(black_box);
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(a, b, *sum);
            }
        }
        sums.into_iter().map(|sum| _mm512_reduce_add_ps(sum)).sum()
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) fn bf16() -> f32 {
        // SAFETY: registers of the same size, and any bits are a value.
        let a = unsafe { std::mem::transmute::<__m512i, __m512bh>(black_box(_mm512_set1_epi16(0x3c00))) };
        let mut sums = [_mm512_setzero_ps(); WAYS].map(black_box);
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = _mm512_dpbf16_ps(*sum, a, a);
            }
        }
        sums.into_iter().map(|sum| _mm512_reduce_add_ps(sum)).sum()
    }

    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) fn int8() -> i32 {
        let (a, b) = (black_box(_mm512_set1_epi8(3)), black_box(_mm512_set1_epi8(1)));
        let mut sums = [_mm512_setzero_si512(); WAYS].map(black_box);
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = _mm512_dpbusd_epi32(*sum, a, b);
            }
        }
        sums.into_iter().map(|sum| _mm512_reduce_add_epi32(sum)).sum()
    }

    /// Two streams, each brought into the cache some lines ahead.
    #[target_feature(enable = "avx512f")]
    pub(super) fn read(bytes: &[u8]) -> i64 {
        const AHEAD: usize = 4096;
        let half = bytes.len() / 2;
        let mut sums = [_mm512_setzero_si512(); 4];
        for (first, second) in bytes[..half].chunks_exact(128).zip(bytes[half..].chunks_exact(128)) {
            for (stream, lines) in [first, second].into_iter().enumerate() {
                for line in 0..2 {
                    let at = lines[64 * line..].as_ptr();
                    // SAFETY: a prefetch may go anywhere; the line is within the chunk.
                    let value = unsafe {
                        _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD).cast());
                        _mm512_loadu_si512(at.cast())
                    };
                    let sum = &mut sums[2 * stream + line];
                    *sum = _mm512_xor_si512(*sum, value);
                }
            }
        }
        sums.into_iter().map(|sum| _mm512_reduce_or_epi64(sum)).fold(0, |all, sum| all ^ sum)
    }
}

impl Peaks {
    /// The higher of each.
    pub(crate) fn better(self, other: Self) -> Self {
        let higher = |a: Option<f64>, b: Option<f64>| Some(a?.max(b?));
        Self {
            f32: higher(self.f32, other.f32),
            bf16: higher(self.bf16, other.bf16),
            int8: higher(self.int8, other.int8),
        }
    }

    #[cfg(target_arch = "x86_64")]
    pub(crate) fn measure(level: Level, time: Duration) -> Self {
        use std::hint::black_box;

        let rate = |operations: usize, run: &dyn Fn()| {
            let all = (loops::ROUNDS * loops::WAYS * operations) as f64;
            all / super::shortest(time, run) / 1e9
        };
        let has = |least: Level| level >= least && least.is_supported();
        Self {
            f32: has(Level::Avx512).then(|| {
                rate(32, &|| {
                    // SAFETY: the processor has the level's instructions.
                    black_box(unsafe { loops::fma() });
                })
            }),
            bf16: has(Level::Avx512Bf16).then(|| {
                rate(64, &|| {
                    // SAFETY: the processor has the level's instructions.
                    black_box(unsafe { loops::bf16() });
                })
            }),
            int8: has(Level::Avx512Vnni).then(|| {
                rate(128, &|| {
                    // SAFETY: the processor has the level's instructions.
                    black_box(unsafe { loops::int8() });
                })
            }),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn measure(_: Level, _: Duration) -> Self {
        Self { f32: None, bf16: None, int8: None }
    }
}

/// Reads all bytes, as fast as one thread can.
pub(crate) fn read(level: Level, bytes: &[u8]) -> i64 {
    #[cfg(target_arch = "x86_64")]
    if level >= Level::Avx512 && Level::Avx512.is_supported() {
        // SAFETY: the processor has the level's instructions.
        return unsafe { loops::read(bytes) };
    }
    let _ = level;
    bytes.as_chunks::<8>().0.iter().fold(0, |all, &bytes| all ^ i64::from_le_bytes(bytes))
}
