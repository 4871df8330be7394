//! The batcher alone: against a naive one under random operations, and what its order promises.

use std::time::Duration;

use proptest::prelude::*;

use super::support::*;
use crate::embedding::batcher::Batcher;
use crate::embedding::vectors::Vectors;
use crate::embedding::{EmbeddingOptions, Request, RequestId};
use crate::error::{Error, ErrorKind};
use crate::fairness::CallerId;

/// A batcher whose vectors are the request's number and the text's index.
struct Driven {
    batcher: Batcher,
    clock: Duration,
    requests: u64,
}

impl Driven {
    fn new(options: EmbeddingOptions) -> Self {
        Self { batcher: Batcher::new(options), clock: Duration::ZERO, requests: 0 }
    }

    /// Submits texts of these lengths. A text's first token is its index, which the vectors then show.
    fn submit(&mut self, lengths: &[usize], priority: i32, deadline: Option<Duration>) -> RequestId {
        self.submit_of(CallerId::default(), lengths, priority, deadline)
    }

    fn submit_of(
        &mut self,
        caller: CallerId,
        lengths: &[usize],
        priority: i32,
        deadline: Option<Duration>,
    ) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        let texts = lengths.iter().enumerate().map(|(index, &length)| {
            let mut text = vec![id.0 as u32; length];
            text[0] = index as u32;
            text
        });
        let request = Request { caller, priority, deadline, ..request(texts.collect()) };
        let vectors = Vectors::with_capacity(lengths.len(), 2).unwrap();
        self.batcher.submit(id, request, vectors, self.clock);
        id
    }

    /// Plans a batch and computes it. Returns each text's index and length, and whose it is where it has two tokens.
    fn step(&mut self, fails: bool) -> Vec<(u32, usize)> {
        self.batcher.plan(self.clock);
        let batch = self.batcher.batch();
        let texts: Vec<(u32, usize)> =
            batch.texts.spans.iter().map(|span| (batch.texts.ids[span.start], span.len())).collect();
        if texts.is_empty() {
            return texts;
        }
        if fails {
            self.batcher.fail(self.clock, &Error::new(ErrorKind::Internal, "told to fail"));
            return texts;
        }
        let values: Vec<f32> =
            texts.iter().flat_map(|&(index, length)| [index as f32, length as f32]).collect();
        self.batcher.commit(self.clock, &values, 2, |_, _| {});
        texts
    }

    fn ended(&mut self) -> Vec<(RequestId, Result<Vec<f32>, ErrorKind>)> {
        let ended = self.batcher.take_ended();
        let result = |outcome: crate::embedding::Outcome| {
            outcome.result.map(Vectors::into_values).map_err(|error| error.kind())
        };
        ended.into_iter().map(|(id, outcome)| (id, result(outcome))).collect()
    }
}

/// A request as the naive batcher keeps it.
#[derive(Debug)]
struct Naive {
    id: RequestId,
    at: i64,
    lengths: Vec<usize>,
    next: usize,
    deadline: Option<Duration>,
}

/// Decides by going through everything every time.
#[derive(Default)]
struct Reference {
    waiting: Vec<Naive>,
    computed: i64,
}

impl Reference {
    /// The texts of the next batch, by request, index and length.
    fn batch(&mut self, budget: usize) -> Vec<(RequestId, u32, usize)> {
        let mut batch: Vec<(RequestId, u32, usize)> = Vec::new();
        while let Some(first) = self
            .waiting
            .iter_mut()
            .filter(|request| request.next < request.lengths.len())
            .min_by_key(|request| (request.at, request.id))
        {
            let length = first.lengths[first.next];
            let rows: usize = batch.iter().map(|(_, _, length)| length).sum();
            if rows > 0 && rows + length > budget {
                break;
            }
            batch.push((first.id, first.next as u32, length));
            first.next += 1;
            first.at += length as i64;
            self.computed += length as i64;
        }
        batch
    }
}

#[derive(Debug, Clone)]
enum Operation {
    Submit { lengths: Vec<usize>, priority: i32, patience: Option<u64> },
    Cancel(u64),
    Step { fails: bool },
    Pass(u64),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let submit = (prop::collection::vec(1usize..40, 1..12), -2..3, prop::option::of(0u64..30))
        .prop_map(|(lengths, priority, patience)| Operation::Submit { lengths, priority, patience });
    let one = prop_oneof![
        4 => submit,
        1 => (1u64..30).prop_map(Operation::Cancel),
        6 => (0..10u32).prop_map(|n| Operation::Step { fails: n == 0 }),
        1 => (0u64..10).prop_map(Operation::Pass),
    ];
    prop::collection::vec(one, 1..60)
}

