//! The whole engine: thread, messages, sinks, failures and the end.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::support::*;
use crate::clock::Clock;
use crate::engine::testing::{Fault, ToyModel};
use crate::engine::{Engine, EngineOptions, FinishReason, Flow, Request, RequestId};
use crate::error::ErrorKind;

/// A token that sets off a model's fault; no prompt but the one that is to do so has it.
const TRIGGER: u32 = VOCAB as u32 - 1;

fn kind<T: std::fmt::Debug>(result: crate::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

/// A request that sets off the model's fault.
fn trigger() -> Request {
    Request { prompt: vec![1, 2, TRIGGER], ..request(0, 1, 1) }
}

#[test]
fn one_request_gives_what_the_model_says() {
    let engine = start(ToyModel::new(VOCAB, 64), small());
    let request = request(1, 37, 21);
    let (tokens, outcome) = submit(&engine, &request).1.wait();
    assert_eq!(outcome.result.unwrap(), FinishReason::Length);
    assert_eq!(ids(&tokens), expected(&request));
    let stats = engine.stats();
    assert_eq!((stats.finished, stats.running, stats.queued, stats.blocks_used), (1, 0, 0, 0));
    assert_eq!((stats.prefill_tokens, stats.decode_tokens, stats.generated_tokens), (37, 20, 21));
    assert_eq!((stats.time_to_first_token.count, stats.queue_wait.count), (1, 1));
}

#[test]
fn the_handle_may_be_shared_between_threads() {
    fn shareable<T: Send + Sync>() {}
    shareable::<Engine>();
}

#[test]
fn a_stop_token_ends_the_text_and_is_not_part_of_it() {
    let engine = start(ToyModel::new(VOCAB, 64), small());
    let plain = request(1, 10, 12);
    let all = expected(&plain);
    let stop = all.iter().position(|token| token == &all[8]).unwrap();
    let stopped = Request { stop_tokens: vec![all[8]], ..plain };
    let (tokens, outcome) = submit(&engine, &stopped).1.wait();
    assert_eq!(outcome.result.unwrap(), FinishReason::Stop);
    assert_eq!(ids(&tokens), all[..stop]);
}

#[test]
fn a_sink_may_stop_or_cancel_its_request() {
    let engine = start(ToyModel::new(VOCAB, 64), small());
    for flow in [Flow::Stop, Flow::Cancel] {
        let (sink, answer) = channel_with(move |count| if count == 3 { flow } else { Flow::Continue });
        engine.submit(request(1, 10, 12), sink).unwrap();
        let (tokens, outcome) = answer.wait();
        assert_eq!(tokens.len(), 3);
        match flow {
            Flow::Stop => assert_eq!(outcome.result.unwrap(), FinishReason::Stop),
            _ => assert_eq!(kind(outcome.result), ErrorKind::Cancelled),
        }
    }
}

#[test]
fn cancelled_requests_end_within_a_step() {
    let (model, gate) = ToyModel::new(VOCAB, 64).gated();
    let engine = start(model, EngineOptions { max_sequences: 1, ..small() });
    let (running, answer) = submit(&engine, &request(1, 10, 100));
    let (waiting, waiting_answer) = submit(&engine, &request(2, 10, 100));
    gate.entered.recv_timeout(PATIENCE).unwrap();
    engine.cancel(running);
    engine.cancel(waiting);
    engine.cancel(RequestId(12345));
    gate.permits.send(()).unwrap();
    assert_eq!(kind(answer.wait().1.result), ErrorKind::Cancelled);
    let (tokens, outcome) = waiting_answer.wait();
    assert_eq!((tokens.len(), kind(outcome.result)), (0, ErrorKind::Cancelled));
    assert!(gate.entered.is_empty(), "no step was begun after the cancel");
}

#[test]
fn deadlines_follow_the_injected_clock() {
    let clock = clock();
    let (model, gate) = ToyModel::new(VOCAB, 64).gated();
    let engine = Engine::start(Box::new(model), small(), clock.clone(), None).unwrap();
    clock.advance(Duration::from_secs(10));
    let deadline = Some(clock.monotonic() + Duration::from_secs(5));
    let (_, answer) = submit(&engine, &Request { deadline, ..request(1, 10, 100) });
    gate.entered.recv_timeout(PATIENCE).unwrap();
    gate.permits.send(()).unwrap();
    gate.entered.recv_timeout(PATIENCE).unwrap();
    clock.advance(Duration::from_secs(6));
    gate.permits.send(()).unwrap();
    let (tokens, outcome) = answer.wait();
    assert_eq!((tokens.len(), kind(outcome.result)), (2, ErrorKind::DeadlineExceeded));
    let timings = outcome.timings;
    assert_eq!(timings.submitted, Duration::from_secs(10));
    assert_eq!((timings.started, timings.first_token), (Some(timings.submitted), Some(timings.submitted)));
    assert_eq!(timings.finished, Duration::from_secs(16));
}

#[test]
fn a_full_queue_refuses_at_once_and_opens_again() {
    let (model, gate) = ToyModel::new(VOCAB, 64).gated();
    let engine = start(model, EngineOptions { max_queue: 2, max_sequences: 1, ..small() });
    let (_, first) = submit(&engine, &request(1, 4, 2));
    gate.entered.recv_timeout(PATIENCE).unwrap();
    let (_, second) = submit(&engine, &request(2, 4, 2));
    let (_, third) = submit(&engine, &request(3, 4, 2));
    let (sink, refused) = channel();
    let error = engine.submit(request(4, 4, 2), sink).unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Overloaded, true));
    assert!(refused.is_silent(), "the sink of a refused request is dropped without a call");
    assert_eq!((engine.stats().queued, engine.stats().refused), (2, 1));
    drop(gate);
    for answer in [first, second, third] {
        answer.wait().1.result.unwrap();
    }
    submit(&engine, &request(4, 4, 2)).1.wait().1.result.unwrap();
}

