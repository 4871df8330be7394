//! Who last used what: in memory, because it is asked with every request, and in a table that follows the ledger.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use rusqlite::{Params, Transaction};

use super::store;
use crate::catalog::{Offering, Subject};
use crate::database::DatabaseError;

/// Rows that the table may be behind before it is brought forward, by this many in a transaction: some ten milliseconds.
pub(super) const FOLD: i64 = 8_192;
/// Rows that the table may be behind while there is other work. More would make opening slow.
pub(super) const FOLD_NOW: i64 = 16 * FOLD;

/// The last uses of all requesters. Names are kept once; times are microseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct LastUses {
    requesters: HashMap<Box<str>, u32>,
    subjects: HashMap<Subject, u32>,
    last: HashMap<(u32, u32, Offering), i64>,
}

impl LastUses {
    /// The last use, if there was one.
    pub(super) fn get(&self, requester: &str, subject: &Subject, offering: Offering) -> Option<Timestamp> {
        let key = (*self.requesters.get(requester)?, *self.subjects.get(subject)?, offering);
        Timestamp::from_microsecond(*self.last.get(&key)?).ok()
    }

    /// Everything that anybody ever used.
    pub(super) fn subjects(&self) -> BTreeSet<(Subject, Offering)> {
        let used: BTreeSet<(u32, Offering)> =
            self.last.keys().map(|(_, subject, offering)| (*subject, *offering)).collect();
        let names: HashMap<u32, &Subject> =
            self.subjects.iter().map(|(name, number)| (*number, name)).collect();
        let named = |(subject, offering)| Some((Subject::clone(names.get(&subject)?), offering));
        used.into_iter().filter_map(named).collect()
    }

    /// A use at that time, which need not be the last.
    pub(super) fn note(&mut self, requester: &str, subject: &Subject, offering: Offering, at: i64) {
        let requester = match self.requesters.get(requester) {
            Some(number) => *number,
            None => {
                let next = self.requesters.len() as u32;
                *self.requesters.entry(requester.into()).or_insert(next)
            }
        };
        let subject = match self.subjects.get(subject) {
            Some(number) => *number,
            None => {
                let next = self.subjects.len() as u32;
                *self.subjects.entry(subject.clone()).or_insert(next)
            }
        };
        let last = self.last.entry((requester, subject, offering)).or_insert(at);
        *last = at.max(*last);
    }

    /// All last uses, and how far they go.
    pub(super) fn load(tx: &Transaction<'_>) -> Result<(Self, Progress), DatabaseError> {
        let mut uses = Self::default();
        let progress = Progress::read(tx)?;
        let mut note =
            |requester: String, subject: Subject, offering, at| uses.note(&requester, &subject, offering, at);
        let table = "SELECT requester, subject_kind, subject_name, offering, request_time FROM last_use";
        each(tx, table, (), &mut note)?;
        each_after(tx, progress.newest - progress.behind, &mut note)?;
        Ok((uses, progress))
    }
}

/// How far the ledger and the table are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// The newest row of the ledger.
    pub(super) newest: i64,
    /// By how many rows the table is behind.
    pub(super) behind: i64,
}

impl Progress {
    pub(super) fn read(tx: &Transaction<'_>) -> Result<Self, DatabaseError> {
        let through: i64 = tx.query_row("SELECT seq FROM last_use_through", [], |row| row.get(0))?;
        // Rows may have been taken out.
        let newest =
            tx.query_row("SELECT max(ifnull(max(seq), 0), ?1) FROM usage", [through], |row| row.get(0))?;
        Ok(Self { newest, behind: newest - through })
    }
}

/// Hands over the uses in the ledger's rows after the one of that number.
pub(super) fn each_after(
    tx: &Transaction<'_>,
    seq: i64,
    note: impl FnMut(String, Subject, Offering, i64),
) -> Result<(), DatabaseError> {
    let rows = "SELECT requester, subject_kind, subject_name, offering, request_time FROM usage \
                WHERE seq > ?1 AND admitted AND subject_name IS NOT NULL";
    each(tx, rows, [seq], note)
}

fn each(
    tx: &Transaction<'_>,
    query: &str,
    parameters: impl Params,
    mut note: impl FnMut(String, Subject, Offering, i64),
) -> Result<(), DatabaseError> {
    let mut statement = tx.prepare_cached(query)?;
    let mut rows = statement.query(parameters)?;
    while let Some(row) = rows.next()? {
        note(row.get(0)?, store::subject(row, 1)?, store::named(row, 3)?, row.get(4)?);
    }
    Ok(())
}

/// Brings the table forward by up to [`FOLD`] rows, whoever wrote them. Returns how many it is behind then.
pub(super) fn fold(tx: &Transaction<'_>) -> Result<i64, DatabaseError> {
    let Progress { newest, behind } = Progress::read(tx)?;
    let from = newest - behind;
    let through = newest.min(from + FOLD);
    tx.prepare_cached(
        "INSERT INTO last_use (requester, subject_kind, subject_name, offering, request_time) \
         SELECT requester, subject_kind, subject_name, offering, max(request_time) FROM usage \
         WHERE seq > ?1 AND seq <= ?2 AND admitted AND subject_name IS NOT NULL GROUP BY 1, 2, 3, 4 \
         ON CONFLICT DO UPDATE SET request_time = excluded.request_time WHERE excluded.request_time > request_time",
    )?
    .execute((from, through))?;
    tx.prepare_cached("UPDATE last_use_through SET seq = ?1")?.execute([through])?;
    Ok(newest - through)
}
