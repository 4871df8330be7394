//! What the processor can do: loops of nothing but the instruction in question.

#![allow(unsafe_code)]
#![allow(clippy::multiple_unsafe_ops_per_block)] // loops of nothing but such operations, under one promise

use model_runtime::backend::cpu::Level;

/// GOP/s, of one thread or of several at once; `None` where the level has no such instruction.
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

    /// Several streams side by side, each brought into the cache some lines ahead.
    #[target_feature(enable = "avx512f")]
    pub(super) fn read<const STREAMS: usize>(bytes: &[u8]) -> i64 {
        const AHEAD: usize = 4096;
        let length = bytes.len() / STREAMS / 128 * 128;
        let mut sums = [[_mm512_setzero_si512(); 2]; STREAMS];
        for at in (0..length).step_by(128) {
            for (stream, sums) in sums.iter_mut().enumerate() {
                let pair = &bytes[stream * length + at..][..128];
                for (line, sum) in sums.iter_mut().enumerate() {
                    let at = pair[64 * line..].as_ptr();
                    // SAFETY: a prefetch may go anywhere; the line is within the pair.
                    let value = unsafe {
                        _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD).cast());
                        _mm512_loadu_si512(at.cast())
                    };
                    *sum = _mm512_xor_si512(*sum, value);
                }
            }
        }
        sums.into_iter().flatten().map(|sum| _mm512_reduce_or_epi64(sum)).fold(0, |all, sum| all ^ sum)
    }
}

/// What a peak is a peak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instruction {
    /// `f32` fused multiply-add.
    F32,
    /// Pairs of BF16, accumulated in `f32`.
    Bf16,
    /// Four int8 products, accumulated in 32 bits.
    Int8,
}

#[cfg(target_arch = "x86_64")]
impl Instruction {
    /// The least level that has it.
    fn level(self) -> Level {
        match self {
            Self::F32 => Level::Avx512,
            Self::Bf16 => Level::Avx512Bf16,
            Self::Int8 => Level::Avx512Vnni,
        }
    }

    /// Multiplications and additions of [`run`](Self::run).
    pub(crate) fn operations(self) -> f64 {
        let each = match self {
            Self::F32 => 32,
            Self::Bf16 => 64,
            Self::Int8 => 128,
        };
        (loops::ROUNDS * loops::WAYS * each) as f64
    }

    /// Nothing but this instruction, some microseconds long. Nothing where the processor does not have it.
    pub(crate) fn run(self) {
        use std::hint::black_box;

        if !self.level().is_supported() {
            return;
        }
        match self {
            // SAFETY: the processor has the level's instructions.
            Self::F32 => drop(black_box(unsafe { loops::fma() })),
            // SAFETY: as above.
            Self::Bf16 => drop(black_box(unsafe { loops::bf16() })),
            // SAFETY: as above.
            Self::Int8 => drop(black_box(unsafe { loops::int8() })),
        }
    }

    fn exists(self, level: Level) -> bool {
        level >= self.level() && self.level().is_supported()
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Instruction {
    pub(crate) fn operations(self) -> f64 {
        0.0
    }

    pub(crate) fn run(self) {}

    fn exists(self, _: Level) -> bool {
        false
    }
}

impl Peaks {
    /// Asks `rate` for the GOP/s of every instruction that the level has.
    pub(crate) fn measure(level: Level, rate: impl Fn(Instruction) -> f64) -> Self {
        let peak = |instruction: Instruction| instruction.exists(level).then(|| rate(instruction));
        Self { f32: peak(Instruction::F32), bf16: peak(Instruction::Bf16), int8: peak(Instruction::Int8) }
    }

    /// The higher of each.
    pub(crate) fn better(self, other: Self) -> Self {
        let higher = |a: Option<f64>, b: Option<f64>| Some(a?.max(b?));
        Self {
            f32: higher(self.f32, other.f32),
            bf16: higher(self.bf16, other.bf16),
            int8: higher(self.int8, other.int8),
        }
    }
}

/// Reads all bytes (but for a rest shorter than 128 bytes a stream) in so many streams side by side, as fast as one
/// thread can.
pub(crate) fn read<const STREAMS: usize>(level: Level, bytes: &[u8]) -> i64 {
    #[cfg(target_arch = "x86_64")]
    if level >= Level::Avx512 && Level::Avx512.is_supported() {
        // SAFETY: the processor has the level's instructions.
        return unsafe { loops::read::<STREAMS>(bytes) };
    }
    let _ = level;
    bytes.as_chunks::<8>().0.iter().fold(0, |all, &bytes| all ^ i64::from_le_bytes(bytes))
}