#[test]
fn requests_that_cannot_be_are_refused_by_name() {
    let engine = start(ToyModel::new(VOCAB, 64), small());
    let refuse = |request: Request| engine.submit(request, channel().0).unwrap_err();
    let alien = Request { prompt: vec![VOCAB as u32], ..request(0, 1, 1) };
    assert_eq!(refuse(alien).param(), Some("prompt"));
    assert_eq!(refuse(request(0, 500, 13)).kind(), ErrorKind::ContextLengthExceeded);
    let mut hot = request(0, 1, 1);
    hot.sampling.temperature = 3.0;
    assert_eq!(refuse(hot).param(), Some("temperature"));
    let mut biased = request(0, 1, 1);
    biased.sampling.logit_bias = vec![(VOCAB as u32, 1.0)];
    assert_eq!(refuse(biased).param(), Some("logit_bias"));
    let options = EngineOptions { blocks: 0, ..small() };
    let started = Engine::start(Box::new(ToyModel::new(VOCAB, 1)), options, clock(), None);
    assert_eq!(started.unwrap_err().param(), Some("blocks"));
}

/// A running request, a queued one, and between them one that sets off `fault` in a step of its own.
fn survive(fault: Fault, expected_kind: ErrorKind) {
    let (model, gate) = ToyModel::new(VOCAB, 64).with_fault(TRIGGER, fault).gated();
    let options = EngineOptions { max_sequences: 1, ..small() };
    let engine = start(model, options);
    let before = request(1, 20, 5);
    let (_, first) = submit(&engine, &before);
    let (_, bad) = submit(&engine, &trigger());
    let after = Request { prompt: before.prompt.clone(), ..request(1, 20, 30) };
    let (_, last) = submit(&engine, &after);
    assert!(!expected(&after).contains(&TRIGGER));
    drop(gate);
    assert_eq!(ids(&first.wait().0), expected(&before));
    let (tokens, outcome) = bad.wait();
    assert_eq!((tokens.len(), kind(outcome.result)), (0, expected_kind));
    assert_eq!(ids(&last.wait().0), expected(&after), "what is found in the cache is right");
    let stats = engine.stats();
    assert_eq!((stats.finished, stats.failed, stats.blocks_used), (2, 1, 0));
}

#[test]
fn an_executor_error_loses_its_step_and_nothing_else() {
    survive(Fault::Error, ErrorKind::Io);
}

#[test]
fn an_executor_panic_loses_its_step_and_the_cached_prefixes() {
    survive(Fault::Panic, ErrorKind::Internal);
}

#[test]
fn logits_of_the_wrong_number_are_the_steps_failure() {
    survive(Fault::WrongLength, ErrorKind::Internal);
}

#[test]
fn logits_that_are_not_numbers_end_only_their_own_request() {
    let (model, gate) = ToyModel::new(VOCAB, 64).with_fault(TRIGGER, Fault::NotFinite).gated();
    let engine = start(model, small());
    let good = request(1, 20, 5);
    let (_, first) = submit(&engine, &good);
    let (_, bad) = submit(&engine, &trigger());
    drop(gate);
    assert_eq!(kind(bad.wait().1.result), ErrorKind::Internal);
    assert_eq!(ids(&first.wait().0), expected(&good));
}

#[test]
fn a_sink_that_panics_loses_its_own_request_only() {
    let (model, gate) = ToyModel::new(VOCAB, 64).gated();
    let engine = start(model, small());
    let good = request(1, 20, 9);
    let (_, first) = submit(&engine, &good);
    let (sink, bad) =
        channel_with(|count| if count == 2 { panic!("the sink was told to panic") } else { Flow::Continue });
    engine.submit(request(2, 20, 9), sink).unwrap();
    engine.submit(request(3, 20, 2), Box::new(PanicsAtTheEnd)).unwrap();
    drop(gate);
    let (tokens, outcome) = bad.wait();
    let error = outcome.result.unwrap_err();
    assert_eq!((tokens.len(), error.kind()), (2, ErrorKind::Internal));
    assert!(error.message().contains("told to panic"), "{error}");
    assert_eq!(ids(&first.wait().0), expected(&good));
    assert_eq!(ids(&submit(&engine, &good).1.wait().0), expected(&good), "the engine goes on");
}

