//! Numbered slots, lent and given back without a lock.

use crate::sync::{AtomicU64, Ordering, spin_loop};

/// Bits of all slots; threads beyond them wait for one.
const WORDS: usize = 8;

/// As many slots as there are threads, up to [`MOST`](Self::MOST).
pub(super) struct Slots {
    free: [AtomicU64; WORDS],
}

impl Slots {
    /// How many there can be.
    pub(super) const MOST: usize = WORDS * 64;

    /// Slots 0 to `count`, all free.
    pub(super) fn new(count: usize) -> Self {
        Self {
            free: std::array::from_fn(|word| {
                let bits = count.saturating_sub(word * 64).min(64);
                AtomicU64::new(if bits == 64 { u64::MAX } else { (1 << bits) - 1 })
            }),
        }
    }

    /// A slot that nobody else holds until it is dropped.
    pub(super) fn take(&self) -> Slot<'_> {
        loop {
            for (at, word) in self.free.iter().enumerate() {
                let bits = word.load(Ordering::Relaxed);
                if bits == 0 {
                    continue;
                }
                let bit = bits & bits.wrapping_neg();
                if word.fetch_and(!bit, Ordering::Acquire) & bit != 0 {
                    return Slot { word, bit, number: at * 64 + bit.trailing_zeros() as usize };
                }
            }
            spin_loop();
        }
    }
}

/// A slot that is held.
pub(super) struct Slot<'a> {
    word: &'a AtomicU64,
    bit: u64,
    number: usize,
}

impl Slot<'_> {
    /// Which one it is.
    pub(super) fn number(&self) -> usize {
        self.number
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.word.fetch_or(self.bit, Ordering::Release);
    }
}
