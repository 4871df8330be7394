//! Sequences that wait: those that never ran, in the order that fairness gives their callers, and preempted ones.

use std::collections::BTreeMap;

use super::sequence::Sequence;
use crate::fairness::{Arrival, Callers, Rank};

/// The waiting sequences: new ones, whose number is bounded by the caller, and preempted ones.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// They have no rank of their own yet: of each caller only the first can be next.
    new: BTreeMap<Arrival, Sequence>,
    preempted: BTreeMap<Rank, Sequence>,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.new.len() + self.preempted.len()
    }

    /// How many never ran.
    pub(crate) fn new_len(&self) -> usize {
        self.new.len()
    }

    pub(crate) fn push(&mut self, sequence: Sequence) {
        match &sequence.account {
            Some(account) => self.preempted.insert(account.rank(), sequence),
            None => self.new.insert(sequence.arrival, sequence),
        };
    }

    /// The rank of the best standing one.
    pub(crate) fn first(&self, callers: &Callers) -> Option<Rank> {
        let preempted = self.preempted.first_key_value().map(|(rank, _)| *rank);
        let new = callers.first().map(|(rank, _)| rank);
        preempted.into_iter().chain(new).min()
    }

    /// The sequence that [`first`](Self::first) told.
    pub(crate) fn get(&self, rank: Rank) -> Option<&Sequence> {
        self.preempted.get(&rank).or_else(|| self.new.get(&rank.arrival()))
    }

    /// Takes out the sequence that [`first`](Self::first) told.
    pub(crate) fn take(&mut self, rank: Rank) -> Option<Sequence> {
        self.preempted.remove(&rank).or_else(|| self.new.remove(&rank.arrival()))
    }

    /// Takes out any sequence.
    pub(crate) fn pop(&mut self) -> Option<Sequence> {
        let preempted = self.preempted.pop_first().map(|(_, sequence)| sequence);
        preempted.or_else(|| self.new.pop_first().map(|(_, sequence)| sequence))
    }

    /// Those that were preempted, best standing first.
    #[cfg(any(debug_assertions, test, fuzzing))]
    pub(crate) fn preempted(&self) -> impl Iterator<Item = &Sequence> + '_ {
        self.preempted.values()
    }

    /// Those that never ran.
    #[cfg(any(debug_assertions, test, fuzzing))]
    pub(crate) fn new_ones(&self) -> impl Iterator<Item = &Sequence> + '_ {
        self.new.values()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Sequence> + '_ {
        self.preempted.values_mut().chain(self.new.values_mut())
    }

    /// Takes out every sequence that `over` says has ended.
    pub(crate) fn extract(&mut self, over: impl Fn(&Sequence) -> bool, mut each: impl FnMut(Sequence)) {
        self.preempted.extract_if(.., |_, sequence| over(sequence)).for_each(|(_, sequence)| each(sequence));
        self.new.extract_if(.., |_, sequence| over(sequence)).for_each(|(_, sequence)| each(sequence));
    }
}
