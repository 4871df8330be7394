//! The ledger's thread: writes records in groups, tries again what was not taken, tells who waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use rusqlite::ErrorCode;

use super::error::LedgerError;
use super::last_use::{self, FOLD, FOLD_NOW, Progress};
use super::record::UsageRecord;
use super::{Shared, store};
use crate::clock::Clock;
use crate::database::{Connection, DatabaseError};
use crate::mailbox::guarded;

/// The most records of a transaction: some milliseconds of work.
const MOST_AT_ONCE: usize = 1024;
/// From a failed attempt to the next: twice as long each time, up to the second of these.
const RETRY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));
/// How often it is tried when the ledger is closed.
const LAST_ATTEMPTS: u32 = 10;

pub(super) type Then = Box<dyn FnOnce(Result<(), LedgerError>) + Send>;

/// A record that is not written yet.
pub(super) struct Pending {
    pub(super) record: UsageRecord,
    /// Whom to tell; `None` once that one has heard that it takes too long.
    pub(super) then: Option<Then>,
    /// When it came, in the clock's monotonic time.
    pub(super) since: Duration,
}

/// What the thread is told.
pub(super) enum Message {
    Record(Box<Pending>),
    /// Somebody waits for all records before this.
    Flush {
        since: Duration,
        tell: Sender<Result<(), LedgerError>>,
    },
    /// Other processes may have written.
    LookAgain,
    Close,
}

/// Somebody who waits until so many records have been dealt with.
struct Flush {
    after: u64,
    since: Duration,
    tell: Sender<Result<(), LedgerError>>,
}

pub(super) struct Writer {
    mail: Receiver<Message>,
    connection: Connection,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    patience: Duration,
    waiting: VecDeque<Box<Pending>>,
    flushes: Vec<Flush>,
    /// Records that came, and of these the ones that are written or given up.
    came: u64,
    done: u64,
    /// How many of the first are written one by one, because one of them is to blame.
    singly: usize,
    /// What failed last, when to try again, and how long to wait after that.
    failed: Option<(Arc<DatabaseError>, Instant, Duration)>,
    closing: bool,
    attempts_left: u32,
    /// The row up to which last uses are known, of other processes too.
    seen: i64,
    /// Rows that the table of last uses does not know, as far as this process knows.
    behind: i64,
}

impl Writer {
    pub(super) fn new(
        mail: Receiver<Message>,
        connection: Connection,
        shared: Arc<Shared>,
        clock: Arc<dyn Clock>,
        patience: Duration,
        progress: Progress,
    ) -> Self {
        Self {
            mail,
            connection,
            shared,
            clock,
            patience,
            waiting: VecDeque::new(),
            flushes: Vec::new(),
            came: 0,
            done: 0,
            singly: 0,
            failed: None,
            closing: false,
            attempts_left: LAST_ATTEMPTS,
            seen: progress.newest,
            behind: progress.behind,
        }
    }

    /// Writes until the ledger is closed. A panic on the way (a defect of ours, or the host's clock) loses no record: it is tried
    /// again after a while.
    pub(super) fn run(mut self) {
        while let Err(panic) = guarded(|| self.serve()) {
            tracing::error!(%panic, waiting = self.waiting.len(), "the ledger's thread panicked and goes on");
            let problem = format!("the ledger's thread panicked: {panic}");
            let cause = Arc::new(DatabaseError::Io { path: None, problem });
            self.failed = Some((cause, Instant::now() + RETRY.1, RETRY.1));
            if self.closing {
                self.attempts_left = self.attempts_left.saturating_sub(1);
                if self.attempts_left == 0 {
                    break;
                }
            }
        }
        self.give_up();
    }

    /// Until it is closed, and everything is written or has been tried often enough.
    fn serve(&mut self) {
        loop {
            self.hear();
            if self.waiting.is_empty() {
                self.failed = None;
                self.tell_flushes();
                if self.closing {
                    return;
                }
            } else {
                self.write();
                if self.closing && self.attempts_left == 0 {
                    return;
                }
            }
            let most = if self.waiting.is_empty() && self.mail.is_empty() { FOLD } else { FOLD_NOW };
            if self.behind >= most && self.failed.is_none() && !self.closing {
                self.fold();
            }
        }
    }

    /// Takes what has come: waits for something to do, or, when an attempt has failed, until it is time for another.
    fn hear(&mut self) {
        match &self.failed {
            _ if self.closing && self.failed.is_none() => {}
            Some((_, again, _)) => {
                let again = *again;
                loop {
                    match self.mail.recv_deadline(again) {
                        Ok(message) => self.take(message),
                        Err(RecvTimeoutError::Timeout) => break,
                        Err(RecvTimeoutError::Disconnected) => {
                            self.closing = true;
                            std::thread::sleep(again.saturating_duration_since(Instant::now()));
                            break;
                        }
                    }
                }
            }
            None if self.waiting.is_empty() => match self.mail.recv() {
                Ok(message) => self.take(message),
                Err(_) => self.closing = true,
            },
            None => {}
        }
        while let Ok(message) = self.mail.try_recv() {
            self.take(message);
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Record(pending) => {
                self.came += 1;
                self.waiting.push_back(pending);
            }
            Message::Flush { since, tell } => self.flushes.push(Flush { after: self.came, since, tell }),
            Message::LookAgain => self.look_again(),
            Message::Close => self.closing = true,
        }
    }

