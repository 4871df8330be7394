//! Threads at the gates of one machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};

use crate::clock::{ManualClock, SystemClock};
use crate::error::ErrorKind;
use crate::fairness::{
    Entrance, Entry, Machine, MachineOptions, MemberId, Pass, Reservation, Served, Share, Speed,
};

/// Long enough for the slowest machine; only a hang takes it.
const PATIENCE: Duration = Duration::from_secs(60);

fn reserved(min: u32, max: u32) -> Share {
    Share::Reserved(Reservation { min, max, speed: Speed { decode: 1, prefill: 1 } })
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(jiff::Timestamp::UNIX_EPOCH))
}

/// A machine whose time stands still.
fn machine() -> Machine {
    Machine::new(clock(), MachineOptions::default())
}

fn entrance(machine: &Machine, share: Share) -> (MemberId, Entrance) {
    let gate = machine.join(share).unwrap();
    (gate.member(), Entrance::new(Some(gate)))
}

fn open(entrance: &Entrance) -> Option<Pass> {
    match entrance.ask() {
        Entry::Open(pass) => Some(pass),
        Entry::Wait(_) => None,
    }
}

/// Asks until it is let in.
fn enter(entrance: &Entrance) -> Pass {
    let (_mail, silent): (Sender<()>, Receiver<()>) = bounded(0);
    loop {
        match entrance.ask() {
            Entry::Open(pass) => return pass,
            Entry::Wait(at_most) => assert_eq!(entrance.wait(&silent, at_most), None),
        }
    }
}

#[test]
fn many_threads_go_in_one_at_a_time_and_nobody_is_forgotten() {
    let machine = Machine::new(
        Arc::new(SystemClock::new()),
        MachineOptions { grace: Duration::from_micros(200), ..MachineOptions::default() },
    );
    let shares = [
        reserved(2_000, u32::MAX),
        reserved(50, 20_000),
        Share::BestEffort,
        Share::BestEffort,
        Share::BestEffort,
    ];
    let inside = Arc::new(AtomicUsize::new(0));
    let (done, ends) = unbounded();
    for share in shares {
        let ((_, entrance), inside, done) = (entrance(&machine, share), Arc::clone(&inside), done.clone());
        std::thread::spawn(move || {
            for step in 0..300 {
                let pass = enter(&entrance);
                let alone = inside.fetch_add(1, Ordering::SeqCst) == 0;
                inside.fetch_sub(1, Ordering::SeqCst);
                // It says that it will come back and is late, or does not say so and comes back.
                pass.give_back(Served { prompt: 1, output: 4 }, step % 3 == 0);
                if step % 7 == 0 {
                    entrance.withdraw();
                }
                if !alone {
                    return;
                }
            }
            done.send(()).unwrap();
        });
    }
    for _ in shares {
        ends.recv_timeout(PATIENCE).expect("it was alone at every step and has done all of them");
    }
}

#[test]
fn a_step_that_panics_gives_the_machine_back() {
    let machine = machine();
    let ((_, first), (_, second)) =
        (entrance(&machine, reserved(1, 1)), entrance(&machine, Share::BestEffort));
    let pass = open(&first);
    assert!(pass.is_some() && open(&second).is_none());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _pass = pass;
        panic!("told to panic");
    }));
    assert!(panicked.is_err());
    assert!(open(&second).is_some());
}

#[test]
fn an_engine_that_ends_opens_the_way_and_its_reservation_is_gone() {
    let machine = machine();
    let (id, first) = entrance(&machine, reserved(1, 1));
    let ((_, second), (_, third)) =
        (entrance(&machine, Share::BestEffort), entrance(&machine, Share::BestEffort));
    let pass = open(&first);
    assert!(pass.is_some() && open(&second).is_none() && open(&third).is_none());
    let (mail, letters) = unbounded();
    mail.send("a letter").unwrap();
    assert_eq!(second.wait(&letters, None), Some("a letter"), "who waits hears its mail");
    drop(first);
    assert_eq!(second.wait(&letters, None), None, "it is called");
    assert_eq!(third.wait(&letters, None), None);
    let (one, other) = (open(&second), open(&third));
    assert!(one.is_some() && other.is_some(), "without reservations nobody waits");
    drop(pass);
    assert!(machine.attainment(id).is_none());
    assert_eq!(machine.set_share(id, Share::BestEffort).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(machine.set_share(id, reserved(2, 1)).unwrap_err().param(), Some("min"));
    assert_eq!(machine.join(reserved(2, 1)).unwrap_err().param(), Some("min"));
}

#[test]
fn a_share_may_change_while_others_wait() {
    let machine = machine();
    let ((id, first), (_, second)) =
        (entrance(&machine, reserved(1, 1)), entrance(&machine, Share::BestEffort));
    let pass = open(&first);
    assert!(open(&second).is_none());
    machine.set_share(id, Share::BestEffort).unwrap();
    let (_mail, silent): (Sender<()>, Receiver<()>) = bounded(0);
    assert_eq!(second.wait(&silent, None), None, "it is called");
    let both = open(&second);
    assert!(pass.is_some() && both.is_some());
    machine.set_share(id, reserved(1, 1)).unwrap();
    pass.unwrap().give_back(Served::default(), true);
    assert!(open(&first).is_none(), "the other is still inside");
    drop(both);
    assert!(open(&first).is_some());
}

#[test]
fn whose_turn_comes_by_the_passing_of_time_is_called_by_whoever_asks() {
    let clock = clock();
    let machine = Machine::new(clock.clone(), MachineOptions::default());
    let [(_, other), (_, holder)] = [(); 2].map(|()| entrance(&machine, Share::BestEffort));
    let (_, behind) = entrance(&machine, reserved(1000, u32::MAX));
    let pass = open(&behind).unwrap();
    assert!(open(&other).is_none() && open(&holder).is_none());
    clock.advance(Duration::from_millis(10));
    // 10 tokens were owed: it is ahead for a millisecond.
    pass.give_back(Served { prompt: 0, output: 11 }, false);
    let pass = open(&other).unwrap();
    clock.advance(Duration::from_micros(200));
    pass.give_back(Served::default(), true);
    let pass = open(&holder).unwrap();
    assert!(open(&other).is_none() && open(&behind).is_none());
    // It has computed for the least time and is waited for.
    pass.give_back(Served::default(), true);
    assert!(open(&other).is_none());
    clock.advance(Duration::from_millis(2));
    assert!(open(&other).is_none(), "the one that is behind goes first");
    let (done, end) = bounded(1);
    std::thread::spawn(move || {
        let (_mail, silent): (Sender<()>, Receiver<()>) = bounded(0);
        behind.wait(&silent, None);
        done.send(open(&behind).is_some()).unwrap();
    });
    assert_eq!(end.recv_timeout(PATIENCE), Ok(true), "it was called");
}
