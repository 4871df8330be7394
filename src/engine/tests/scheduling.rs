//! The scheduler by itself: who runs when, and what a step holds.

use std::time::Duration;

use crate::backend::{AdapterId, BLOCK_TOKENS};
use crate::engine::request::{FinishReason, Outcome, Request, RequestId};
use crate::engine::sampling::SamplingParams;
use crate::engine::scheduler::Scheduler;
use crate::engine::step::Verdict;
use crate::engine::{EngineOptions, MAX_PRIORITY};
use crate::error::ErrorKind;
use crate::fairness::CallerId;

/// A scheduler whose every sample is the number of the step, and what has become of its requests.
struct Driver {
    scheduler: Scheduler,
    last_id: u64,
    now: Duration,
    ended: Vec<(RequestId, Outcome)>,
}

/// A request of one token.
fn plain() -> Request {
    Request {
        prompt: vec![1],
        adapter: AdapterId::BASE,
        max_tokens: 1,
        stop_tokens: Vec::new(),
        sampling: SamplingParams::greedy(),
        caller: CallerId::default(),
        priority: 0,
        prompt_lookup_tokens: 0,
        prompt_logprobs: None,
        deadline: None,
    }
}

/// What a planned step was: the sequences with their rows.
type Rows = Vec<(u64, usize)>;

impl Driver {
    fn new(options: EngineOptions) -> Self {
        options.validate().unwrap();
        Self { scheduler: Scheduler::new(options), last_id: 0, now: Duration::ZERO, ended: Vec::new() }
    }

    /// Queues a request of `prompt` tokens that no other prompt begins with.
    fn submit(&mut self, prompt: usize, max_tokens: usize, priority: i32) -> u64 {
        let first = 1000 * (self.last_id as u32 + 1);
        self.submit_prompt((first..first + prompt as u32).collect(), max_tokens, priority, None)
    }

    fn submit_prompt(
        &mut self,
        prompt: Vec<u32>,
        max_tokens: usize,
        priority: i32,
        deadline: Option<Duration>,
    ) -> u64 {
        self.last_id += 1;
        let mut request = Request { prompt, max_tokens, priority, deadline, ..plain() };
        self.scheduler.submit(RequestId(self.last_id), &mut request, self.now).unwrap();
        self.last_id
    }

    fn plan(&mut self) -> Rows {
        self.now += Duration::from_secs(1);
        let step = self.scheduler.plan(self.now);
        let rows = step.participants.iter().map(|part| (part.id.0, part.rows)).collect();
        self.ended.extend(self.scheduler.take_ended());
        rows
    }

    fn step(&mut self) -> Rows {
        let rows = self.plan();
        if !rows.is_empty() {
            let token = self.scheduler.stats().steps as u32;
            let mut judgements =
                self.scheduler.step().samplers().map(|_| Verdict::Token(token).into()).collect();
            self.scheduler.commit(self.now, &mut judgements);
            self.ended.extend(self.scheduler.take_ended());
        }
        rows
    }

    fn run(&mut self) -> Vec<Rows> {
        std::iter::from_fn(|| self.scheduler.has_work().then(|| self.step())).take(10_000).collect()
    }

    fn outcome(&self, id: u64) -> Option<&Outcome> {
        self.ended.iter().find(|(ended, _)| ended.0 == id).map(|(_, outcome)| outcome)
    }

    fn error(&self, id: u64) -> Option<ErrorKind> {
        self.outcome(id).and_then(|outcome| outcome.result.as_ref().err()).map(|error| error.kind())
    }
}

fn options() -> EngineOptions {
    EngineOptions {
        blocks: 64,
        context_length: 512,
        max_batch_tokens: 64,
        max_prefill_tokens: 16,
        max_sequences: 4,
        max_queue: 32,
        service_per_priority: 48,
        ..Default::default()
    }
}

