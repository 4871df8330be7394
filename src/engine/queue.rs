//! Sequences that wait, best standing first.

use std::collections::BTreeMap;

use super::sequence::{Rank, Sequence};

/// The waiting sequences: new ones, whose number is bounded by the caller, and preempted ones.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: BTreeMap<Rank, Sequence>,
    /// How many of them never ran.
    new: usize,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many never ran.
    pub(crate) fn new_len(&self) -> usize {
        self.new
    }

    pub(crate) fn push(&mut self, sequence: Sequence) {
        self.new += usize::from(sequence.is_new());
        self.waiting.insert(sequence.rank, sequence);
    }

    pub(crate) fn first(&self) -> Option<&Sequence> {
        self.waiting.first_key_value().map(|(_, sequence)| sequence)
    }

    pub(crate) fn pop(&mut self) -> Option<Sequence> {
        let (_, sequence) = self.waiting.pop_first()?;
        self.new -= usize::from(sequence.is_new());
        Some(sequence)
    }

    #[cfg(any(debug_assertions, test, fuzzing))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Sequence> + '_ {
        self.waiting.values()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Sequence> + '_ {
        self.waiting.values_mut()
    }

    /// Takes out every sequence that `over` says has ended.
    pub(crate) fn extract(&mut self, over: impl Fn(&Sequence) -> bool, mut each: impl FnMut(Sequence)) {
        let new = &mut self.new;
        for (_, sequence) in self.waiting.extract_if(.., |_, sequence| over(sequence)) {
            *new -= usize::from(sequence.is_new());
            each(sequence);
        }
    }
}
