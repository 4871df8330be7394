//! Sums over a sliding window of time.

use std::collections::VecDeque;
use std::time::Duration;

use super::share::{Attainment, NANOS_PER_TOKEN};

/// The window moves in as many leaps as this in its own length.
const PARTS: u64 = 60;

/// Sums of one part of the window.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    number: u64,
    /// Nanoseconds.
    busy: u64,
    computing: u64,
    /// Billionths of a token.
    owed: u64,
    given: u64,
}

/// What one engine was owed and given not long ago.
#[derive(Debug)]
pub(super) struct Window {
    part_nanos: u64,
    since: Duration,
    parts: VecDeque<Part>,
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Window {
    /// A window of a certain length that begins to fill now.
    pub(super) fn new(length: Duration, now: Duration) -> Self {
        let part_nanos = (nanos(length) / PARTS).max(1);
        Self { part_nanos, since: now, parts: VecDeque::with_capacity(PARTS as usize + 1) }
    }

    fn part(&mut self, now: Duration) -> &mut Part {
        let number = nanos(now) / self.part_nanos;
        while self.parts.front().is_some_and(|part| part.number + PARTS <= number) {
            self.parts.pop_front();
        }
        if self.parts.back().is_none_or(|part| part.number != number) {
            self.parts.push_back(Part { number, ..Part::default() });
        }
        // There is one: it was pushed if it was not there.
        let last = self.parts.len() - 1;
        &mut self.parts[last]
    }

    /// Adds a time that ends now in which the engine had work, and computed or not.
    pub(super) fn busy(&mut self, now: Duration, nanos: u64, computing: bool, owed: u64) {
        let part = self.part(now);
        part.busy += nanos;
        part.computing += if computing { nanos } else { 0 };
        part.owed = part.owed.saturating_add(owed);
    }

    /// Adds what a step was worth.
    pub(super) fn give(&mut self, now: Duration, given: u64) {
        let part = self.part(now);
        part.given = part.given.saturating_add(given);
    }

    pub(super) fn attainment(&self, now: Duration) -> Attainment {
        let number = nanos(now) / self.part_nanos;
        let recent = || self.parts.iter().filter(|part| part.number + PARTS > number);
        let sum = |of: fn(&Part) -> u64| recent().map(of).fold(0, u64::saturating_add);
        let (busy, computing) = (sum(|part| part.busy), sum(|part| part.computing));
        let tokens = |nanos: u64| nanos as f64 / NANOS_PER_TOKEN as f64;
        let given = tokens(sum(|part| part.given));
        let covered = nanos(now.saturating_sub(self.since)).min(self.part_nanos.saturating_mul(PARTS));
        Attainment {
            window: Duration::from_nanos(covered),
            busy: Duration::from_nanos(busy),
            computing: Duration::from_nanos(computing),
            owed: tokens(sum(|part| part.owed)),
            given,
            wanted: if computing == 0 { 0.0 } else { given * busy as f64 / computing as f64 },
        }
    }
}