    /// One attempt at one transaction.
    fn write(&mut self) {
        let most = if self.singly > 0 { 1 } else { MOST_AT_ONCE };
        let count = self.waiting.len().min(most);
        let records = || self.waiting.iter().take(count).map(|pending| &pending.record);
        let written = self.connection.write(|tx| {
            let mut insert = store::Insert::new(tx)?;
            records().try_for_each(|record| insert.record(record))
        });
        match written {
            Ok(()) => {
                self.failed = None;
                self.behind += count as i64;
                self.note_uses(count);
                self.finish(count, Ok(()));
            }
            Err(error) if is_about_the_record(&error) && count > 1 => self.singly = count,
            Err(error) if is_about_the_record(&error) => {
                if let Some(pending) = self.waiting.front() {
                    log_lost(&pending.record, &error);
                }
                self.finish(1, Err(error.into()));
            }
            Err(error) => self.fail(error),
        }
    }

    /// The first `count` records are dealt with: whoever waits for them is told.
    fn finish(&mut self, count: usize, result: Result<(), LedgerError>) {
        self.singly = self.singly.saturating_sub(count);
        self.done += count as u64;
        self.shared.unwritten.leave(count);
        for pending in self.waiting.drain(..count) {
            tell(pending.then, result.clone());
        }
        self.tell_flushes();
    }

    fn fail(&mut self, error: DatabaseError) {
        if self.failed.is_none() {
            tracing::warn!(%error, waiting = self.waiting.len(), "usage cannot be written for now and is kept");
        }
        let wait = self.failed.take().map_or(RETRY.0, |(_, _, wait)| (wait * 2).min(RETRY.1));
        let cause = Arc::new(error);
        self.failed = Some((cause.clone(), Instant::now() + wait, wait));
        if self.closing {
            self.attempts_left = self.attempts_left.saturating_sub(1);
        }
        let (now, patience) = (self.clock.monotonic(), self.patience);
        let overdue = |since: Duration| Some(now.saturating_sub(since)).filter(|waited| *waited >= patience);
        for pending in &mut self.waiting {
            if let Some(waited) = overdue(pending.since) {
                tell(pending.then.take(), Err(LedgerError::Delayed { waited, cause: cause.clone() }));
            }
        }
        self.flushes.retain(|flush| match overdue(flush.since) {
            Some(waited) => {
                // Nobody waits any more: nothing is lost.
                let _ = flush.tell.send(Err(LedgerError::Delayed { waited, cause: cause.clone() }));
                false
            }
            None => true,
        });
    }

    fn tell_flushes(&mut self) {
        let done = self.done;
        self.flushes.retain(|flush| {
            let waits = flush.after > done;
            if !waits {
                // Nobody waits any more: nothing is lost.
                let _ = flush.tell.send(Ok(()));
            }
            waits
        });
    }

    /// The ledger closes and the database has not taken what waits: it goes to the log, where it can be found.
    fn give_up(mut self) {
        let Some((cause, ..)) = self.failed.take() else { return };
        self.shared.unwritten.leave(self.waiting.len());
        for pending in self.waiting.drain(..) {
            log_lost(&pending.record, &cause);
            let request_id = pending.record.request_id;
            tell(pending.then, Err(LedgerError::Lost { request_id, cause: cause.clone() }));
        }
        for flush in self.flushes.drain(..) {
            // Nobody waits any more: nothing is lost.
            let _ = flush.tell.send(Err(LedgerError::Database(cause.clone())));
        }
    }

    fn note_uses(&self, count: usize) {
        let mut uses = self.shared.last_uses.write();
        for Pending { record, .. } in self.waiting.iter().take(count).map(|pending| &**pending) {
            if let Some(subject) = record.subject.as_ref().filter(|_| record.admitted) {
                let at = record.request_time.as_microsecond();
                uses.note(&record.requester, subject, record.offering, at);
            }
        }
    }

    /// Brings the table of last uses forward. Where that fails it is tried again when there is as much to do again.
    fn fold(&mut self) {
        self.behind = self.connection.write(last_use::fold).unwrap_or_else(|error| {
            tracing::warn!(%error, "the table of last uses cannot be brought forward for now");
            0
        });
    }

    /// Reads the uses that came since, of other processes too. What cannot be read is left for the next time.
    fn look_again(&mut self) {
        let mut newer = Vec::new();
        let progress = self.connection.read(|tx| {
            last_use::each_after(tx, self.seen, |requester, subject, offering, at| {
                newer.push((requester, subject, offering, at));
            })?;
            Progress::read(tx)
        });
        match progress {
            Ok(progress) => {
                (self.seen, self.behind) = (progress.newest, progress.behind);
                let mut uses = self.shared.last_uses.write();
                for (requester, subject, offering, at) in newer {
                    uses.note(&requester, &subject, offering, at);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the uses that other processes wrote cannot be read for now")
            }
        }
    }
}

/// Whether the same record will fail again and others will not.
fn is_about_the_record(error: &DatabaseError) -> bool {
    let DatabaseError::Statement { source, .. } = error else { return false };
    match source.sqlite_error_code() {
        Some(code) => {
            matches!(code, ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
        }
        None => matches!(source, rusqlite::Error::ToSqlConversionFailure(_)),
    }
}

/// The host's code: what it panics with is not to stop the ledger.
fn tell(then: Option<Then>, result: Result<(), LedgerError>) {
    if let Some(then) = then
        && let Err(panic) = guarded(move || then(result))
    {
        tracing::error!(%panic, "what was to be called after usage was written panicked");
    }
}

fn log_lost(record: &UsageRecord, error: &DatabaseError) {
    let record = serde_json::to_string(record).unwrap_or_else(|_| format!("{record:?}"));
    tracing::error!(%record, %error, "usage could not be written");
}
