//! Fairness without an engine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod arbiter;
mod callers;
mod machine;
