//! What was used, and by whom.

use jiff::Timestamp;

use super::ModelRuntime;
use crate::catalog::{Offering, Subject, Task};
use crate::error::Result;
use crate::lifecycle::Principal;
use crate::metering::ledger::{GroupBy, Page, RetiringUse, UsageFilter, UsageGroups, UsagePage};
use crate::metering::limits::{EndpointLimits, LimitUse};

impl ModelRuntime {
    /// Waits until everything that has ended is recorded.
    ///
    /// # Errors
    /// The database does not take it.
    pub fn flush_usage(&self) -> Result<()> {
        Ok(self.inner.ledger.flush()?)
    }

    /// The records of requests, in the order in which they were written: one per request, billed once.
    ///
    /// # Errors
    /// A page of no records or too many; the database cannot be read.
    pub fn usage(&self, filter: &UsageFilter, page: Page) -> Result<UsagePage> {
        Ok(self.inner.ledger.records(filter, page)?)
    }

    /// The sums of requests that are alike in `by`.
    ///
    /// # Errors
    /// As [`usage`](Self::usage).
    pub fn usage_by(&self, filter: &UsageFilter, by: &[GroupBy], page: Page) -> Result<UsageGroups> {
        Ok(self.inner.ledger.groups(filter, by, page)?)
    }

    /// Who still uses what is retired or will be, between two instants: by requester, endpoint and model.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn retiring_usage(
        &self,
        from: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Vec<RetiringUse>> {
        let timeline = self.timeline()?;
        let now = self.inner.clock.wall();
        // A version shares the life of its model: what matters is what holds for what was used.
        let retires = |(subject, offering): &(Subject, Offering)| {
            let state = |task| timeline.status(subject, *offering, task, &Principal::default(), now).state;
            Task::ALL.iter().any(|task| state(*task).is_retiring() || state(*task).is_retired())
        };
        let subjects: Vec<_> = self.inner.ledger.used_subjects().into_iter().filter(retires).collect();
        Ok(self.inner.ledger.retiring_use(&subjects, from, until)?)
    }

    /// Sets the limits of an endpoint. What was used before counts under the new ones.
    ///
    /// # Errors
    /// An unknown endpoint.
    pub fn set_limits(&self, endpoint: &str, limits: EndpointLimits) -> Result<()> {
        self.inner.endpoints.find(endpoint)?.limiter().set_limits(limits);
        Ok(())
    }

    /// What is used and reserved of each limit of an endpoint, or of a principal of it.
    ///
    /// # Errors
    /// An unknown endpoint.
    pub fn limit_use(&self, endpoint: &str, principal: Option<&str>) -> Result<Vec<LimitUse>> {
        let now = self.inner.clock.monotonic();
        Ok(self.inner.endpoints.find(endpoint)?.limiter().current(principal, now))
    }
}
