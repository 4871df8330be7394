//! Time that never runs backwards, whatever the clock does.

use std::time::Duration;

/// Threads read the clock before they wait for the lock: what arrives may be a little older than what was there before.
const OUT_OF_ORDER: Duration = Duration::from_secs(1);

/// Counts, in nanoseconds, how far a clock went forwards.
#[derive(Debug)]
pub(super) struct SteadyTime {
    last: Duration,
    elapsed: u64,
}

impl SteadyTime {
    /// Starts at `elapsed` with the first instant that is told, so that there is a time before it.
    pub(super) fn new(now: Duration, elapsed: Duration) -> Self {
        Self { last: now, elapsed: nanos(elapsed) }
    }

    /// The time at which the clock says `now`.
    pub(super) fn at(&mut self, now: Duration) -> u64 {
        match now.checked_sub(self.last) {
            Some(forwards) => {
                self.elapsed = self.elapsed.saturating_add(nanos(forwards));
                self.last = now;
            }
            // A clock that was set back: waiting until it is where it was could take for ever.
            None if self.last - now > OUT_OF_ORDER => self.last = now,
            None => {}
        }
        self.elapsed
    }
}

/// Five hundred years at most.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