proptest! {
    #[test]
    fn batches_are_those_of_a_naive_batcher_and_every_request_ends_once(operations in operations()) {
        let options = small();
        let (budget, worth) = (options.max_batch_tokens, i64::from(options.tokens_per_priority));
        let mut driven = Driven::new(options);
        let mut reference = Reference::default();
        let mut submitted: Vec<(RequestId, Vec<usize>)> = Vec::new();
        let mut ends: Vec<(RequestId, Result<Vec<f32>, ErrorKind>)> = Vec::new();
        let drain = std::iter::repeat_n(Operation::Step { fails: false }, 2000);
        for operation in operations.into_iter().chain(drain) {
            match operation {
                Operation::Submit { lengths, priority, patience } => {
                    let deadline = patience.map(|seconds| driven.clock + Duration::from_secs(seconds));
                    let id = driven.submit(&lengths, priority, deadline);
                    let at = reference.computed - i64::from(priority) * worth;
                    reference.waiting.push(Naive { id, at, lengths: lengths.clone(), next: 0, deadline });
                    submitted.push((id, lengths));
                }
                Operation::Cancel(id) => {
                    driven.batcher.cancel(RequestId(id), driven.clock);
                    reference.waiting.retain(|request| request.id != RequestId(id));
                }
                Operation::Pass(seconds) => driven.clock += Duration::from_secs(seconds),
                Operation::Step { fails } => {
                    if !driven.batcher.has_work() {
                        prop_assert!(reference.waiting.is_empty());
                        continue;
                    }
                    let now = driven.clock;
                    reference.waiting.retain(|request| request.deadline.is_none_or(|deadline| deadline > now));
                    let expected = reference.batch(budget);
                    let found = driven.step(fails);
                    prop_assert_eq!(&found, &expected.iter().map(|&(_, i, l)| (i, l)).collect::<Vec<_>>());
                    let rows: usize = found.iter().map(|(_, length)| length).sum();
                    prop_assert!(rows <= budget || found.len() == 1);
                    if fails {
                        reference.waiting.retain(|request| expected.iter().all(|(id, _, _)| *id != request.id));
                    }
                    reference.waiting.retain(|request| request.next < request.lengths.len());
                }
            }
            ends.extend(driven.ended());
            let stats = driven.batcher.stats();
            let waiting: usize = reference.waiting.iter().map(|r| r.lengths.len() - r.next).sum();
            prop_assert!(stats.waiting_texts >= waiting);
            prop_assert!(driven.batcher.new_len() <= driven.batcher.stats().waiting_texts);
        }
        prop_assert!(!driven.batcher.has_work());
        let stats = driven.batcher.stats();
        prop_assert_eq!((stats.waiting_texts, stats.running, driven.batcher.new_len()), (0, 0, 0));
        prop_assert_eq!(ends.len(), submitted.len());
        for (id, lengths) in submitted {
            let mut of_request = ends.iter().filter(|(ended, _)| *ended == id);
            let (_, result) = of_request.next().expect("every request ends");
            prop_assert!(of_request.next().is_none(), "a request ends once");
            if let Ok(values) = result {
                let in_order: Vec<f32> =
                    lengths.iter().enumerate().flat_map(|(at, &length)| [at as f32, length as f32]).collect();
                prop_assert_eq!(values, &in_order);
            }
        }
    }
}

#[test]
fn a_single_text_does_not_wait_for_a_large_request_before_it() {
    let mut driven = Driven::new(small());
    driven.submit(&[4; 10_000], 0, None);
    for _ in 0..100 {
        driven.step(false);
    }
    let single = driven.submit(&[4], 0, None);
    driven.step(false);
    assert_eq!(driven.ended(), [(single, Ok(vec![0.0, 4.0]))]);
}

#[test]
fn a_large_request_goes_on_whatever_comes_after_it() {
    let mut driven = Driven::new(small());
    let large = driven.submit(&[4; 300], 0, None);
    // More single texts than the engine can compute, for as long as it takes.
    let mut steps = 0;
    while driven.ended().iter().all(|(id, _)| *id != large) {
        for _ in 0..4 {
            driven.submit(&[4], 0, None);
        }
        driven.step(false);
        steps += 1;
        assert!(steps <= 300 / 2 + 1, "it has half of every batch at least");
    }
}

#[test]
fn the_longest_text_has_its_turn_among_short_ones() {
    let mut driven = Driven::new(small());
    driven.submit(&[3; 4], 0, None);
    let long = driven.submit(&[40], 0, None);
    driven.submit(&[3; 4], 0, None);
    // The short ones before it, then it alone, then those that came after it.
    let batches: Vec<usize> =
        (0..4).map(|_| driven.step(false).iter().map(|(_, length)| length).sum()).collect();
    let at = batches.iter().position(|tokens| *tokens == 40).expect("it is a batch of its own");
    assert!(at <= 2, "{batches:?}");
    assert!(driven.ended().iter().any(|(id, _)| *id == long));
}

#[test]
fn priority_goes_first_and_waiting_counts() {
    let mut driven = Driven::new(small());
    let low = driven.submit(&[16], 0, None);
    let high = driven.submit(&[16], 1, None);
    driven.step(false);
    assert_eq!(driven.ended()[0].0, high);
    // A level is worth 32 tokens: two more batches, and no higher priority of later arrivals helps against it.
    for steps in 1.. {
        driven.submit(&[16], 1, None);
        driven.step(false);
        if driven.ended().iter().any(|(id, _)| *id == low) {
            assert!(steps <= 3, "{steps}");
            break;
        }
    }
}

#[test]
fn callers_share_by_tokens_however_many_requests_each_has() {
    let mut driven = Driven::new(small());
    for _ in 0..50 {
        driven.submit_of(CallerId(1), &[4; 20], 0, None);
    }
    driven.step(false);
    let light = driven.submit_of(CallerId(2), &[8; 20], 0, None);
    let mut steps = 0;
    while driven.ended().iter().all(|(id, _)| *id != light) {
        driven.step(false);
        steps += 1;
        assert!(steps <= 21, "160 tokens are 10 batches, and half of each is its");
    }
    assert!(steps >= 19, "and not more than half: {steps}");
}