#[test]
fn a_long_prompt_is_chunked_and_never_delays_a_decode_beyond_the_bound() {
    let mut driver = Driver::new(options());
    driver.submit(4, 40, 0);
    assert_eq!(driver.step(), [(1, 4)]);
    driver.submit(400, 1, 0);
    for _ in 0..25 {
        assert_eq!(driver.step(), [(1, 1), (2, 16)]);
    }
    assert_eq!(driver.outcome(2).unwrap().result.as_ref().unwrap(), &FinishReason::Length);
    assert_eq!(driver.scheduler.stats().longest_decode_gap, 16);
    driver.run();
    driver.submit(400, 1, 0);
    assert_eq!(driver.step(), [(3, 64)], "without decodes a chunk is as long as a step");
}

#[test]
fn prefills_share_a_step_in_the_order_of_arrival() {
    let mut driver = Driver::new(options());
    for _ in 0..3 {
        driver.submit(30, 2, 0);
    }
    assert_eq!(driver.step(), [(1, 30), (2, 30), (3, 4)]);
    assert_eq!(driver.step(), [(1, 1), (2, 1), (3, 16)]);
    assert_eq!(driver.step(), [(3, 10)]);
}

#[test]
fn higher_priority_runs_first_and_takes_the_place_of_lower() {
    let mut driver = Driver::new(EngineOptions { max_sequences: 1, service_per_priority: 1000, ..options() });
    let low = driver.submit(20, 8, -1);
    driver.step();
    driver.step();
    let (normal, high) = (driver.submit(4, 2, 0), driver.submit(4, 2, 1));
    assert_eq!(driver.step(), [(high, 4)]);
    assert_eq!(driver.step(), [(high, 1)]);
    assert_eq!(driver.step(), [(normal, 4)]);
    assert_eq!(driver.step(), [(normal, 1)]);
    // Two tokens were generated before; the first block of the prompt is still in the cache.
    assert_eq!(driver.step(), [(low, 22 - BLOCK_TOKENS)]);
    driver.run();
    let timings = driver.outcome(low).unwrap().timings;
    assert_eq!((timings.preemptions, timings.cached_tokens), (1, 0));
}

#[test]
fn when_blocks_run_out_the_youngest_gives_way_and_comes_back_first() {
    let mut driver = Driver::new(EngineOptions { blocks: 6, max_prefill_tokens: 64, ..options() });
    // Two sequences of 2 blocks, with one to grow into for each; each needs a third and in the end a fourth.
    let older = driver.submit(30, 25, 0);
    let younger = driver.submit(30, 25, 0);
    let last = driver.submit(4, 20, 0);
    assert_eq!(driver.step(), [(older, 30), (younger, 30)], "no block would be left for the last one");
    let mut steps = vec![driver.step()];
    while driver.scheduler.preempted_len() == 0 {
        steps.push(driver.step());
    }
    let (preempting, before) = steps.split_last().unwrap();
    assert!(before.iter().all(|rows| rows.len() == 2));
    assert_eq!(preempting, &[(older, 1)]);
    assert_eq!(driver.step(), [(older, 1)], "nobody overtakes the one that gave way");
    driver.run();
    let preemptions = [older, younger, last].map(|id| driver.outcome(id).unwrap().timings.preemptions);
    assert_eq!(preemptions, [0, 1, 0]);
    let ends: Vec<u64> = driver.ended.iter().map(|(id, _)| id.0).collect();
    assert_eq!(ends, [older, younger, last]);
}

#[test]
fn nobody_is_let_in_without_a_block_to_grow_into_for_those_that_run() {
    let mut driver = Driver::new(EngineOptions { blocks: 4, max_prefill_tokens: 64, ..options() });
    let older = driver.submit(30, 20, 0);
    assert_eq!(driver.step(), [(older, 30)]);
    let younger = driver.submit(17, 20, 0);
    assert_eq!(driver.step(), [(older, 1)]);
    driver.scheduler.cancel(RequestId(older));
    assert_eq!(driver.step(), [(younger, 17)]);
}

