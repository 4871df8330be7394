//! The host's revisions of the timeline.

use super::error::RegistryError;
use super::expect_next;
use crate::database::{Database, DatabaseError};
use crate::lifecycle::Revision;

/// The revisions that were made, each kept for ever. Imported ones are not kept: they come from the catalog again.
#[derive(Debug, Clone)]
pub struct TimelineLog {
    database: Database,
}

impl TimelineLog {
    /// The one in `database`.
    pub fn new(database: &Database) -> Self {
        Self { database: database.clone() }
    }

    /// All revisions, in order, for [`Timeline::replay`](crate::lifecycle::Timeline::replay).
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub fn load(&self) -> Result<Vec<Revision>, DatabaseError> {
        self.after(0)
    }

    /// The revisions that follow `seq`, in order: what others have appended meanwhile.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub fn after(&self, seq: u64) -> Result<Vec<Revision>, DatabaseError> {
        self.database.read(|tx| {
            let sql = "SELECT seq, revision FROM timeline_revision WHERE seq > ?1 ORDER BY seq";
            let mut statement = tx.prepare_cached(sql)?;
            let mut rows = statement.query([seq])?;
            let mut revisions = Vec::new();
            while let Some(row) = rows.next()? {
                let seq: u64 = row.get(0)?;
                let read: Result<Revision, _> = serde_json::from_str(&row.get::<_, String>(1)?);
                match read {
                    Ok(revision) if revision.seq == seq => revisions.push(revision),
                    Ok(revision) => {
                        let problem =
                            format!("revision {seq} of the timeline says that it is {}", revision.seq);
                        return Err(DatabaseError::value(problem));
                    }
                    Err(error) => {
                        return Err(DatabaseError::value(format!("revision {seq} of the timeline: {error}")));
                    }
                }
            }
            Ok(revisions)
        })
    }

    /// Appends a revision that [`Timeline::prepare`](crate::lifecycle::Timeline::prepare) made.
    ///
    /// # Errors
    /// [`RegistryError::Behind`] when somebody else has appended since the timeline was loaded: load what follows, prepare the
    /// revision again, and append that. [`RegistryError::Invalid`] of an imported revision.
    pub fn append(&self, revision: &Revision) -> Result<(), RegistryError> {
        if revision.imported {
            let problem = "is imported; accepted are revisions that the host makes";
            return Err(RegistryError::invalid("revision", &revision.seq.to_string(), problem));
        }
        let json = serde_json::to_string(revision).map_err(|error| {
            RegistryError::invalid("revision", &revision.seq.to_string(), error.to_string())
        })?;
        self.database.write(|tx| {
            expect_next(tx, "timeline", "timeline_revision", revision.seq)?;
            tx.prepare_cached("INSERT INTO timeline_revision VALUES (?1, ?2)")?
                .execute((revision.seq, json))?;
            Ok(())
        })
    }
}
