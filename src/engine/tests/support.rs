//! What the tests of the whole engine share.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, unbounded};

use crate::backend::AdapterId;
use crate::clock::ManualClock;
use crate::engine::testing::ToyModel;
use crate::engine::{
    Engine, EngineOptions, Flow, Outcome, Request, RequestId, SampledToken, SamplingParams, Sink,
};
use crate::fairness::CallerId;

pub(super) const VOCAB: usize = 48;

/// Long enough for the slowest machine; only a hang takes it.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A request's answer as it arrives.
pub(super) struct Answer {
    tokens: Receiver<SampledToken>,
    end: Receiver<Outcome>,
}

impl Answer {
    pub(super) fn next(&self) -> SampledToken {
        self.tokens.recv_timeout(PATIENCE).unwrap()
    }

    /// The end, if it is there already.
    pub(super) fn ended(&self) -> Option<Outcome> {
        self.end.try_recv().ok()
    }

    /// Whether the sink is gone and has said nothing.
    pub(super) fn is_silent(&self) -> bool {
        self.tokens.recv_timeout(PATIENCE).is_err() && self.end.recv_timeout(PATIENCE).is_err()
    }

    /// All tokens not taken yet, and the end.
    pub(super) fn wait(&self) -> (Vec<SampledToken>, Outcome) {
        let outcome = self.end.recv_timeout(PATIENCE).unwrap();
        assert!(self.end.recv_timeout(PATIENCE).is_err(), "the sink is gone after its end");
        (self.tokens.try_iter().collect(), outcome)
    }
}

/// A sink that passes everything on, and asks `flow` after each token.
pub(super) struct Channel<F> {
    tokens: Sender<SampledToken>,
    end: Sender<Outcome>,
    seen: usize,
    flow: F,
}

impl<F: FnMut(usize) -> Flow + Send> Sink for Channel<F> {
    fn token(&mut self, token: SampledToken) -> Flow {
        self.tokens.send(token).ok();
        self.seen += 1;
        (self.flow)(self.seen)
    }

    fn finish(self: Box<Self>, outcome: Outcome) {
        self.end.send(outcome).ok();
    }
}

/// A sink that takes everything and panics at the end.
pub(super) struct PanicsAtTheEnd;

impl Sink for PanicsAtTheEnd {
    fn token(&mut self, _: SampledToken) -> Flow {
        Flow::Continue
    }

    fn finish(self: Box<Self>, _: Outcome) {
        panic!("the sink was told to panic at its end");
    }
}

/// A sink whose `flow` hears how many tokens there were, and the reader of its answer.
pub(super) fn channel_with(flow: impl FnMut(usize) -> Flow + Send + 'static) -> (Box<dyn Sink>, Answer) {
    let ((tokens, tokens_out), (end, end_out)) = (unbounded(), unbounded());
    (Box::new(Channel { tokens, end, seen: 0, flow }), Answer { tokens: tokens_out, end: end_out })
}

pub(super) fn channel() -> (Box<dyn Sink>, Answer) {
    channel_with(|_| Flow::Continue)
}

pub(super) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(jiff::Timestamp::UNIX_EPOCH))
}

pub(super) fn small() -> EngineOptions {
    EngineOptions {
        blocks: 64,
        context_length: 512,
        max_batch_tokens: 64,
        max_prefill_tokens: 16,
        max_sequences: 8,
        max_queue: 100,
        ..Default::default()
    }
}

pub(super) fn start(model: ToyModel, options: EngineOptions) -> Engine {
    Engine::start(Box::new(model), options, clock(), None).unwrap()
}

/// A greedy request for `max_tokens` after a prompt of `prompt` tokens that begins with `first`.
pub(super) fn request(first: u32, prompt: usize, max_tokens: usize) -> Request {
    let tokens = (0..prompt as u32).map(|position| (first + position * 5) % 40);
    Request {
        prompt: tokens.collect(),
        adapter: AdapterId::BASE,
        max_tokens,
        stop_tokens: Vec::new(),
        sampling: SamplingParams::greedy(),
        caller: CallerId::default(),
        priority: 0,
        prompt_lookup_tokens: 0,
        prompt_logprobs: None,
        deadline: None,
    }
}

/// What a greedy request generates, computed without an engine.
pub(super) fn expected(request: &Request) -> Vec<u32> {
    let mut context = request.prompt.clone();
    for _ in 0..request.max_tokens {
        let token = ToyModel::greedy_after(VOCAB, request.adapter, &context);
        if request.stop_tokens.contains(&token) {
            break;
        }
        context.push(token);
    }
    context.split_off(request.prompt.len())
}

pub(super) fn ids(tokens: &[SampledToken]) -> Vec<u32> {
    tokens.iter().map(|token| token.id).collect()
}

pub(super) fn submit(engine: &Engine, request: &Request) -> (RequestId, Answer) {
    let (sink, answer) = channel();
    (engine.submit(request.clone(), sink).unwrap(), answer)
}
