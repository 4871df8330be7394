//! The requests that a run has at once, in the order of their lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::BatchOrder;
use super::pending::Canceller;
use super::request::Call;
use super::result::Head;

/// A request that is kept until its answer is there: it may have to be submitted again.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) head: Head,
    pub(super) queue: Arc<str>,
    pub(super) call: Call,
}

/// A line of the output.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) bytes: Vec<u8>,
    pub(super) answered: bool,
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
}

impl Finished {
    /// The line of an error.
    pub(super) fn failed(bytes: Vec<u8>) -> Self {
        Self { bytes, answered: false, prompt_tokens: 0, completion_tokens: 0 }
    }
}

/// What became of a line so far.
#[derive(Debug)]
pub(super) enum Place {
    /// Refused for now.
    Waiting(Task),
    /// Being answered.
    Running(Task, Canceller),
    /// To be written.
    Done(Finished),
}

/// At most so many places as were asked for; a place is free again when its result is written. In order, that is when all
/// before it are: so no more results than this wait for an earlier one.
#[derive(Debug)]
pub(super) struct Window {
    order: BatchOrder,
    size: usize,
    next: u64,
    places: BTreeMap<u64, Place>,
}

impl Window {
    pub(super) fn new(order: BatchOrder, size: usize) -> Self {
        Self { order, size, next: 0, places: BTreeMap::new() }
    }

    /// Whether another line may come in.
    pub(super) fn has_room(&self) -> bool {
        self.places.len() < self.size
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The number of the next line that comes in.
    pub(super) fn enter(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn put(&mut self, number: u64, place: Place) {
        self.places.insert(number, place);
    }

    /// Takes a place out of what it is in; it is put back, or given up.
    pub(super) fn take(&mut self, number: u64) -> Option<Place> {
        self.places.remove(&number)
    }

    /// Gives up the requests that wait; how many.
    pub(super) fn give_up_waiting(&mut self) -> usize {
        let before = self.places.len();
        self.places.retain(|_, place| !matches!(place, Place::Waiting(_)));
        before - self.places.len()
    }

    /// The requests that wait, oldest first.
    pub(super) fn waiting(&self) -> Vec<(u64, Arc<str>)> {
        let waiting = self.places.iter().filter_map(|(&number, place)| match place {
            Place::Waiting(task) => Some((number, Arc::clone(&task.queue))),
            _ => None,
        });
        waiting.collect()
    }

    /// How many requests run and how many wait.
    pub(super) fn count(&self) -> (usize, usize) {
        let running = self.places.values().filter(|place| matches!(place, Place::Running(..))).count();
        let waiting = self.places.values().filter(|place| matches!(place, Place::Waiting(_))).count();
        (running, waiting)
    }

    /// Cancels everything that runs.
    pub(super) fn cancel(&self) {
        for place in self.places.values() {
            if let Place::Running(_, canceller) = place {
                canceller.cancel();
            }
        }
    }

    /// The next result to write, if there is one.
    pub(super) fn pop(&mut self) -> Option<Finished> {
        let is_done = |place: &Place| matches!(place, Place::Done(_));
        let number = match self.order {
            BatchOrder::InOrder => self.places.iter().next().filter(|(_, place)| is_done(place)),
            BatchOrder::AsReady => self.places.iter().find(|(_, place)| is_done(place)),
        };
        let number = *number?.0;
        match self.places.remove(&number) {
            Some(Place::Done(finished)) => Some(finished),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn done(number: u64) -> Place {
        Place::Done(Finished::failed(number.to_le_bytes().to_vec()))
    }

    fn waiting(number: u64) -> Place {
        let head = Head { line: number, custom_id: None };
        let call = Call::Completion(crate::protocol::CompletionRequest::new("m", "a"));
        Place::Waiting(Task { head, queue: call.queue(), call })
    }

    fn written(window: &mut Window) -> Vec<u64> {
        std::iter::from_fn(|| window.pop())
            .filter_map(|finished| finished.bytes.try_into().ok().map(u64::from_le_bytes))
            .collect()
    }

    proptest! {
        /// Lines come in as there is room and end in any order: all are written, in order if that was asked for.
        #[test]
        fn every_line_is_written_once(size in 1usize..9, picks in prop::collection::vec(any::<usize>(), 1..60), in_order: bool) {
            let order = if in_order { BatchOrder::InOrder } else { BatchOrder::AsReady };
            let mut window = Window::new(order, size);
            let mut all = Vec::new();
            for pick in &picks {
                while window.has_room() {
                    let number = window.enter();
                    window.put(number, waiting(number));
                }
                prop_assert_eq!(window.places.len(), size);
                let open: Vec<u64> = window.waiting().into_iter().map(|(number, _)| number).collect();
                let ends = open[pick % open.len()];
                prop_assert!(matches!(window.take(ends), Some(Place::Waiting(_))));
                window.put(ends, done(ends));
                all.extend(written(&mut window));
            }
            if in_order {
                prop_assert!(all.iter().copied().eq(1..=all.len() as u64), "{:?}", all);
            } else {
                prop_assert_eq!(all.len(), picks.len());
            }
            // Those that are given up leave no gap that others would wait for.
            let open = window.waiting().len();
            prop_assert_eq!(window.give_up_waiting(), open);
            all.extend(written(&mut window));
            prop_assert!(window.is_empty());
            all.sort_unstable();
            all.dedup();
            prop_assert_eq!(all.len(), picks.len());
        }
    }
}