#[test]
fn a_preempted_sequence_computes_its_own_tokens_again() {
    let mut driver = Driver::new(EngineOptions {
        blocks: 5,
        prefix_sharing: false,
        service_per_priority: 1000,
        max_prefill_tokens: 64,
        ..options()
    });
    let low = driver.submit(20, 30, 0);
    for _ in 0..10 {
        driver.step();
    }
    // 29 positions are computed in 2 blocks; the high one needs 4 of 5.
    let high = driver.submit(50, 10, 1);
    assert_eq!(driver.step(), [(high, 50)]);
    assert_eq!(driver.scheduler.preempted_len(), 1);
    for _ in 0..9 {
        assert_eq!(driver.step(), [(high, 1)]);
    }
    assert_eq!(driver.step(), [(low, 30)], "prompt and generated tokens in one go");
    driver.run();
    let outcome = driver.outcome(low).unwrap();
    assert_eq!(outcome.result.as_ref().unwrap(), &FinishReason::Length);
    assert_eq!(outcome.timings.preemptions, 1);
}

#[test]
fn waiting_makes_up_for_priority_so_nobody_starves() {
    let mut driver =
        Driver::new(EngineOptions { max_sequences: 1, service_per_priority: 8 * 6, ..options() });
    let low = driver.submit(4, 1, 0);
    let mut steps = 0;
    // An endless stream of requests five levels higher, each done in one step.
    while driver.outcome(low).is_none() {
        driver.submit(4, 1, 5);
        driver.step();
        steps += 1;
        assert!(steps <= 5 * 8 + 1, "five levels are worth 40 steps of 4 prompt tokens and a generated one");
    }
    assert!(steps > 5 * 8 - 1, "and not less: {steps}");
}

#[test]
fn shared_beginnings_are_computed_once() {
    let mut driver = Driver::new(EngineOptions { max_prefill_tokens: 64, ..options() });
    let prompt: Vec<u32> = (0..40).collect();
    driver.submit_prompt(prompt.clone(), 1, 0, None);
    assert_eq!(driver.step(), [(1, 40)]);
    let again = driver.submit_prompt(prompt.clone(), 1, 0, None);
    assert_eq!(driver.step(), [(again, 8)]);
    assert_eq!(driver.outcome(again).unwrap().timings.cached_tokens, 32);
    let short = driver.submit_prompt(prompt[..32].to_vec(), 1, 0, None);
    assert_eq!(driver.step(), [(short, 16)], "the last token is always computed, and so its block");
    assert_eq!(driver.scheduler.stats().prefix_hit_tokens, 48);
}

#[test]
fn a_beginning_that_another_computes_meanwhile_is_taken_over() {
    let mut driver = Driver::new(EngineOptions { max_batch_tokens: 40, max_prefill_tokens: 40, ..options() });
    let prompt: Vec<u32> = (0..100).collect();
    let first = driver.submit_prompt(prompt.clone(), 1, 0, None);
    assert_eq!(driver.step(), [(first, 40)]);
    assert_eq!(driver.step(), [(first, 40)]);
    let second = driver.submit_prompt(prompt, 1, 0, None);
    assert_eq!(driver.step(), [(first, 20), (second, 20)], "80 tokens are shared at once");
    assert_eq!(driver.outcome(second).unwrap().timings.cached_tokens, 80);

    let mut driver = Driver::new(EngineOptions { max_batch_tokens: 40, ..options() });
    let prompt: Vec<u32> = (0..60).collect();
    driver.submit_prompt(prompt[..33].to_vec(), 1, 0, None);
    let second = driver.submit_prompt(prompt, 1, 0, None);
    assert_eq!(driver.step(), [(1, 33), (second, 7)], "both begin at once");
    assert_eq!(driver.step(), [(second, 40)]);
    let third = driver.submit_prompt((0..60).collect(), 1, 0, None);
    assert_eq!(driver.step(), [(second, 13), (third, 27)], "it holds 2 blocks of the first's");
}

