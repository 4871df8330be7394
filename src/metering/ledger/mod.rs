//! What every request used, on the disk, exactly once.
//!
//! A request takes a [`Slot`] before it is admitted and hands its [`UsageRecord`] in when it ends. A thread of the ledger's own
//! writes what has come together as one transaction; then, not before, it calls what the record came with, which tells the
//! caller the end of the answer. So nobody's engine waits for a disk, and whoever has been told the end is billed, whatever
//! kills the process.
//!
//! When the database does not take records (locked, full, not to be written), they wait in memory and are tried again, and who
//! waits for them is told so after [`LedgerOptions::patience`]. No more than [`LedgerOptions::most_unwritten`] requests may be
//! running or waiting; [`Ledger::admit`] refuses others.

mod error;
mod last_use;
mod query;
mod record;
mod restore;
mod store;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::channel::bounded;
use jiff::Timestamp;
use parking_lot::RwLock;

pub use error::LedgerError;
pub use query::{GroupBy, Page, RetiringUse, UsageFilter, UsageGroup, UsageGroups, UsagePage};
pub use record::{Outcome, Phases, UsageRecord};

use last_use::LastUses;
use writer::{Message, Pending, Writer};

use crate::catalog::{Offering, Subject};
use crate::clock::Clock;
use crate::database::{Connection, Database, Durability};
use crate::door::Door;
use crate::mailbox::Mailbox;

/// How often it is looked whether other processes have written uses.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How long one attempt to write waits for other writers. Then those are told whose time is up, and it is tried again.
const BUSY: Duration = Duration::from_millis(250);
/// What the ledger's connection keeps of the file: the ends of its indexes, and more of the middle where names come in no order.
const CACHE_KIB: i64 = 16 << 10;
/// Pages in the log of writes before they go into the file, which is when the disk is waited for.
const LOG_PAGES: i64 = 4096;

/// What a ledger may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerOptions {
    /// The most requests that may be running or waiting for the database.
    pub most_unwritten: usize,
    /// How long an answer is held back when the database does not take its record.
    pub patience: Duration,
}

impl Default for LedgerOptions {
    /// 65,536 requests, 5 seconds.
    fn default() -> Self {
        Self { most_unwritten: 65_536, patience: Duration::from_secs(5) }
    }
}

/// The ledger of a database. Clones share it. The last one to go (slots count) writes what waits.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    mailbox: Mailbox<Message>,
    shared: Arc<Shared>,
    options: LedgerOptions,
    /// For questions, which may take long.
    reader: Connection,
    clock: Arc<dyn Clock>,
    /// Whether other processes may write too.
    alone: bool,
    /// When it was last looked whether they did: milliseconds of monotonic time.
    looked: AtomicU64,
}

/// What the ledger's handles and its thread have in common.
struct Shared {
    /// Requests with a slot, and records that are not written.
    unwritten: Door,
    last_uses: RwLock<LastUses>,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

impl Ledger {
    /// Opens the ledger of `database` and starts its thread.
    ///
    /// # Errors
    /// [`LedgerError::Database`], [`LedgerError::Thread`].
    pub fn open(
        database: &Database,
        clock: Arc<dyn Clock>,
        options: LedgerOptions,
    ) -> Result<Self, LedgerError> {
        // Who is killed loses nothing that was committed; only a loss of power may undo the last moments.
        let connection = database.connection(Durability::Buffered)?;
        let reader = database.connection(Durability::Buffered)?;
        let (last_uses, progress) = connection.read(|tx| {
            tx.busy_timeout(BUSY)?;
            tx.pragma_update(None, "cache_size", -CACHE_KIB)?;
            // With the answer, which has the number.
            tx.pragma_update_and_check(None, "wal_autocheckpoint", LOG_PAGES, |_| Ok(()))?;
            Ok::<_, LedgerError>(LastUses::load(tx)?)
        })?;
        let shared = Arc::new(Shared { unwritten: Door::default(), last_uses: RwLock::new(last_uses) });
        let (writer_shared, writer_clock) = (shared.clone(), clock.clone());
        let mailbox = Mailbox::start(
            "mr-ledger",
            move |mail| {
                Writer::new(mail, connection, writer_shared, writer_clock, options.patience, progress)
            },
            |_| Ok(()),
            Writer::run,
        )
        .map_err(|error| LedgerError::Thread { problem: error.to_string() })?;
        let alone = database.path().is_none();
        let looked = AtomicU64::new(milliseconds(clock.monotonic()));
        Ok(Self { inner: Arc::new(Inner { mailbox, shared, options, reader, clock, alone, looked }) })
    }

