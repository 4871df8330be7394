//! What was admitted in a sliding window, in buckets.

use std::collections::VecDeque;
use std::time::Duration;

use super::time::nanos;

/// How many buckets a window is long. One more is kept: the oldest, of which a part may still be within the window.
pub const BUCKETS: u64 = 60;

/// Amounts by bucket of time. Only buckets that hold something take memory, at most [`BUCKETS`] + 1.
///
/// The sum over all buckets is never less than what was admitted in the last window, and never more than what was admitted in
/// it and the bucket before.
#[derive(Debug)]
pub(super) struct Window {
    /// Tells it from others in its place, before and after it.
    id: u64,
    /// Nanoseconds in a bucket.
    bucket: u64,
    /// Number of the bucket since the beginning of time, and what it holds; in order.
    held: VecDeque<(u64, u64)>,
    total: u64,
}

/// Where an amount lies, so that it can be taken out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    window: u64,
    bucket: u64,
}

impl Window {
    /// An empty window of that length; `id` is unique.
    pub(super) fn new(id: u64, length: Duration) -> Self {
        Self { id, bucket: (nanos(length) / BUCKETS).max(1), held: VecDeque::new(), total: 0 }
    }

    /// What it holds at `now`.
    pub(super) fn held(&mut self, now: u64) -> u64 {
        let current = now / self.bucket;
        while let Some((bucket, amount)) = self.held.front().copied() {
            if bucket + BUCKETS >= current {
                break;
            }
            self.held.pop_front();
            self.total -= amount;
        }
        self.total
    }

    /// After how long it will hold at most `most`, if nothing is added.
    pub(super) fn until_at_most(&mut self, most: u64, now: u64) -> Duration {
        let mut left = self.held(now);
        for (bucket, amount) in &self.held {
            if left <= most {
                break;
            }
            left -= amount;
            let leaves = (bucket + BUCKETS + 1) * self.bucket;
            if left <= most {
                return Duration::from_nanos(leaves.saturating_sub(now));
            }
        }
        Duration::ZERO
    }

    /// Adds an amount at the time `at`, which may lie before what it holds.
    pub(super) fn add(&mut self, at: u64, amount: u64) -> Entry {
        let number = at / self.bucket;
        // Only somebody who asks for it gets here near the end of the numbers.
        let amount = amount.min(u64::MAX - self.total);
        let place = self.held.partition_point(|(bucket, _)| *bucket < number);
        match self.held.get_mut(place) {
            Some((bucket, held)) if *bucket == number => *held += amount,
            _ => self.held.insert(place, (number, amount)),
        }
        self.total += amount;
        Entry { window: self.id, bucket: number }
    }

    /// Takes an amount out again that was added before. What has left the window is gone already.
    pub(super) fn credit(&mut self, entry: Entry, amount: u64) {
        if entry.window != self.id {
            return;
        }
        let Ok(place) = self.held.binary_search_by_key(&entry.bucket, |(bucket, _)| *bucket) else {
            return;
        };
        let held = &mut self.held[place].1;
        let credited = amount.min(*held);
        *held -= credited;
        self.total -= credited;
        if *held == 0 {
            self.held.remove(place);
        }
    }
}
