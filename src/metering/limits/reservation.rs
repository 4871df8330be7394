//! What a request holds of its endpoint's limits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Used;
use super::limiter::{Held, Shared};

/// Tokens and a query that are reserved for one request.
///
/// Until [`commit`](Self::commit) it is provisional: dropped, all of it is credited back, as if the request had never been.
/// From then on its input and its query count. What it generates is told by [`generated`](Self::generated) on the way or by
/// [`settle`](Self::settle) at the end; whichever way it ends, what is left of the output is credited back at once.
pub struct Reservation {
    limiter: Arc<Shared>,
    held: Held,
    committed: bool,
    /// Output tokens so far.
    generated: u64,
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("reserved", &self.held.amount)
            .field("committed", &self.committed)
            .field("generated", &self.generated)
            .finish()
    }
}

impl Reservation {
    pub(super) fn new(limiter: Arc<Shared>, held: Held) -> Self {
        Self { limiter, held, committed: false, generated: 0 }
    }

    /// What is reserved.
    pub fn reserved(&self) -> Used {
        self.held.amount
    }

    /// The request is accepted: from now on it counts.
    pub fn commit(&mut self) {
        self.committed = true;
    }

    /// So many output tokens there are by now. Only remembered; it takes no lock.
    pub fn generated(&mut self, output_tokens: u64) {
        self.generated = output_tokens;
    }

    /// The request has ended with so many output tokens: less than was reserved is credited, more is charged. Commits.
    pub fn settle(mut self, output_tokens: u64, now: Duration) {
        self.committed = true;
        self.generated = output_tokens;
        let more = output_tokens.saturating_sub(self.held.amount.output_tokens);
        if more > 0 {
            self.limiter.charge(&self.held, &Used { output_tokens: more, ..Used::default() }, now);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let unused = if self.committed {
            let output_tokens = self.held.amount.output_tokens.saturating_sub(self.generated);
            Used { output_tokens, ..Used::default() }
        } else {
            self.held.amount
        };
        if unused != Used::default() {
            self.limiter.credit(&self.held, &unused);
        }
    }
}
