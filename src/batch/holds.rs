//! Queues that have refused a request for now, and until when they are left alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// How long a full queue is left alone the first time; twice as long each time after.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// And at most so long.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Hold {
    /// In the clock's monotonic time.
    until: Duration,
    refusals: u32,
    /// Whether the end of any request may be what it waits for, and not time alone.
    full: bool,
}

/// Which queues are held. A queue is one as [`Call::queue`](super::request::Call::queue) has them: what refuses one of its requests
/// would refuse the next one too, and each refusal costs a look at the prompt and is a record in the ledger.
#[derive(Debug, Default)]
pub(super) struct Holds(HashMap<Arc<str>, Hold>);

/// Whether a request that met this error is to be tried again.
pub(super) fn is_for_now(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Overloaded | ErrorKind::RateLimited)
}

impl Holds {
    /// The queue has refused a request.
    pub(super) fn refused(&mut self, queue: &Arc<str>, error: &Error, now: Duration) {
        let refusals = self.0.get(queue).map_or(0, |hold| hold.refusals);
        let pause = FIRST_PAUSE.saturating_mul(1 << refusals.min(16)).min(LONGEST_PAUSE);
        let until = now.saturating_add(error.retry_after().unwrap_or(pause));
        let full = error.retry_after().is_none();
        self.0.insert(Arc::clone(queue), Hold { until, refusals: refusals + 1, full });
    }

    /// The queue has taken a request.
    pub(super) fn taken(&mut self, queue: &Arc<str>) {
        self.0.remove(queue);
    }

    /// A request has ended: whoever waits for a place need not wait for the time.
    pub(super) fn ended(&mut self, now: Duration) {
        for hold in self.0.values_mut().filter(|hold| hold.full) {
            hold.until = hold.until.min(now);
        }
    }

    /// Whether the queue is to be left alone.
    pub(super) fn holds(&self, queue: &Arc<str>, now: Duration) -> bool {
        self.0.get(queue).is_some_and(|hold| now < hold.until)
    }

    /// How long until the first of the queues may be tried again.
    pub(super) fn pause(&self, now: Duration) -> Option<Duration> {
        self.0.values().map(|hold| hold.until.saturating_sub(now)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limited(after: Duration) -> Error {
        Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(after)
    }

    #[test]
    fn a_limit_is_waited_out_and_a_full_queue_until_something_ends() {
        let (limit, full): (Arc<str>, Arc<str>) = ("limit".into(), "full".into());
        let mut holds = Holds::default();
        assert!(!holds.holds(&limit, Duration::ZERO) && holds.pause(Duration::ZERO).is_none());
        holds.refused(&limit, &limited(60 * SECOND), SECOND);
        holds.refused(&full, &Error::new(ErrorKind::Overloaded, "full"), SECOND);
        assert!(holds.holds(&limit, SECOND) && holds.holds(&full, SECOND));
        assert_eq!(holds.pause(SECOND), Some(FIRST_PAUSE));
        holds.ended(SECOND);
        assert!(holds.holds(&limit, SECOND) && !holds.holds(&full, SECOND));
        holds.taken(&full);
        assert_eq!(holds.pause(SECOND), Some(60 * SECOND));
        assert!(holds.holds(&limit, 60 * SECOND) && !holds.holds(&limit, 61 * SECOND));
    }

    #[test]
    fn a_queue_that_stays_full_is_asked_more_and_more_rarely() {
        let (queue, mut holds, mut now): (Arc<str>, _, _) = ("m".into(), Holds::default(), Duration::ZERO);
        let mut pauses = Vec::new();
        for _ in 0..100 {
            holds.refused(&queue, &Error::new(ErrorKind::Overloaded, "full"), now);
            pauses.extend(holds.pause(now));
            now += pauses.last().copied().unwrap_or_default();
        }
        assert_eq!(pauses.first(), Some(&FIRST_PAUSE));
        assert!(pauses.is_sorted() && pauses.last() == Some(&LONGEST_PAUSE), "{pauses:?}");
        holds.taken(&queue);
        holds.refused(&queue, &Error::new(ErrorKind::Overloaded, "full"), now);
        assert_eq!(holds.pause(now), Some(FIRST_PAUSE), "forgotten once it takes something");
    }
}
