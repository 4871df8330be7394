//! Fills the windows of limits from the ledger, so that a restart is no way around a limit.

use std::collections::HashMap;
use std::time::Duration;

use super::error::LedgerError;
use super::{Ledger, store};
use crate::metering::limits::{RateLimiter, Used};

/// The longest window of a limit.
const LONGEST: Duration = Duration::from_secs(3600);
/// How far the clock may have been set back for a use to count as of now.
const AHEAD: Duration = Duration::from_secs(60);

impl Ledger {
    /// Counts in each of `limiters` what was admitted to its endpoint in the last hour.
    ///
    /// Uses count as of the end of the second they were submitted in: longer by at most a second, never shorter.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn restore_limits<'l>(
        &self,
        limiters: impl IntoIterator<Item = &'l RateLimiter>,
    ) -> Result<(), LedgerError> {
        let limiters: HashMap<_, _> =
            limiters.into_iter().map(|limiter| (limiter.endpoint(), limiter)).collect();
        let wall = self.inner.clock.wall().as_microsecond();
        let monotonic = self.inner.clock.monotonic();
        let (from, until) = (wall - LONGEST.as_micros() as i64, wall + AHEAD.as_micros() as i64);
        self.inner.reader.read(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT endpoint_name, requester, request_time, input_token_count, output_token_count \
                 FROM usage WHERE request_time BETWEEN ?1 AND ?2 AND admitted",
            )?;
            let mut rows = statement.query((from, until))?;
            while let Some(row) = rows.next()? {
                // Text of ours is UTF-8.
                let name =
                    |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str().unwrap_or_default());
                let Some(limiter) = limiters.get(name(0)?) else { continue };
                let used = Used {
                    queries: 1,
                    input_tokens: store::count(row, 3)?,
                    output_tokens: store::count(row, 4)?,
                };
                let second = row.get::<_, i64>(2)?.div_euclid(1_000_000);
                let ago = wall.saturating_sub((second + 1).saturating_mul(1_000_000)).max(0);
                limiter.restore(name(1)?, used, Duration::from_micros(ago as u64), monotonic);
            }
            Ok(())
        })
    }
}
