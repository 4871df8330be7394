//! The whole engine: thread, messages, sinks, failures and the end.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::support::*;
use crate::backend::Pooling;
use crate::clock::Clock;
use crate::embedding::{EmbeddingEngine, EmbeddingOptions, Outcome, Request, RequestId, Sink};
use crate::error::ErrorKind;
use crate::fairness::{Entrance, Entry, Machine, MachineOptions, Reservation, Served, Share, Speed};

#[test]
fn vectors_come_in_the_order_of_the_texts_and_progress_is_heard() {
    let engine = start(Toy::new(), small());
    let request = request((0..9).map(|first| text(first, 1 + 4 * first as usize % 13)).collect());
    let answer = submit(&engine, &request).1;
    let vectors = answer.wait().result.unwrap();
    assert_eq!((vectors.rows(), vectors.dimension()), (9, WIDTH));
    assert_eq!(vectors.values(), expected(&request));
    let progress: Vec<usize> = answer.progress.try_iter().collect();
    assert!(progress.len() > 1 && progress.is_sorted() && progress.iter().all(|done| (1..9).contains(done)));
    let stats = engine.stats();
    assert_eq!((stats.finished, stats.queued, stats.running, stats.waiting_texts), (1, 0, 0, 0));
    let tokens: usize = request.texts.iter().map(Vec::len).sum();
    assert_eq!((stats.texts, stats.tokens), (9, tokens as u64));
    assert_eq!((stats.batches, stats.queue_wait.count), (progress.len() as u64 + 1, 1));
}

#[test]
fn pooling_cut_and_normalization_are_each_requests_own() {
    let (toy, gate) = Toy::new().gated();
    let log = toy.log();
    let engine = start(toy, small());
    let (_, first) = submit(&engine, &request(vec![text(0, 1)]));
    gate.entered.recv_timeout(PATIENCE).unwrap();
    let raw = request(vec![text(3, 4)]);
    let cut = Request { dimensions: Some(2), normalize: true, ..raw.clone() };
    let last = Request { pooling: Pooling::Last, ..raw.clone() };
    let answers = [raw, cut, last.clone()].map(|request| (submit(&engine, &request).1, request));
    drop(gate);
    first.wait().result.unwrap();
    let values: Vec<Vec<f32>> = answers.iter().map(|(answer, _)| answer.values()).collect();
    assert_eq!(values[0], expected(&answers[0].1));
    assert_eq!(values[2], expected(&last));
    assert_ne!(values[0], values[2]);
    let length = (values[0][0] * values[0][0] + values[0][1] * values[0][1]).sqrt();
    assert_eq!(values[1].len(), 2);
    assert!((values[1][0] - values[0][0] / length).abs() < 1e-6, "{values:?}");
    assert_eq!(*log.lock(), [vec![1], vec![4, 4, 4]], "all of them were one batch");
}

#[test]
fn texts_of_many_callers_share_batches() {
    let (toy, gate) = Toy::new().gated();
    let log = toy.log();
    let engine = start(toy, small());
    let (_, first) = submit(&engine, &request(vec![text(0, 30)]));
    gate.entered.recv_timeout(PATIENCE).unwrap();
    let requests: Vec<Request> = (0..10).map(|first| request(vec![text(first, 4)])).collect();
    let answers: Vec<Answer> = requests.iter().map(|request| submit(&engine, request).1).collect();
    drop(gate);
    first.wait().result.unwrap();
    for (answer, request) in answers.iter().zip(&requests) {
        assert_eq!(answer.values(), expected(request));
    }
    // A text that is longer than the budget is a batch of its own.
    assert_eq!(*log.lock(), [vec![30], vec![4; 4], vec![4; 4], vec![4; 2]]);
}

#[test]
fn cancelled_requests_end_within_a_batch() {
    let (toy, gate) = Toy::new().gated();
    let engine = start(toy, small());
    let (running, answer) = submit(&engine, &request(vec![text(1, 16), text(2, 16)]));
    let (waiting, waiting_answer) = submit(&engine, &request(vec![text(3, 4)]));
    gate.entered.recv_timeout(PATIENCE).unwrap();
    engine.cancel(running);
    engine.cancel(waiting);
    engine.cancel(RequestId(12345));
    gate.permits.send(()).unwrap();
    assert_eq!(answer.error().kind(), ErrorKind::Cancelled);
    assert_eq!(waiting_answer.error().kind(), ErrorKind::Cancelled);
    assert!(gate.entered.is_empty(), "no batch was begun after the cancel");
    assert_eq!((engine.stats().cancelled, engine.stats().waiting_texts), (2, 0));
}

