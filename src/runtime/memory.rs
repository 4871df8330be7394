//! The memory budget that all endpoints of a runtime share.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::Result;

/// How much may be taken, and how much is.
#[derive(Debug)]
pub(super) struct Budget {
    limit: Option<u64>,
    taken: Mutex<u64>,
}

/// Bytes taken from a budget; dropping it gives them back.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(limit: Option<u64>) -> Arc<Self> {
        Arc::new(Self { limit, taken: Mutex::new(0) })
    }

    /// What is left; `None` without a limit.
    pub(super) fn available(&self) -> Option<u64> {
        Some(self.limit?.saturating_sub(*self.taken.lock()))
    }

    /// Decides over what is left and takes it, so that two loads at once cannot both get it.
    pub(super) fn reserve<T>(
        self: &Arc<Self>,
        decide: impl FnOnce(Option<u64>) -> Result<(T, u64)>,
    ) -> Result<(T, Reservation)> {
        let mut taken = self.taken.lock();
        let available = self.limit.map(|limit| limit.saturating_sub(*taken));
        let (decision, bytes) = decide(available)?;
        *taken = taken.saturating_add(bytes);
        Ok((decision, Reservation { budget: Arc::clone(self), bytes }))
    }
}

impl Reservation {
    /// Some of its bytes, as a reservation of their own.
    pub(super) fn split(&mut self, bytes: u64) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { budget: Arc::clone(&self.budget), bytes }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut taken = self.budget.taken.lock();
        *taken = taken.saturating_sub(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_reservation_is_given_back() {
        let budget = Budget::new(Some(100));
        let ((), first) = budget.reserve(|available| Ok(((), available.unwrap() / 2))).unwrap();
        assert_eq!(budget.available(), Some(50));
        assert!(budget.reserve::<()>(|_| Err(crate::Error::invalid("x", "no"))).is_err());
        assert_eq!(budget.available(), Some(50));
        let mut first = first;
        drop(first.split(20));
        assert_eq!(budget.available(), Some(70));
        let rest = first.split(1000);
        drop(first);
        assert_eq!(budget.available(), Some(70));
        drop(rest);
        assert_eq!(budget.available(), Some(100));
    }
}