#[test]
fn cancel_takes_effect_before_the_next_step_in_every_state() {
    let mut driver = Driver::new(EngineOptions { max_sequences: 2, ..options() });
    let decoding = driver.submit(4, 40, 0);
    driver.step();
    let prefilling = driver.submit(100, 4, 0);
    let queued = driver.submit(4, 4, 0);
    assert_eq!(driver.step(), [(decoding, 1), (prefilling, 16)]);
    for id in [decoding, prefilling, queued] {
        assert!(driver.scheduler.cancel(RequestId(id)));
    }
    assert_eq!(driver.step(), []);
    for id in [decoding, prefilling, queued] {
        assert_eq!(driver.error(id), Some(ErrorKind::Cancelled));
        assert!(!driver.scheduler.cancel(RequestId(id)), "it is gone");
    }
    let stats = driver.scheduler.stats();
    assert_eq!((stats.cancelled, stats.blocks_used, stats.running), (3, 0, 0));
}

#[test]
fn a_deadline_takes_effect_before_the_next_step_in_every_state() {
    let mut driver = Driver::new(EngineOptions { max_sequences: 2, ..options() });
    let deadline = Some(Duration::from_secs(4));
    let decoding = driver.submit_prompt(vec![1; 4], 40, 0, deadline);
    driver.step();
    let prefilling = driver.submit_prompt(vec![2; 100], 4, 0, deadline);
    let queued = driver.submit_prompt(vec![3; 4], 4, 0, deadline);
    let patient = driver.submit_prompt(vec![4; 4], 4, 0, Some(Duration::from_secs(1000)));
    assert_eq!(driver.step(), [(decoding, 1), (prefilling, 16)]);
    assert_eq!(driver.step(), [(decoding, 1), (prefilling, 16)]);
    assert_eq!(driver.step(), [(patient, 4)]);
    for id in [decoding, prefilling, queued] {
        assert_eq!(driver.error(id), Some(ErrorKind::DeadlineExceeded));
    }
    driver.run();
    assert!(driver.outcome(patient).unwrap().result.is_ok());
    assert_eq!(driver.scheduler.stats().expired, 3);
}

#[test]
fn the_queue_is_bounded_and_preempted_sequences_always_find_room_in_it() {
    let mut driver = Driver::new(EngineOptions { max_queue: 2, max_sequences: 1, ..options() });
    let low = driver.submit(4, 9, -1);
    driver.step();
    driver.submit(4, 9, 0);
    driver.submit(4, 9, 0);
    let mut request = plain();
    let error = driver.scheduler.submit(RequestId(99), &mut request, driver.now).unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Overloaded, true));
    assert_eq!(request.prompt, [1], "a refused request is left as it is");
    driver.step();
    assert_eq!((driver.scheduler.new_len(), driver.scheduler.preempted_len()), (1, 1));
    driver.run();
    assert!(driver.outcome(low).unwrap().result.is_ok());
}

#[test]
fn what_can_never_fit_is_refused_with_the_numbers() {
    let mut scheduler = Scheduler::new(EngineOptions { blocks: 4, ..options() });
    let mut submit = |prompt: usize, max_tokens, priority| {
        let mut request = Request { prompt: vec![1; prompt], max_tokens, priority, ..plain() };
        scheduler.submit(RequestId(1), &mut request, Duration::ZERO)
    };
    submit(60, 4, 0).unwrap();
    let error = submit(60, 5, 0).unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::ContextLengthExceeded, Some("max_tokens")));
    for number in ["60", "5", "64", "512"] {
        assert!(error.message().contains(number), "{error} names {number}");
    }
    assert_eq!(submit(64, 1, 0).unwrap_err().param(), Some("prompt"));
    assert_eq!(submit(1, usize::MAX, 0).unwrap_err().kind(), ErrorKind::ContextLengthExceeded);
    assert_eq!(submit(0, 1, 0).unwrap_err().param(), Some("prompt"));
    assert_eq!(submit(1, 0, 0).unwrap_err().param(), Some("max_tokens"));
    assert_eq!(submit(1, 1, MAX_PRIORITY + 1).unwrap_err().param(), Some("priority"));
}