    /// A place for the record of a request that is about to be admitted.
    ///
    /// # Errors
    /// [`LedgerError::Full`] when too many requests run, or wait for the database.
    pub fn admit(&self) -> Result<Slot, LedgerError> {
        let most = self.inner.options.most_unwritten;
        if !self.inner.shared.unwritten.enter(most) {
            return Err(LedgerError::Full { most });
        }
        Ok(Slot { inner: self.inner.clone(), used: false })
    }

    /// Writes a record without a slot taken before; when there is no place for it, `then` is told at once and on this thread.
    pub fn record(&self, record: UsageRecord, then: impl FnOnce(Result<(), LedgerError>) + Send + 'static) {
        match self.admit() {
            Ok(slot) => slot.record(record, then),
            Err(error) => then(Err(error)),
        }
    }

    /// Waits until everything is written that was recorded before.
    ///
    /// # Errors
    /// [`LedgerError::Delayed`] when the database did not take it for as long as the ledger is patient;
    /// [`LedgerError::Thread`] on the ledger's own thread, where it would wait for itself.
    pub fn flush(&self) -> Result<(), LedgerError> {
        if self.inner.mailbox.is_here() {
            return Err(LedgerError::Thread { problem: "it cannot wait for itself".into() });
        }
        let (tell, told) = bounded(1);
        self.inner.mailbox.send(Message::Flush { since: self.inner.clock.monotonic(), tell });
        told.recv().unwrap_or_else(|_| Err(LedgerError::Thread { problem: "it has ended".into() }))
    }

    /// When `requester` last used `subject` in `offering`, from memory. What other processes wrote is seen within some seconds.
    pub fn last_use(&self, requester: &str, subject: &Subject, offering: Offering) -> Option<Timestamp> {
        self.look_again();
        self.inner.shared.last_uses.read().get(requester, subject, offering)
    }

    /// Everything that anybody ever used, from memory.
    pub fn used_subjects(&self) -> BTreeSet<(Subject, Offering)> {
        self.inner.shared.last_uses.read().subjects()
    }

    /// Requests that run or wait for the database.
    pub fn unwritten(&self) -> usize {
        self.inner.shared.unwritten.waiting()
    }

    /// Now and then has the ledger's thread look whether other processes have written.
    fn look_again(&self) {
        if self.inner.alone {
            return;
        }
        let now = milliseconds(self.inner.clock.monotonic());
        let looked = self.inner.looked.load(Ordering::Relaxed);
        let due = now.saturating_sub(looked) >= LOOK_AGAIN.as_millis() as u64;
        let exchange =
            |to| self.inner.looked.compare_exchange(looked, to, Ordering::Relaxed, Ordering::Relaxed);
        if due && exchange(now).is_ok() {
            self.inner.mailbox.send(Message::LookAgain);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.mailbox.send(Message::Close);
        self.mailbox.join();
    }
}

/// The place of one request's record. Dropped without a record, it is given back.
pub struct Slot {
    inner: Arc<Inner>,
    used: bool,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

impl Slot {
    /// Has the record written. `then` is called once on the ledger's thread: with `Ok` when the record is on the disk, with
    /// [`LedgerError::Delayed`] when that takes too long (it is still tried), with another error when it will not happen. It must
    /// return quickly. Returns at once.
    pub fn record(
        mut self,
        record: UsageRecord,
        then: impl FnOnce(Result<(), LedgerError>) + Send + 'static,
    ) {
        self.used = true;
        let since = self.inner.clock.monotonic();
        let pending = Pending { record, then: Some(Box::new(then)), since };
        self.inner.mailbox.send(Message::Record(Box::new(pending)));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // The record has the place now, and its writing gives it back.
        if !self.used {
            self.inner.shared.unwritten.leave(1);
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
