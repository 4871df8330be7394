//! One SQLite file for the registry, the timeline and the usage, open in several processes at once.
//!
//! [`Database::open`] creates or opens it, [`Connection::write`] and [`Connection::read`] are transactions. The file is in WAL
//! mode: readers never wait for a writer and a writer never for readers; writers take turns. What a write has returned from is
//! there after the process is killed, and, with [`Durability::Synced`], after the power was cut.
//!
//! The schema is a sequence of numbered SQL files that are compiled in and only go forward. A file of a newer library, another
//! program's database and what is no database at all are told apart and left as they are.
//!
//! Known limits, which are SQLite's: the file has to lie on a local disk, and connections do not survive a `fork`. WAL mode
//! keeps an index beside the file (`-shm`) that the processes share as mapped memory; nobody may cut it while they run.

mod connection;
mod error;
mod migrate;
mod open;
#[cfg(test)]
mod tests;

pub use connection::{Connection, Durability};
pub use error::DatabaseError;
pub use open::Database;
