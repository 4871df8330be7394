//! Room for the tasks that run at the same time, lent and given back without a lock.

#![allow(clippy::multiple_unsafe_ops_per_block)] // Addresses into one block of memory.

use super::super::super::BLOCK_TOKENS;
use super::slots::{self, Slots};
use super::tile::{BLOCKS, ROWS, State, TOKENS};

/// Room for as many tasks as there are threads.
pub(super) struct Scratch {
    at: *mut f32,
    head_dim: usize,
    padded: usize,
    slots: Slots,
}

/// Addresses in one slot.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    pub(super) queries: *mut f32,
    pub(super) scores: *mut f32,
    pub(super) wide_keys: *mut f32,
    pub(super) wide_values: *mut f32,
    pub(super) part: State,
    pub(super) total: State,
}

/// Elements of queries, scores, widened keys and values, and one state.
fn lens(head_dim: usize, padded: usize) -> [usize; 5] {
    let tile = BLOCKS * BLOCK_TOKENS;
    [ROWS * head_dim, ROWS * TOKENS, tile * head_dim, tile * padded, State::len(ROWS, padded)]
}

fn slot_len(head_dim: usize, padded: usize) -> usize {
    let [queries, scores, keys, values, state] = lens(head_dim, padded);
    // A vector more, so that slots of threads next to each other do not lie at the same place of their pages.
    queries + scores + keys + values + 2 * state + 16
}

fn slots(threads: usize) -> usize {
    threads.clamp(1, Slots::MOST)
}

impl Scratch {
    /// Elements that scratch for `threads` tasks at a time takes.
    pub(super) fn len(threads: usize, head_dim: usize, padded: usize) -> usize {
        slots(threads) * slot_len(head_dim, padded)
    }

    /// Scratch in `room`, which has [`len`](Self::len) elements and must outlive it.
    pub(super) fn new(room: &mut [f32], threads: usize, head_dim: usize, padded: usize) -> Self {
        debug_assert!(room.len() >= Self::len(threads, head_dim, padded));
        Self { at: room.as_mut_ptr(), head_dim, padded, slots: Slots::new(slots(threads)) }
    }

    /// A slot that nobody else holds until it is dropped.
    pub(super) fn take(&self) -> Slot<'_> {
        Slot { scratch: self, held: self.slots.take() }
    }
}

/// A borrowed part of the scratch.
pub(super) struct Slot<'a> {
    scratch: &'a Scratch,
    held: slots::Slot<'a>,
}

impl Slot<'_> {
    /// Where things are.
    pub(super) fn at(&self) -> Parts {
        let &Scratch { at, head_dim, padded, .. } = self.scratch;
        let [queries, scores, keys, values, state] = lens(head_dim, padded);
        // SAFETY: the room holds every slot, and a slot everything that `lens` counts, the state twice.
        unsafe {
            let queries_at = at.add(self.held.number() * slot_len(head_dim, padded));
            let scores_at = queries_at.add(queries);
            let keys_at = scores_at.add(scores);
            let values_at = keys_at.add(keys);
            let part_at = values_at.add(values);
            Parts {
                queries: queries_at,
                scores: scores_at,
                wide_keys: keys_at,
                wide_values: values_at,
                part: State::at(part_at, ROWS),
                total: State::at(part_at.add(state), ROWS),
            }
        }
    }

    /// The total and the part.
    pub(super) fn states(&self) -> (State, State) {
        let parts = self.at();
        (parts.total, parts.part)
    }
}
