//! The catalog against the documents, and what hosts may write.
#![allow(clippy::unwrap_used, clippy::panic)]

mod documents;
mod host;
