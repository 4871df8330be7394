//! Whether a reservation was given what it was promised, over a sliding window.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Buckets of a window. In each, what was given counts up to what was due: a second with more does not make up for one with
/// less.
const BUCKETS: u64 = 60;
const NANOS: u128 = 1_000_000_000;

/// What an endpoint wanted and got, told step by step.
///
/// In a step, an endpoint *wants* the tokens that it could have run, and is *due* as many of them as its reservation gives in
/// the time that the step takes. So an idle endpoint is due nothing, and one that sends little is due that little.
#[derive(Debug)]
pub struct Attainment {
    /// Tokens per second.
    reserved: u64,
    /// Nanoseconds in a bucket.
    bucket: u64,
    buckets: VecDeque<Bucket>,
}

#[derive(Debug, Default)]
struct Bucket {
    number: u64,
    wanted_for: Duration,
    given: u64,
    /// Tokens times nanoseconds per second: whole numbers for any reservation and any step.
    due: u128,
}

/// What was wanted, due and given in the window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AttainmentReport {
    /// The reservation, in tokens per second.
    pub reserved_tokens_per_second: u64,
    /// For how long anything was wanted.
    pub wanted_seconds: f64,
    /// What was due in that time.
    pub due_tokens: f64,
    /// What was given, in the whole window.
    pub given_tokens: u64,
    /// The share of what was due that was given, at most 1; `None` when nothing was due.
    pub attained: Option<f64>,
}

impl Attainment {
    /// Of a reservation of so many tokens per second, over that long.
    pub fn new(reserved: u64, window: Duration) -> Self {
        let nanos = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        Self { reserved, bucket: (nanos / BUCKETS).max(1), buckets: VecDeque::new() }
    }

    /// A step that ended at `now`, the clock's monotonic time, and took so long: the endpoint had `wanted` tokens ready for it,
    /// and `given` of them were run.
    pub fn step(&mut self, wanted: u64, given: u64, took: Duration, now: Duration) {
        self.forget(now);
        let number = self.number(now);
        let newest = self.buckets.back().map(|bucket| bucket.number);
        // A clock that is set back goes on in the newest bucket.
        if newest.is_none_or(|newest| newest < number) {
            self.buckets.push_back(Bucket { number, ..Bucket::default() });
        }
        let Some(bucket) = self.buckets.back_mut() else { return };
        bucket.given = bucket.given.saturating_add(given);
        if wanted > 0 {
            bucket.wanted_for = bucket.wanted_for.saturating_add(took);
            let entitled = u128::from(self.reserved).saturating_mul(took.as_nanos());
            bucket.due = bucket.due.saturating_add(entitled.min(u128::from(wanted) * NANOS));
        }
    }

    /// What holds at `now`.
    pub fn report(&mut self, now: Duration) -> AttainmentReport {
        self.forget(now);
        let (mut wanted_for, mut due, mut given, mut attained) = (Duration::ZERO, 0_u128, 0_u64, 0_u128);
        for bucket in &self.buckets {
            wanted_for = wanted_for.saturating_add(bucket.wanted_for);
            due = due.saturating_add(bucket.due);
            given = given.saturating_add(bucket.given);
            attained = attained.saturating_add(bucket.due.min(u128::from(bucket.given) * NANOS));
        }
        AttainmentReport {
            reserved_tokens_per_second: self.reserved,
            wanted_seconds: wanted_for.as_secs_f64(),
            due_tokens: due as f64 / NANOS as f64,
            given_tokens: given,
            attained: (due > 0).then(|| attained as f64 / due as f64),
        }
    }

    fn number(&self, now: Duration) -> u64 {
        u64::try_from(now.as_nanos()).unwrap_or(u64::MAX) / self.bucket
    }

    fn forget(&mut self, now: Duration) {
        let number = self.number(now);
        while self.buckets.front().is_some_and(|bucket| bucket.number + BUCKETS < number) {
            self.buckets.pop_front();
        }
        // Of a clock that was set back far, nothing before is of this window.
        if self.buckets.back().is_some_and(|bucket| bucket.number > number + BUCKETS) {
            self.buckets.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    /// Steps of 20 ms, from one second to another.
    fn steps(of: &mut Attainment, seconds: std::ops::Range<u64>, wanted: u64, given: u64) {
        for step in seconds.start * 50..seconds.end * 50 {
            of.step(wanted, given, Duration::from_millis(20), Duration::from_millis((step + 1) * 20 - 1));
        }
    }

    fn attained(of: &mut Attainment, second: u64) -> Option<f64> {
        of.report(Duration::from_secs(second)).attained
    }

    #[test]
    fn what_is_due_is_what_is_wanted_up_to_the_reservation() {
        // 20 tokens a step.
        let mut of = Attainment::new(1_000, WINDOW);
        assert_eq!(attained(&mut of, 0), None);
        steps(&mut of, 0..10, 512, 20);
        let report = of.report(Duration::from_secs(10));
        assert_eq!((report.attained, report.given_tokens), (Some(1.0), 10_000));
        assert_eq!((report.due_tokens, report.wanted_seconds.round()), (10_000.0, 10.0));
        // It wants little and gets it.
        steps(&mut of, 10..20, 3, 3);
        assert_eq!(attained(&mut of, 20), Some(1.0));
        // It wants nothing.
        steps(&mut of, 20..30, 0, 0);
        assert_eq!(attained(&mut of, 30), Some(1.0));
        // It wants much and gets a quarter of what is due.
        steps(&mut of, 30..40, 512, 5);
        assert_eq!(attained(&mut of, 40), Some((10_000.0 + 1_500.0 + 2_500.0) / 21_500.0));
    }

    #[test]
    fn more_at_one_time_does_not_make_up_for_less_at_another() {
        let mut of = Attainment::new(1_000, WINDOW);
        steps(&mut of, 0..10, 512, 200);
        steps(&mut of, 10..20, 512, 0);
        assert_eq!(attained(&mut of, 20), Some(0.5));
        // Within a second it does: a prompt runs in few large steps.
        let mut of = Attainment::new(1_000, WINDOW);
        steps(&mut of, 0..0, 0, 0);
        for step in 0..50_u64 {
            let given = if step == 30 { 1_000 } else { 0 };
            of.step(1_000, given, Duration::from_millis(20), Duration::from_millis(step * 20));
        }
        assert_eq!(attained(&mut of, 1), Some(1.0));
    }

    #[test]
    fn what_is_past_is_forgotten_and_a_clock_set_back_does_no_harm() {
        let mut of = Attainment::new(1_000, WINDOW);
        steps(&mut of, 0..10, 512, 0);
        assert_eq!(attained(&mut of, 10), Some(0.0));
        steps(&mut of, 60..71, 512, 20);
        assert_eq!(attained(&mut of, 71), Some(1.0));
        assert!(of.buckets.len() as u64 <= BUCKETS + 1);
        steps(&mut of, 5..7, 512, 10);
        assert!(attained(&mut of, 7).unwrap() < 1.0);
        assert_eq!(attained(&mut of, 100_000), None);
        steps(&mut of, 0..1, 512, 10);
        assert_eq!(attained(&mut of, 1), Some(0.5));
    }
}
