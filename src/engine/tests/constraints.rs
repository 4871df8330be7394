//! Tokens that may not be any, and prompts that are scored.

use crossbeam::channel::{Receiver, Sender, unbounded};
use proptest::prelude::*;

use super::support::*;
use crate::engine::testing::ToyModel;
use crate::engine::{
    Allowed, EngineOptions, Flow, Outcome, Request, SampledToken, Sampler, SamplingParams, Sink, Waker,
};
use crate::error::{Error, ErrorKind, Result};

/// What token number `place` may be: about every third one, others at each place.
fn mask(place: usize) -> Vec<u32> {
    (0..VOCAB.div_ceil(32))
        .map(|word| {
            let allowed = |bit: &usize| (word * 32 + bit + place).is_multiple_of(3);
            (0..32).filter(allowed).fold(0, |mask, bit| mask | 1 << bit)
        })
        .collect()
}

/// What a limited request generates, computed without an engine.
fn limited(request: &Request) -> Vec<SampledToken> {
    let (mut sampler, mut text) = (Sampler::new(VOCAB), Vec::new());
    let mut tokens = Vec::new();
    for place in 0..request.max_tokens {
        let context = [request.prompt.as_slice(), &text].concat();
        let logits = ToyModel::logits_after(VOCAB, request.adapter, &context);
        let params = &request.sampling;
        let token = sampler.sample(&logits, Some(&mask(place)), params, &request.prompt, &text).unwrap();
        assert!((token.id as usize + place).is_multiple_of(3), "{token:?} at {place}");
        text.push(token.id);
        tokens.push(token);
    }
    tokens
}

/// Knows what is allowed at once, or when it is told by `hints`; tells `asked` when it does not know.
struct Limited {
    inner: Box<dyn Sink>,
    place: usize,
    mask: Vec<u32>,
    late: Option<Late>,
    failing_at: Option<usize>,
}

struct Late {
    asked: Sender<Waker>,
    hints: Receiver<()>,
    known: bool,
    waker: Waker,
}

impl Limited {
    fn new(inner: Box<dyn Sink>) -> Self {
        Self { inner, place: 0, mask: Vec::new(), late: None, failing_at: None }
    }
}

impl Sink for Limited {
    fn token(&mut self, token: SampledToken) -> Flow {
        self.place += 1;
        if let Some(late) = &mut self.late {
            late.known = false;
        }
        self.inner.token(token)
    }

    fn allowed(&mut self) -> Result<Allowed<'_>> {
        if self.failing_at == Some(self.place) {
            return Err(Error::new(ErrorKind::InvalidRequest, "the grammar ends here"));
        }
        if let Some(late) = &mut self.late {
            late.known = late.known || late.hints.try_recv().is_ok();
            if !late.known {
                late.asked.send(late.waker.clone()).ok();
                return Ok(Allowed::Later);
            }
        }
        self.mask = mask(self.place);
        Ok(Allowed::Only(&self.mask))
    }

    fn finish(self: Box<Self>, outcome: Outcome) {
        self.inner.finish(outcome);
    }
}

fn sampled(seed: u64) -> SamplingParams {
    SamplingParams { temperature: 1.3, seed, logprobs: Some(2), ..SamplingParams::default() }
}

#[test]
fn only_allowed_tokens_are_chosen_whatever_else_is() {
    let engine = start(ToyModel::new(VOCAB, 64), small());
    for (salt, sampling) in [(1, SamplingParams::greedy()), (2, sampled(5)), (3, sampled(6))] {
        let request = Request { sampling, ..request(salt, 20, 30) };
        let (sink, answer) = channel();
        engine.submit(request.clone(), Box::new(Limited::new(sink))).unwrap();
        let (tokens, outcome) = answer.wait();
        outcome.result.unwrap();
        assert_eq!(tokens, limited(&request));
    }
}

#[test]
fn what_is_not_known_yet_keeps_nobody_else_waiting() {
    let engine = start(ToyModel::new(VOCAB, 64), small());
    let ((asked, questions), (tell, hints)) = (unbounded(), unbounded());
    let slow = Request { sampling: sampled(9), ..request(1, 40, 3) };
    let (sink, answer) = channel();
    let late = Late { asked, hints, known: false, waker: engine.waker() };
    engine.submit(slow.clone(), Box::new(Limited { late: Some(late), ..Limited::new(sink) })).unwrap();
    for round in 0..3 {
        let waker = questions.recv_timeout(PATIENCE).unwrap();
        // Another one comes, is served as a whole, and goes.
        let other = request(2 + round, 20, 10);
        let (tokens, outcome) = submit(&engine, &other).1.wait();
        outcome.result.unwrap();
        assert_eq!(ids(&tokens), expected(&other));
        assert!(answer.ended().is_none());
        tell.send(()).unwrap();
        waker.wake();
        answer.next();
        // It was asked again whenever the other one had a step.
        while questions.try_recv().is_ok() {}
        if round < 2 {
            waker.wake();
        }
    }
    assert_eq!(answer.wait().1.result.unwrap(), crate::engine::FinishReason::Length);
    assert_eq!(engine.stats().late_choices, 3);
    assert_eq!(engine.stats().blocks_used, 0);
}

