//! Who goes next: among the callers of one engine, and among the engines of one machine.
//!
//! Inside an engine, callers share by virtual token counters. Between engines, a [`Machine`] lets those compute that
//! [join](Machine::join) it: whoever has a [`Reservation`] gets it whatever the others do, and they share what is left.

mod arbiter;
mod callers;
mod machine;
mod share;
#[cfg(test)]
mod tests;
mod window;

pub use arbiter::{MachineOptions, MemberId};
pub use callers::CallerId;
pub(crate) use callers::{Account, Arrival, Callers, Rank};
pub(crate) use machine::{Entrance, Entry, Pass};
pub use machine::{Gate, Machine};
pub(crate) use share::Served;
pub use share::{Attainment, Reservation, Share, Speed};
