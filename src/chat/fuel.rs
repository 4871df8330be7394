//! What a rendering may take.
//!
//! The template engine counts instructions and what they make, read or write, and ends a rendering that takes more than
//! [`FUEL`]. Filters and methods of ours pay for what they make before they make it.

use minijinja::{Error, State};

/// What one rendering may take: an instruction counts as one, and so do [`BYTES`] of text; at most 32 MiB of it. A long
/// conversation with many tools takes some ten thousand.
pub(super) const FUEL: u64 = 1 << 19;
/// What each of the short conversations of [`super::probe`] may take: together no more than one rendering.
pub(super) const PROBE_FUEL: u64 = FUEL / 10;
/// What one item costs in bytes, beside its text.
pub(super) const ITEM: usize = 48;

/// Bytes that the template engine counts as one instruction.
const BYTES: usize = 64;

/// Pays for `bytes` that are going to be made or looked at.
///
/// # Errors
/// [`OutOfFuel`](minijinja::ErrorKind::OutOfFuel) where the rendering has none left.
pub(super) fn spend(state: &State<'_, '_>, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(bytes.div_ceil(BYTES) as u64)
}
