//! The engine with doubles for the model, and the batcher against a naive one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod batching;
mod support;
mod worker;
