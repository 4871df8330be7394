//! Which requests have been dealt with: in this run, and in the file of results that it continues.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufReader, Seek, SeekFrom};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::BatchError;
use super::lines::Lines;
use super::result::{self, Known};

/// A result that this library has written is shorter; a file with a longer line is another one.
const MAX_RESULT_BYTES: usize = 256 << 20;

/// 16 bytes in place of a name of any length: what is kept of a file of any length stays small. Two names of one digest are
/// found by nobody who does not break SHA-256.
fn digest(custom_id: &str) -> u128 {
    Sha256::digest(custom_id).iter().take(16).fold(0, |digest, &byte| digest << 8 | u128::from(byte))
}

/// Names of requests.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<u128>);

impl Names {
    /// Adds a name; whether it is new.
    pub(super) fn add(&mut self, custom_id: &str) -> bool {
        self.0.insert(digest(custom_id))
    }
}

/// What a file of results holds already.
#[derive(Debug, Default)]
pub(super) struct Results {
    answered: Names,
    malformed: HashSet<u64>,
}

impl Results {
    /// Whether the request has its result.
    pub(super) fn has(&self, custom_id: &str) -> bool {
        self.answered.0.contains(&digest(custom_id))
    }

    /// Whether it was said that the line is not a request.
    pub(super) fn has_line(&self, number: u64) -> bool {
        self.malformed.contains(&number)
    }

    /// Opens a file of results, or makes one: what is whole in it is known, a line that was cut off is taken away, and what is
    /// written next comes behind. Nobody else writes into it as long as the file is open.
    pub(super) fn open(path: &Path) -> Result<(Self, File), BatchError> {
        let failed = |source| BatchError::File { path: path.into(), source };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = file.map_err(failed)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => BatchError::Busy { path: path.into() },
            TryLockError::Error(source) => failed(source),
        })?;
        let mut results = Self::default();
        let mut lines = Lines::new(BufReader::with_capacity(1 << 16, &file), MAX_RESULT_BYTES);
        let mut whole = 0;
        while let Some(line) = lines.next().map_err(failed)? {
            if !line.complete {
                break;
            }
            let refused = |reason| BatchError::NotResults { path: path.into(), line: line.number, reason };
            let bytes = line.bytes.as_deref();
            let bytes =
                bytes.ok_or_else(|| refused(format!("it is longer than {MAX_RESULT_BYTES} bytes")))?;
            match result::read(bytes).map_err(refused)? {
                Known::Answered(custom_id) => drop(results.answered.add(&custom_id)),
                Known::Malformed(number) => drop(results.malformed.insert(number)),
            }
            whole = lines.offset();
        }
        file.set_len(whole).map_err(failed)?;
        file.seek(SeekFrom::Start(whole)).map_err(failed)?;
        Ok((results, file))
    }
}
