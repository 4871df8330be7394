//! The ids of updated models: what a version is called under a base id, now and for ever.

use jiff::civil::Date;
use parking_lot::Mutex;

use crate::database::Database;
use crate::error::{Error, ErrorKind, Result};
use crate::lifecycle::{UpdateHistory, UpdateRecord};
use crate::registry::{RegistryError, UpdateLog};

/// How often a record is made again because somebody else was first.
const ATTEMPTS: usize = 100;

/// The history of updates, in memory and in the database.
pub(super) struct Updates {
    history: Mutex<UpdateHistory>,
    log: UpdateLog,
}

impl Updates {
    pub(super) fn open(database: &Database) -> Result<Self> {
        let log = UpdateLog::new(database);
        let history = UpdateHistory::try_from(log.load()?)?;
        Ok(Self { history: Mutex::new(history), log })
    }

    /// What responses of `version` are called under the base id: the base id itself for the first version that it ever
    /// had, the id of its last update to that version later.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the base id names another version and was never updated to this one.
    pub(super) fn name(&self, base: &str, version: &str) -> Result<String> {
        self.append(|history| match history.get(base) {
            None => history.register(base, version).cloned().map(Step::Append).map_err(Error::from),
            Some(record) if record.base_id != base => {
                let message =
                    format!("`{base}` is an update of `{}`; accepted is the base id itself", record.base_id);
                Err(Error::new(ErrorKind::Conflict, message).with_param("base_id"))
            }
            Some(_) => {
                let found: Option<UpdateRecord> =
                    history.history(base).filter(|record| record.version == version).last().cloned();
                let current = || history.current(base).map(|record| record.version.clone()).unwrap_or_default();
                found.map(Step::Known).ok_or_else(|| {
                    let message = format!(
                        "`{base}` names {} and was never updated to {version}; publish an update, or take another base id",
                        current()
                    );
                    Error::new(ErrorKind::Conflict, message).with_param("base_id")
                })
            }
        })
        .map(|record| record.response_id)
    }

    /// Records that what responses call `id` is `version` from `date` on.
    ///
    /// # Errors
    /// An unknown id, the version that is current already, a day before the last update's.
    pub(super) fn publish(&self, id: &str, version: &str, date: Date, notes: &str) -> Result<UpdateRecord> {
        self.append(|history| Ok(Step::Append(history.update(id, date, version, notes)?.clone())))
    }

    /// The base and all updates of the model of any id, in order.
    pub(super) fn history(&self, id: &str) -> Result<Vec<UpdateRecord>> {
        let mut history = self.history.lock();
        self.catch_up(&mut history)?;
        Ok(history.history(id).cloned().collect())
    }

    /// Lets `step` make a record from the whole history and appends it; again, if another process was first.
    fn append(&self, step: impl Fn(&mut UpdateHistory) -> Result<Step>) -> Result<UpdateRecord> {
        let mut history = self.history.lock();
        self.catch_up(&mut history)?;
        for _ in 0..ATTEMPTS {
            let mut next = history.clone();
            let record = match step(&mut next)? {
                Step::Known(record) => return Ok(record),
                Step::Append(record) => record,
            };
            match self.log.append(&record) {
                Ok(()) => {
                    *history = next;
                    return Ok(record);
                }
                Err(RegistryError::Behind { .. }) => self.catch_up(&mut history)?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::new(
            ErrorKind::Overloaded,
            "the history of updates is being written by others all the time",
        ))
    }

    /// Takes up what other processes have appended.
    fn catch_up(&self, history: &mut UpdateHistory) -> Result<()> {
        let last = history.records().last().map_or(0, |record| record.seq);
        let new = self.log.after(last)?;
        if !new.is_empty() {
            let all: Vec<UpdateRecord> = history.records().iter().cloned().chain(new).collect();
            *history = UpdateHistory::try_from(all)?;
        }
        Ok(())
    }
}

/// What an attempt comes to.
enum Step {
    Known(UpdateRecord),
    Append(UpdateRecord),
}