#[test]
fn one_that_waits_can_be_cancelled_and_shut_down() {
    let engine = start(ToyModel::new(VOCAB, 64), small());
    let never = || {
        let ((asked, questions), (tell, hints)) = (unbounded(), unbounded());
        let (sink, answer) = channel();
        let late = Late { asked, hints, known: false, waker: engine.waker() };
        let sink = Limited { late: Some(late), ..Limited::new(sink) };
        let id = engine.submit(request(1, 40, 3), Box::new(sink)).unwrap();
        questions.recv_timeout(PATIENCE).unwrap();
        (id, answer, questions, tell)
    };
    let (id, cancelled, ..) = never();
    engine.cancel(id);
    assert_eq!(cancelled.wait().1.result.unwrap_err().kind(), ErrorKind::Cancelled);
    let (_, ended, ..) = never();
    engine.shutdown();
    assert_eq!(ended.wait().1.result.unwrap_err().kind(), ErrorKind::ShuttingDown);
}

#[test]
fn whoever_cannot_tell_ends_its_own_request_only() {
    let engine = start(ToyModel::new(VOCAB, 64), small());
    let (sink, answer) = channel();
    let failing = Limited { failing_at: Some(2), ..Limited::new(sink) };
    engine.submit(request(1, 20, 10), Box::new(failing)).unwrap();
    let other = request(2, 20, 10);
    let (tokens, outcome) = submit(&engine, &other).1.wait();
    outcome.result.unwrap();
    assert_eq!(ids(&tokens), expected(&other));
    let (tokens, outcome) = answer.wait();
    assert_eq!((tokens.len(), outcome.result.unwrap_err().message()), (2, "the grammar ends here"));
}

/// Hears the scores of its prompt.
struct Scored {
    inner: Box<dyn Sink>,
    scores: Sender<SampledToken>,
}

impl Sink for Scored {
    fn token(&mut self, token: SampledToken) -> Flow {
        self.inner.token(token)
    }

    fn prompt_token(&mut self, token: SampledToken) {
        self.scores.send(token).unwrap();
    }

    fn finish(self: Box<Self>, outcome: Outcome) {
        self.inner.finish(outcome);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// In caches that preempt, with drafts, shared prefixes and scores of prompts.
    #[test]
    fn limits_are_the_same_in_any_company(
        blocks in 12usize..40, max_sequences in 1usize..8, more_rows in 0usize..40, max_prefill_tokens in 1usize..40,
        requests in proptest::collection::vec((0u32..3, 1usize..60, 1usize..20, 0usize..9, any::<bool>(), any::<u64>()), 1..12),
    ) {
        let max_batch_tokens = max_sequences + more_rows;
        let options = EngineOptions { blocks, max_sequences, max_batch_tokens, max_prefill_tokens, ..small() };
        let engine = start(ToyModel::new(VOCAB, blocks), options);
        let mut running = Vec::new();
        for (salt, prompt, max_tokens, drafts, scored, seed) in requests {
            let request = Request {
                sampling: sampled(seed), prompt_lookup_tokens: drafts, prompt_logprobs: scored.then_some(3),
                ..request(salt, prompt, max_tokens)
            };
            let (sink, answer) = channel();
            engine.submit(request.clone(), Box::new(Limited::new(sink))).unwrap();
            running.push((request, answer));
        }
        for (request, answer) in running {
            let (tokens, outcome) = answer.wait();
            outcome.result.unwrap();
            prop_assert_eq!(tokens, limited(&request));
        }
    }

    #[test]
    fn every_token_of_a_scored_prompt_is_told_once(
        blocks in 12usize..40, max_sequences in 1usize..8, more_rows in 0usize..40, max_prefill_tokens in 1usize..40,
        requests in proptest::collection::vec((0u32..3, 1usize..60, 1usize..20, any::<bool>()), 1..12),
    ) {
        let max_batch_tokens = max_sequences + more_rows;
        let options = EngineOptions { blocks, max_sequences, max_batch_tokens, max_prefill_tokens, ..small() };
        let engine = start(ToyModel::new(VOCAB, blocks), options);
        let mut running = Vec::new();
        for (salt, prompt, max_tokens, scored) in requests {
            let request = Request { prompt_logprobs: scored.then_some(3), ..request(salt, prompt, max_tokens) };
            let (inner, answer) = channel();
            let (scores, heard) = unbounded();
            engine.submit(request.clone(), Box::new(Scored { inner, scores })).unwrap();
            running.push((request, answer, heard));
        }
        for (request, answer, heard) in running {
            let (tokens, outcome) = answer.wait();
            outcome.result.unwrap();
            prop_assert_eq!(ids(&tokens), expected(&request));
            let sampler = Sampler::new(VOCAB);
            let score = |place: usize| {
                let logits = ToyModel::logits_after(VOCAB, request.adapter, &request.prompt[..place]);
                sampler.score(&logits, request.prompt[place], 3).unwrap()
            };
            let told: Vec<_> = heard.try_iter().collect();
            let scores = if request.prompt_logprobs.is_some() { 1..request.prompt.len() } else { 0..0 };
            prop_assert_eq!(told, scores.map(score).collect::<Vec<_>>());
        }
    }
}