#[test]
fn deadlines_follow_the_injected_clock() {
    let clock = clock();
    let (toy, gate) = Toy::new().gated();
    let engine = EmbeddingEngine::start(Box::new(toy), small(), clock.clone(), None).unwrap();
    clock.advance(Duration::from_secs(10));
    let deadline = Some(clock.monotonic() + Duration::from_secs(5));
    let late = Request { deadline, ..request(vec![text(1, 16), text(2, 16)]) };
    let (_, answer) = submit(&engine, &late);
    gate.entered.recv_timeout(PATIENCE).unwrap();
    clock.advance(Duration::from_secs(6));
    gate.permits.send(()).unwrap();
    let Outcome { result, timings } = answer.wait();
    assert_eq!(result.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    assert_eq!(answer.progress.try_iter().collect::<Vec<_>>(), [1]);
    assert_eq!(
        (timings.submitted, timings.started),
        (Duration::from_secs(10), Some(Duration::from_secs(10)))
    );
    assert_eq!((timings.finished, engine.stats().expired), (Duration::from_secs(16), 1));
}

#[test]
fn a_full_queue_refuses_at_once_and_opens_again() {
    let (toy, gate) = Toy::new().gated();
    let engine = start(toy, EmbeddingOptions { max_queue: 2, ..small() });
    let one = request(vec![text(1, 16)]);
    let (_, first) = submit(&engine, &one);
    gate.entered.recv_timeout(PATIENCE).unwrap();
    let (_, second) = submit(&engine, &one);
    let (_, third) = submit(&engine, &one);
    let (sink, refused) = channel();
    let error = engine.submit(one.clone(), sink).unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Overloaded, true));
    assert!(refused.is_silent(), "the sink of a refused request is dropped without a call");
    assert_eq!((engine.stats().queued, engine.stats().refused), (2, 1));
    drop(gate);
    for answer in [first, second, third] {
        answer.wait().result.unwrap();
    }
    submit(&engine, &one).1.wait().result.unwrap();
}

#[test]
fn an_engine_takes_part_in_a_machine_and_hears_its_mail_while_it_waits() {
    let clock = clock();
    let machine = Machine::new(clock.clone(), MachineOptions::default());
    let speed = Speed { decode: 1, prefill: 1 };
    let share = Share::Reserved(Reservation { min: 10, max: u32::MAX, speed });
    let holder = Entrance::new(Some(machine.join(Share::BestEffort).unwrap()));
    let gate = machine.join(share).unwrap();
    let member = gate.member();
    let Entry::Open(pass) = holder.ask() else { panic!("nobody else is there") };
    let engine = EmbeddingEngine::start(Box::new(Toy::new()), small(), clock.clone(), Some(gate)).unwrap();
    let (cancelled, answer) = submit(&engine, &request(vec![text(1, 16)]));
    let kept = request(vec![text(2, 7), text(3, 5)]);
    let (_, kept_answer) = submit(&engine, &kept);
    engine.cancel(cancelled);
    assert_eq!(answer.error().kind(), ErrorKind::Cancelled);
    assert_eq!(engine.stats().batches, 0, "the machine is somebody else's");
    pass.give_back(Served::default(), false);
    assert_eq!(kept_answer.values(), expected(&kept));
    assert_eq!(machine.attainment(member).unwrap().given, 12.0);
    let Entry::Open(_pass) = holder.ask() else { panic!("nobody else wants it") };
    let (_, last) = submit(&engine, &kept);
    engine.shutdown();
    assert_eq!(last.error().kind(), ErrorKind::ShuttingDown);
    assert!(machine.attainment(member).is_none(), "it has left");
}

#[test]
fn what_the_model_does_wrong_loses_its_batch_and_nothing_else() {
    for (fault, kind, said) in [
        (Fault::Fails, ErrorKind::Internal, "told to fail"),
        (Fault::Panics, ErrorKind::Internal, "told to panic"),
        (Fault::TooFewValues, ErrorKind::Internal, "instead of 6"),
    ] {
        let (toy, gate) = Toy::with(fault).gated();
        let engine = start(toy, small());
        let (_, before) = submit(&engine, &request(vec![text(0, 1)]));
        gate.entered.recv_timeout(PATIENCE).unwrap();
        // One batch of the trigger and a neighbour, and a request that has only begun with the batch after it.
        let (_, guilty) = submit(&engine, &request(vec![vec![1, TRIGGER]]));
        let (_, neighbour) = submit(&engine, &request(vec![text(1, 14), text(2, 3)]));
        let (_, later) = submit(&engine, &request(vec![text(3, 16)]));
        drop(gate);
        before.wait().result.unwrap();
        for lost in [guilty, neighbour] {
            let error = lost.error();
            assert!(error.kind() == kind && error.message().contains(said), "{error}");
        }
        later.wait().result.unwrap();
        submit(&engine, &request(vec![text(4, 3)])).1.wait().result.unwrap();
        assert_eq!((engine.stats().failed, engine.stats().finished), (2, 3));
    }
}

#[test]
fn values_that_are_not_finite_lose_only_their_own_request() {
    let (toy, gate) = Toy::with(Fault::NotFinite).gated();
    let engine = start(toy, small());
    let (_, before) = submit(&engine, &request(vec![text(0, 1)]));
    gate.entered.recv_timeout(PATIENCE).unwrap();
    let (_, guilty) = submit(&engine, &request(vec![text(1, 2), vec![1, TRIGGER], text(2, 2)]));
    let (_, neighbour) = submit(&engine, &request(vec![text(5, 4)]));
    drop(gate);
    before.wait().result.unwrap();
    let error = guilty.error();
    assert!(error.kind() == ErrorKind::InvalidModel && error.message().contains("input[1]"), "{error}");
    neighbour.wait().result.unwrap();
}

