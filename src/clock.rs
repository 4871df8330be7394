//! Time is injected: everything that reads the time takes a [`Clock`].
//!
//! Wall time stamps responses and decides about dates; monotonic time measures durations and deadlines and never
//! runs backwards when somebody sets the wall clock.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A source of wall time and of monotonic time.
pub trait Clock: Send + Sync + 'static {
    /// The wall time, UTC.
    fn wall(&self) -> Timestamp;

    /// Time since an arbitrary fixed origin; never decreases.
    fn monotonic(&self) -> Duration;
}

/// The operating system's clock.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic origin is now.
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// A clock that moves only when told to, for tests and for replaying the past.
#[derive(Debug)]
pub struct ManualClock {
    wall_seconds: AtomicI64,
    monotonic_nanos: AtomicU64,
}

impl ManualClock {
    /// A clock that stands at `wall` (whole seconds) and at monotonic zero.
    pub fn at(wall: Timestamp) -> Self {
        Self { wall_seconds: AtomicI64::new(wall.as_second()), monotonic_nanos: AtomicU64::new(0) }
    }

    /// Moves both times forward.
    pub fn advance(&self, by: Duration) {
        self.wall_seconds.fetch_add(by.as_secs() as i64, Ordering::SeqCst);
        self.monotonic_nanos.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
    }

    /// Sets the wall time, backwards too; monotonic time stays.
    pub fn set_wall(&self, wall: Timestamp) {
        self.wall_seconds.store(wall.as_second(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        Timestamp::from_second(self.wall_seconds.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.monotonic_nanos.load(Ordering::SeqCst))
    }
}

/// Count, sum and maximum of some durations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DurationStats {
    /// How many durations.
    pub count: u64,
    /// Their sum, in seconds.
    pub sum_seconds: f64,
    /// The longest, in seconds.
    pub max_seconds: f64,
}

impl DurationStats {
    /// The mean, in seconds; 0 if there is none.
    pub fn mean_seconds(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum_seconds / self.count as f64 }
    }

    pub(crate) fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        self.count += 1;
        self.sum_seconds += seconds;
        self.max_seconds = self.max_seconds.max(seconds);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn manual_clock_moves_only_when_told() {
        let clock = ManualClock::at(Timestamp::from_second(1_700_000_000).unwrap());
        assert_eq!(clock.monotonic(), Duration::ZERO);
        clock.advance(Duration::from_secs(3));
        assert_eq!(clock.wall().as_second(), 1_700_000_003);
        clock.set_wall(Timestamp::UNIX_EPOCH);
        assert_eq!(clock.wall(), Timestamp::UNIX_EPOCH);
        assert_eq!(clock.monotonic(), Duration::from_secs(3));
    }
}
