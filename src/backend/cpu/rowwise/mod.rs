//! Operations that go row by row: norms, activations, sums, the greatest value.
//!
//! A row is reduced in vectors of sixteen lanes into four partial sums, which are added in a fixed order: its bits
//! depend on the row alone.

pub(super) mod rotary;

pub use rotary::Rotary;
