//! What use costs and how much of it there may be: limits, the ledger of usage, reserved capacity.
//!
//! [`limits`] admits requests by tokens and queries in sliding windows. [`ledger`] writes what every request used into the
//! database, exactly once, and answers who used what. [`capacity`] holds what was promised to whom of the machine.

pub mod capacity;
pub mod ledger;
pub mod limits;
