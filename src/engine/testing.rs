//! Doubles for tests and fuzzing: a toy language model with a real paged cache, and a simulation around the scheduler.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod simulation;
mod toy_model;

pub use simulation::{Operation, Simulation};
pub use toy_model::{Fault, Gate, StepRecord, ToyModel};
