//! How fast an engine is when it has the machine for itself.

use std::time::Duration;

use crossbeam::channel::{Sender, unbounded};

use super::info::EndpointInfo;
use crate::backend::{AdapterId, BLOCK_TOKENS, Pooling};
use crate::clock::Clock;
use crate::embedding::{self, EmbeddingEngine};
use crate::engine::{self, Engine, Flow, SampledToken, SamplingParams};
use crate::error::{Error, ErrorKind, Result};
use crate::fairness::{CallerId, Speed};

/// Tokens of a prompt, where the context allows it, and of an answer.
const PROMPT_TOKENS: usize = 128;
const ANSWER_TOKENS: usize = 64;
/// The prompt of a request whose answer is measured.
const SHORT_PROMPT_TOKENS: usize = 4;
/// A rate is measured for at least so long, or for so many rounds.
const AT_LEAST: Duration = Duration::from_millis(500);
const MOST_ROUNDS: u64 = 32;

/// Tells how a request of the measurement ended.
struct Probe(Sender<Result<()>>);

impl engine::Sink for Probe {
    fn token(&mut self, _: SampledToken) -> Flow {
        Flow::Continue
    }

    fn finish(self: Box<Self>, outcome: engine::Outcome) {
        // Nobody hears it when the measurement has failed before.
        let _ = self.0.send(outcome.result.map(drop));
    }
}

impl embedding::Sink for Probe {
    fn progress(&mut self, _: usize) {}

    fn finish(self: Box<Self>, outcome: embedding::Outcome) {
        let _ = self.0.send(outcome.result.map(drop));
    }
}

/// Prompts and answers of an engine that generates.
pub(super) fn generation_speed(engine: &Engine, vocab: usize, clock: &dyn Clock) -> Result<Speed> {
    let options = engine.options();
    let most = options.max_request_tokens();
    let (prompt, answer) = (PROMPT_TOKENS.min(most / 2), ANSWER_TOKENS.min(most / 2));
    if prompt <= SHORT_PROMPT_TOKENS {
        let message = format!("a request has at most {most} tokens here: too few to measure anything");
        return Err(Error::new(ErrorKind::Unsupported, message).with_param("context_length"));
    }
    let at_once = |tokens: usize| {
        let fit = options.blocks / tokens.div_ceil(BLOCK_TOKENS).max(1);
        options.max_sequences.min(options.max_queue).min(fit).max(1)
    };
    let mut salt = 0;
    let mut run = |requests: usize, prompt: usize, answer: usize| {
        generate(engine, vocab, requests, prompt, answer, &mut salt)
    };
    // What happens for the first time is not what is measured.
    run(1, prompt, 1)?;
    let requests = at_once(prompt + 1);
    let prefill = rate(clock, || run(requests, prompt, 1).map(|()| requests * prompt))?;
    let requests = at_once(SHORT_PROMPT_TOKENS + answer);
    let both = rate(clock, || run(requests, SHORT_PROMPT_TOKENS, answer).map(|()| requests * answer))?;
    // Of each answer's time the prompt's share is known.
    let seconds = 1.0 / both - SHORT_PROMPT_TOKENS as f64 / answer as f64 / prefill;
    let decode = if seconds > 0.0 { 1.0 / seconds } else { both };
    Ok(speed(decode, prefill))
}

/// The texts of an engine that embeds.
pub(super) fn embedding_speed(
    engine: &EmbeddingEngine,
    info: &EndpointInfo,
    clock: &dyn Clock,
) -> Result<Speed> {
    let tokens = PROMPT_TOKENS.min(info.context_length);
    let texts = engine.options().max_batch_tokens.div_ceil(tokens).max(8);
    let mut salt = 0;
    let mut run = |texts: usize| {
        salt += 1;
        let request = embedding::Request {
            texts: (0..texts).map(|text| prompt_of(tokens, info.vocab_size, salt * 7919 + text)).collect(),
            pooling: Pooling::Mean,
            dimensions: None,
            normalize: false,
            caller: CallerId::default(),
            priority: 0,
            deadline: None,
        };
        let (tell, told) = unbounded();
        engine.submit(request, Box::new(Probe(tell)))?;
        told.recv().unwrap_or_else(|_| Err(lost()))
    };
    run(1)?;
    let rate = rate(clock, || run(texts).map(|()| texts * tokens))?;
    Ok(speed(rate, rate))
}

/// Runs requests at once, to the end of all.
fn generate(
    engine: &Engine,
    vocab: usize,
    requests: usize,
    prompt: usize,
    answer: usize,
    salt: &mut usize,
) -> Result<()> {
    let (tell, told) = unbounded();
    for _ in 0..requests {
        *salt += 1;
        let request = engine::Request {
            // Prompts of their own: one that was computed before would cost nothing.
            prompt: prompt_of(prompt, vocab, *salt),
            adapter: AdapterId::BASE,
            max_tokens: answer,
            stop_tokens: Vec::new(),
            sampling: SamplingParams { temperature: 0.0, ..SamplingParams::default() },
            caller: CallerId::default(),
            priority: 0,
            prompt_lookup_tokens: 0,
            prompt_logprobs: None,
            deadline: None,
        };
        engine.submit(request, Box::new(Probe(tell.clone())))?;
    }
    drop(tell);
    (0..requests).try_for_each(|_| told.recv().unwrap_or_else(|_| Err(lost())))
}

/// Tokens that no other prompt of the measurement has, spread over the vocabulary.
fn prompt_of(tokens: usize, vocab: usize, salt: usize) -> Vec<u32> {
    let token = |at: usize| (salt.wrapping_mul(104_729) + at.wrapping_mul(7_919 + 2 * salt)) % vocab;
    (0..tokens).map(|at| token(at) as u32).collect()
}

/// Units per second of something that is done again until it has taken long enough.
fn rate(clock: &dyn Clock, mut run: impl FnMut() -> Result<usize>) -> Result<f64> {
    let begin = clock.monotonic();
    let (mut done, mut rounds) = (0, 0);
    loop {
        done += run()?;
        rounds += 1;
        let taken = clock.monotonic().saturating_sub(begin);
        if taken >= AT_LEAST || rounds == MOST_ROUNDS {
            if taken.is_zero() {
                let message = "the clock stands still: no rate can be measured by it";
                return Err(Error::new(ErrorKind::Conflict, message));
            }
            return Ok(done as f64 / taken.as_secs_f64());
        }
    }
}

fn speed(decode: f64, prefill: f64) -> Speed {
    // At least 1: the rates are of something that was done.
    let whole = |rate: f64| (rate as u32).max(1);
    Speed { decode: whole(decode), prefill: whole(prefill) }
}

fn lost() -> Error {
    Error::new(ErrorKind::Internal, "the engine lost a request of the measurement")
}
