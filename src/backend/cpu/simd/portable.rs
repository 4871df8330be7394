//! The meaning of every operation, in plain Rust.

use half::f16;

use super::{LANES, Lanes};

/// Sixteen lanes in an array.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(in super::super) struct Wide([f32; LANES]);

impl Wide {
    #[inline(always)]
    fn map(self, f: impl Fn(f32) -> f32) -> Self {
        Self(self.0.map(f))
    }

    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| f(self.0[lane], other.0[lane])))
    }
}

// SAFETY (of the blocks below): the trait's promise about pointers.
impl Lanes for Wide {
    const ROWS: usize = 2;
    const VECTORS: usize = 2;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; LANES])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: sixteen elements are readable.
        Self(unsafe { from.cast::<[f32; LANES]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> Self {
        // SAFETY: the first `count` elements are readable.
        Self(std::array::from_fn(|lane| if lane < count { unsafe { *from.add(lane) } } else { 0.0 }))
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> Self {
        // SAFETY: sixteen elements are readable.
        let bits = unsafe { from.cast::<[u16; LANES]>().read_unaligned() };
        Self(bits.map(|bits| f16::from_bits(bits).to_f32()))
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> Self {
        // SAFETY: sixteen elements are readable.
        let bits = unsafe { from.cast::<[u16; LANES]>().read_unaligned() };
        Self(bits.map(|bits| f32::from_bits(u32::from(bits) << 16)))
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        // SAFETY: sixteen elements are readable.
        let integers = unsafe { from.cast::<[i8; LANES]>().read_unaligned() };
        Self(integers.map(f32::from))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: sixteen elements are writable.
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, count: usize) {
        for (lane, x) in self.0.into_iter().enumerate().take(count) {
            // SAFETY: the first `count` elements are writable.
            unsafe { to.add(lane).write(x) }
        }
    }

    #[inline(always)]
    unsafe fn store_f16(self, to: *mut u16) {
        let bits = self.0.map(|x| f16::from_f32(x).to_bits());
        // SAFETY: sixteen elements are writable.
        unsafe { to.cast::<[u16; LANES]>().write_unaligned(bits) }
    }

    #[inline(always)]
    unsafe fn store_i8(self, to: *mut i8) {
        let integers = self.0.map(|x| x.round_ties_even() as i8);
        // SAFETY: sixteen elements are writable.
        unsafe { to.cast::<[i8; LANES]>().write_unaligned(integers) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    #[inline(always)]
    unsafe fn fma(self, factor: Self, term: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane].mul_add(factor.0[lane], term.0[lane])))
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    unsafe fn abs(self) -> Self {
        self.map(f32::abs)
    }

    #[inline(always)]
    unsafe fn if_negative(self, yes: Self, no: Self) -> Self {
        Self(std::array::from_fn(|lane| if self.0[lane] < 0.0 { yes.0[lane] } else { no.0[lane] }))
    }

    #[inline(always)]
    unsafe fn in_range_or(self, first: usize, end: usize, other: Self) -> Self {
        Self(std::array::from_fn(
            |lane| if (first..end).contains(&lane) { self.0[lane] } else { other.0[lane] },
        ))
    }

    #[inline(always)]
    unsafe fn scale_by_power(self, exponent: Self) -> Self {
        // In two steps, of which only the last can round: 2^-150 is no number of its own.
        let power = |exponent: i32| f32::from_bits(((exponent + 127) << 23) as u32);
        self.zip(exponent, |x, exponent| {
            let exponent = exponent as i32;
            x * power(exponent >> 1) * power(exponent - (exponent >> 1))
        })
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let mut x = self.0;
        for distance in [8, 4, 2, 1] {
            for lane in 0..distance {
                x[lane] += x[lane + distance];
            }
        }
        x[0]
    }

    #[inline(always)]
    unsafe fn transpose(square: &mut [Self; LANES]) {
        let rows = *square;
        for (i, row) in square.iter_mut().enumerate() {
            row.0 = std::array::from_fn(|j| rows[j].0[i]);
        }
    }

    #[inline(always)]
    unsafe fn highest(self) -> f32 {
        self.0.into_iter().fold(f32::NEG_INFINITY, |a, b| if a > b { a } else { b })
    }
}
