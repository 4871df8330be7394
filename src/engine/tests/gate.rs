//! Engines that share a machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::support::*;
use crate::backend::Batch;
use crate::clock::{Clock, ManualClock};
use crate::engine::testing::{Fault, ToyModel};
use crate::engine::{Engine, Executor, Request};
use crate::error::{ErrorKind, Result};
use crate::fairness::{Entrance, Entry, Machine, MachineOptions, Pass, Reservation, Share, Speed};

fn reserved(min: u32, max: u32) -> Share {
    Share::Reserved(Reservation { min, max, speed: Speed { decode: 1, prefill: 10 } })
}

fn machine(clock: &Arc<ManualClock>) -> Machine {
    Machine::new(Arc::clone(clock) as Arc<dyn Clock>, MachineOptions::default())
}

fn start_at(
    machine: &Machine,
    share: Share,
    executor: impl Executor + 'static,
    clock: &Arc<ManualClock>,
) -> Engine {
    let gate = machine.join(share).unwrap();
    Engine::start(Box::new(executor), small(), Arc::clone(clock) as Arc<dyn Clock>, Some(gate)).unwrap()
}

/// Holds the machine as an engine in the middle of a step does.
fn hold(machine: &Machine) -> (Entrance, Pass) {
    let entrance = Entrance::new(Some(machine.join(reserved(1, 1)).unwrap()));
    let Entry::Open(pass) = entrance.ask() else { panic!("nobody else is there") };
    (entrance, pass)
}

#[test]
fn an_engine_that_waits_for_the_machine_hears_cancels_deadlines_and_its_shutdown() {
    let clock = clock();
    let machine = machine(&clock);
    let (_entrance, pass) = hold(&machine);
    let engine = start_at(&machine, Share::BestEffort, ToyModel::new(VOCAB, 64), &clock);
    let (cancelled, answer) = submit(&engine, &request(1, 10, 5));
    let deadline = Some(clock.monotonic() + Duration::from_secs(1));
    let (_, late) = submit(&engine, &Request { deadline, ..request(2, 10, 5) });
    let (_, last) = submit(&engine, &request(3, 10, 5));
    clock.advance(Duration::from_secs(2));
    engine.cancel(cancelled);
    assert_eq!(answer.wait().1.result.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(late.wait().1.result.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    assert_eq!(engine.stats().steps, 0, "the machine is somebody else's");
    engine.shutdown();
    assert_eq!(last.wait().1.result.unwrap_err().kind(), ErrorKind::ShuttingDown);
    drop(pass);
}

/// A model that says so if another one computes at the same time.
struct Watched {
    model: ToyModel,
    inside: Arc<AtomicBool>,
    steps: Arc<AtomicUsize>,
}

impl Executor for Watched {
    fn vocab_size(&self) -> usize {
        self.model.vocab_size()
    }

    fn execute(&mut self, batch: &Batch) -> Result<&[f32]> {
        assert!(!self.inside.swap(true, Ordering::SeqCst), "two engines compute at once");
        self.steps.fetch_add(1, Ordering::SeqCst);
        let logits = self.model.execute(batch);
        self.inside.store(false, Ordering::SeqCst);
        logits
    }
}

#[test]
fn engines_with_a_reservation_among_them_compute_one_at_a_time_and_as_if_alone() {
    let clock = clock();
    let machine = machine(&clock);
    let (inside, steps) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
    // Time hardly moves: only the highest maximum is filled up again.
    let shares = [reserved(100, u32::MAX), Share::BestEffort, Share::BestEffort];
    let engines = shares.map(|share| {
        let model = ToyModel::new(VOCAB, 64);
        let watched = Watched { model, inside: Arc::clone(&inside), steps: Arc::clone(&steps) };
        start_at(&machine, share, watched, &clock)
    });
    std::thread::scope(|scope| {
        for (number, engine) in engines.iter().enumerate().skip(1) {
            scope.spawn(move || {
                for round in 0..6 {
                    let request = request(number as u32 + round, 20 + round as usize, 12);
                    assert_eq!(ids(&submit(engine, &request).1.wait().0), expected(&request));
                }
            });
        }
        let request = request(0, 20, 12);
        let (_, answer) = submit(&engines[0], &request);
        while answer.ended().is_none() {
            // What its steps have taken of its maximum comes back with time.
            clock.advance(Duration::from_nanos(100));
            std::thread::yield_now();
        }
    });
    assert!(steps.load(Ordering::SeqCst) >= 13 * 12);
}

#[test]
fn a_model_that_panics_does_not_keep_the_machine() {
    let clock = clock();
    let machine = machine(&clock);
    let trigger = VOCAB as u32 - 1;
    let bad = ToyModel::new(VOCAB, 64).with_fault(trigger, Fault::Panic);
    let bad = start_at(&machine, reserved(1000, u32::MAX), bad, &clock);
    let good = start_at(&machine, Share::BestEffort, ToyModel::new(VOCAB, 64), &clock);
    let (_, lost) = submit(&bad, &Request { prompt: vec![trigger], ..request(0, 1, 1) });
    assert_eq!(lost.wait().1.result.unwrap_err().kind(), ErrorKind::Internal);
    let request = request(1, 20, 5);
    assert_eq!(ids(&submit(&good, &request).1.wait().0), expected(&request));
}