#[test]
fn requests_that_make_no_sense_are_refused_by_name() {
    let engine = start(Toy::new(), small());
    let good = request(vec![text(1, 3)]);
    for (bad, kind, param) in [
        (request(vec![]), ErrorKind::InvalidRequest, "input"),
        (request(vec![text(1, 3), vec![]]), ErrorKind::InvalidRequest, "input[1]"),
        (request(vec![text(1, 41)]), ErrorKind::ContextLengthExceeded, "input[0]"),
        (request(vec![vec![1, 2, VOCAB as u32]]), ErrorKind::InvalidRequest, "input[0][2]"),
        (Request { dimensions: Some(0), ..good.clone() }, ErrorKind::InvalidRequest, "dimensions"),
        (Request { dimensions: Some(4), ..good.clone() }, ErrorKind::InvalidRequest, "dimensions"),
        (Request { priority: 101, ..good.clone() }, ErrorKind::InvalidRequest, "priority"),
    ] {
        let (sink, answer) = channel();
        let error = engine.submit(bad, sink).unwrap_err();
        assert_eq!((error.kind(), error.param()), (kind, Some(param)), "{error}");
        assert!(answer.is_silent());
    }
    for options in [
        EmbeddingOptions { max_batch_tokens: 0, ..small() },
        EmbeddingOptions { max_text_tokens: 1 << 33, ..small() },
    ] {
        assert!(EmbeddingEngine::start(Box::new(Toy::new()), options, clock(), None).is_err());
    }
    submit(&engine, &good).1.wait().result.unwrap();
}

#[test]
fn a_shutdown_answers_everybody() {
    let (toy, gate) = Toy::new().gated();
    let engine = Arc::new(start(toy, small()));
    let answers: Vec<Answer> =
        (0..5).map(|first| submit(&engine, &request(vec![text(first, 16), text(first, 16)])).1).collect();
    gate.entered.recv_timeout(PATIENCE).unwrap();
    let closing = {
        let engine = Arc::clone(&engine);
        std::thread::spawn(move || engine.shutdown())
    };
    // Refused as soon as the door is closed, which is before the thread has ended.
    loop {
        let (sink, _answer) = channel();
        match engine.submit(request(vec![text(0, 1)]), sink) {
            Ok(_) => std::thread::yield_now(),
            // Before the other thread has begun, so many may wait that no more are let in.
            Err(error) if error.kind() == ErrorKind::Overloaded => std::thread::yield_now(),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ShuttingDown);
                break;
            }
        }
    }
    drop(gate);
    closing.join().unwrap();
    for answer in answers {
        assert_eq!(answer.error().kind(), ErrorKind::ShuttingDown);
    }
    engine.shutdown();
}

/// Panics at whatever it hears; tells only that it is gone.
struct Panics(#[allow(dead_code)] crossbeam::channel::Sender<()>);

impl Sink for Panics {
    fn progress(&mut self, _: usize) {
        panic!("told to panic at progress");
    }

    fn finish(self: Box<Self>, _: Outcome) {
        panic!("told to panic at the end");
    }
}

#[test]
fn sinks_that_panic_harm_nobody() {
    let engine = start(Toy::new(), small());
    let (alive, gone) = crossbeam::channel::unbounded();
    engine.submit(request(vec![text(1, 16), text(2, 16)]), Box::new(Panics(alive))).unwrap();
    assert!(gone.recv_timeout(PATIENCE).is_err(), "the sink is dropped");
    submit(&engine, &request(vec![text(1, 3)])).1.wait().result.unwrap();
}

/// Drops the engine on the engine's own thread.
struct Drops(Arc<Mutex<Option<EmbeddingEngine>>>, crossbeam::channel::Sender<()>);

impl Sink for Drops {
    fn finish(self: Box<Self>, _: Outcome) {
        drop(self.0.lock().take());
        self.1.send(()).ok();
    }
}

#[test]
fn an_engine_may_be_dropped_by_its_own_sink() {
    let held = Arc::new(Mutex::new(None));
    let (done, dropped) = crossbeam::channel::unbounded();
    let (toy, gate) = Toy::new().gated();
    let engine = start(toy, small());
    engine.submit(request(vec![text(1, 3)]), Box::new(Drops(held.clone(), done))).unwrap();
    *held.lock() = Some(engine);
    drop(gate);
    dropped.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn the_handle_may_be_shared_between_threads() {
    let engine = start(Toy::new(), small());
    std::thread::scope(|scope| {
        for caller in 0..8 {
            let engine = &engine;
            scope.spawn(move || {
                for round in 0..20 {
                    let request = request(vec![text(caller, 1 + round % 17), text(round as u32, 3)]);
                    assert_eq!(submit(engine, &request).1.values(), expected(&request));
                }
            });
        }
    });
    assert_eq!(engine.stats().finished, 160);
}
