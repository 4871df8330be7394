//! The engine's parts together: the scheduler by itself, and the whole engine over the toy model.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod constraints;
mod fairness;
mod gate;
mod properties;
mod same_bytes;
mod scheduling;
mod speculation;
mod support;
mod threads;
mod worker;