#[test]
fn a_shutdown_ends_every_request() {
    let (model, gate) = ToyModel::new(VOCAB, 64).gated();
    let engine = start(model, EngineOptions { max_sequences: 2, ..small() });
    let answers: Vec<_> = (0..6).map(|first| submit(&engine, &request(first, 30, 100)).1).collect();
    gate.entered.recv_timeout(PATIENCE).unwrap();
    std::thread::scope(|scope| {
        let joined = scope.spawn(|| engine.shutdown());
        // The worker is held inside a step; from the moment that the engine is closed there is none after it.
        let closed = |error: &crate::Error| error.kind() == ErrorKind::ShuttingDown;
        while !engine.submit(request(1, 1, 1), channel().0).is_err_and(|error| closed(&error)) {
            std::thread::yield_now();
        }
        drop(gate);
        joined.join().unwrap();
    });
    for (number, answer) in answers.iter().enumerate() {
        let (tokens, outcome) = answer.wait();
        assert_eq!(kind(outcome.result), ErrorKind::ShuttingDown);
        assert!(tokens.len() <= 1, "request {number} got {} tokens", tokens.len());
    }
}

#[test]
fn when_the_engine_is_dropped_every_sink_has_heard_its_end() {
    for round in 0..20 {
        let engine = start(ToyModel::new(VOCAB, 64), EngineOptions { max_sequences: 2, ..small() });
        let answers: Vec<_> =
            (0..6).map(|first| submit(&engine, &request(first, 30, 10 + round)).1).collect();
        drop(engine);
        for answer in answers {
            let outcome = answer.ended().expect("the end comes before the drop returns");
            assert!(outcome.result.is_ok() || kind(outcome.result) == ErrorKind::ShuttingDown);
        }
    }
}

#[test]
fn a_sink_may_drop_the_engine_on_its_own_thread() {
    let engine = Arc::new(Mutex::new(None));
    let (model, gate) = ToyModel::new(VOCAB, 64).gated();
    let held = engine.clone();
    let (sink, answer) = channel_with(move |count| {
        if count == 2 {
            drop(held.lock().take());
        }
        Flow::Continue
    });
    let started = start(model, small());
    started.submit(request(1, 10, 100), sink).unwrap();
    let (_, other) = submit(&started, &request(2, 10, 100));
    *engine.lock() = Some(started);
    drop(gate);
    for answer in [answer, other] {
        let (tokens, outcome) = answer.wait();
        assert_eq!(kind(outcome.result), ErrorKind::ShuttingDown);
        assert!(tokens.len() <= 2, "no step after the one that dropped the engine");
    }
}

#[test]
fn a_sink_may_submit_the_next_request() {
    let engine = Arc::new(start(ToyModel::new(VOCAB, 64), small()));
    let (follower, answer) = channel();
    let (chain, mut follower) = (engine.clone(), Some(follower));
    let next = request(5, 8, 4);
    let follow = next.clone();
    let (sink, first) = channel_with(move |_| {
        if let Some(sink) = follower.take() {
            chain.submit(follow.clone(), sink).unwrap();
        }
        Flow::Continue
    });
    engine.submit(request(1, 10, 3), sink).unwrap();
    assert_eq!(first.wait().0.len(), 3);
    assert_eq!(ids(&answer.wait().0), expected(&next));
}

#[test]
fn after_a_shutdown_nothing_is_taken_in() {
    let engine = start(ToyModel::new(VOCAB, 64), small());
    engine.shutdown();
    engine.shutdown();
    let (sink, answer) = channel();
    assert_eq!(kind(engine.submit(request(1, 4, 4), sink)), ErrorKind::ShuttingDown);
    assert!(answer.is_silent());
    engine.cancel(RequestId(1));
    assert_eq!(engine.stats().queued, 0);
}

#[test]
fn many_threads_submit_and_cancel_at_once() {
    let engine = start(ToyModel::new(VOCAB, 24), EngineOptions { blocks: 24, max_queue: 8, ..small() });
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let engine = &engine;
            scope.spawn(move || {
                for round in 0..12_u32 {
                    let request = request(thread * 7 + round, 8 + round as usize, 10);
                    let (sink, answer) = channel();
                    match engine.submit(request.clone(), sink) {
                        Ok(id) if round % 4 == 3 => {
                            answer.next();
                            engine.cancel(id);
                            let (_, outcome) = answer.wait();
                            assert!(outcome.result.is_ok() || kind(outcome.result) == ErrorKind::Cancelled);
                        }
                        Ok(_) => assert_eq!(ids(&answer.wait().0), expected(&request)),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Overloaded),
                    }
                }
            });
        }
    });
    let stats = engine.stats();
    assert_eq!((stats.queued, stats.running, stats.blocks_used), (0, 0, 0));
}
