//! The counters alone: who goes next, what is charged, and who is forgotten.

use proptest::prelude::*;

use crate::fairness::{Account, CallerId, Callers, Rank};

const A: CallerId = CallerId(1);
const B: CallerId = CallerId(2);

/// Callers whose requests are numbered, each with the caller that it is of.
struct Line {
    callers: Callers,
    last_id: u64,
    waiting: Vec<(CallerId, crate::fairness::Arrival)>,
    begun: Vec<Account>,
}

impl Line {
    fn new() -> Self {
        Self { callers: Callers::new(100), last_id: 0, waiting: Vec::new(), begun: Vec::new() }
    }

    fn arrive(&mut self, caller: CallerId, priority: i32) -> u64 {
        self.last_id += 1;
        let arrival = self.callers.arrive(caller, self.last_id, priority);
        self.waiting.push((caller, arrival));
        self.check();
        self.last_id
    }

    fn next(&self) -> Option<(CallerId, Rank)> {
        self.callers.first().map(|(rank, caller)| (caller, rank))
    }

    /// Begins the request whose turn it is; returns its caller.
    fn begin(&mut self, cost: u64) -> Option<CallerId> {
        let (caller, rank) = self.next()?;
        self.waiting.retain(|(_, arrival)| *arrival != rank.arrival());
        self.begun.push(self.callers.begin(caller, rank, cost));
        self.check();
        Some(caller)
    }

    fn serve(&mut self, index: usize, service: u64) {
        self.callers.serve(&mut self.begun[index], service);
        self.check();
    }

    fn end(&mut self, index: usize) {
        let account = self.begun.remove(index);
        self.callers.end(&account);
        self.check();
    }

    /// The request whose turn it is begins, takes `service` and ends; returns its number.
    fn whole(&mut self, cost: u64, service: u64) -> Option<u64> {
        let id = self.next()?.1.arrival().id();
        self.begin(cost)?;
        self.serve(self.begun.len() - 1, service);
        self.end(self.begun.len() - 1);
        Some(id)
    }

    /// The same; returns the caller.
    fn begin_and_end(&mut self, service: u64) -> CallerId {
        let (caller, _) = self.next().unwrap();
        self.whole(service, service);
        caller
    }

    fn check(&self) {
        let valid = self.callers.validate(self.waiting.iter().copied(), self.begun.iter());
        assert_eq!(valid, Ok(()));
    }
}

#[test]
fn the_caller_that_was_served_least_goes_next() {
    let mut line = Line::new();
    for _ in 0..6 {
        line.arrive(A, 0);
    }
    for _ in 0..3 {
        line.arrive(B, 0);
    }
    // B's requests take twice as much.
    let order: Vec<CallerId> = std::iter::from_fn(|| {
        let (caller, _) = line.next()?;
        Some(line.begin_and_end(if caller == A { 10 } else { 20 }))
    })
    .collect();
    assert_eq!(order, [A, B, A, A, B, A, A, B, A]);
    assert_eq!(line.callers.len(), 0, "nobody has anything to do");
}

#[test]
fn one_caller_alone_is_served_in_the_order_of_priority_and_arrival() {
    let mut line = Line::new();
    let first = line.arrive(A, 0);
    let second = line.arrive(A, 0);
    let high = line.arrive(A, 1);
    assert_eq!(line.whole(1000, 99), Some(high));
    let late = line.arrive(A, 1);
    assert_eq!(line.whole(1000, 2), Some(late), "a level is worth 100 and 99 were given");
    let too_late = line.arrive(A, 1);
    let order = [(); 3].map(|()| line.whole(1000, 1).unwrap());
    assert_eq!(order, [first, second, too_late]);
}

#[test]
fn what_was_charged_too_much_does_not_bring_a_later_request_before_an_earlier_one() {
    let mut line = Line::new();
    for _ in 0..4 {
        line.arrive(A, 0);
    }
    assert_eq!([1000, 1000, 1000].map(|cost| line.begin(cost)), [Some(A); 3]);
    line.serve(0, 1);
    line.end(0);
    line.serve(0, 1);
    line.end(0);
    let last_begun = line.begun[0].rank();
    let (_, next) = line.next().unwrap();
    assert!(last_begun < next && !last_begun.leads(next, 1), "{last_begun:?}, {next:?}");
    // Only the caller's own stand so: for its counter the truth counts.
    assert_eq!(line.callers.counter(A), Some(1002));
}

#[test]
fn a_caller_that_comes_stands_level_and_what_it_did_not_take_is_not_kept() {
    let mut line = Line::new();
    for _ in 0..50 {
        line.arrive(A, 0);
    }
    for _ in 0..20 {
        line.whole(10, 10);
    }
    for _ in 0..3 {
        line.arrive(B, 0);
    }
    // Not twenty times in a row: what A had while B was not there does not count.
    let order = [10, 10, 10, 10, 10, 30].map(|service| line.begin_and_end(service));
    assert_eq!(order, [A, B, A, B, A, B]);
    assert_eq!(line.callers.len(), 2, "B is ahead of virtual time");
    assert_eq!([A; 2], [(); 2].map(|()| line.begin_and_end(10)));
    assert_eq!(line.callers.len(), 1, "and is forgotten when it is not any more");
}

#[test]
fn a_caller_that_comes_stands_level_with_those_that_wait_even_if_others_take_less_than_their_part() {
    let mut line = Line::new();
    // It has one long request and never another: virtual time moves half as fast as B's counter.
    line.arrive(A, 0);
    line.begin(10);
    for _ in 0..30 {
        line.arrive(B, 0);
    }
    for _ in 0..20 {
        line.begin_and_end(10);
    }
    let c = CallerId(3);
    for _ in 0..4 {
        line.arrive(c, 0);
    }
    let order = [(); 6].map(|()| line.begin_and_end(10));
    assert_eq!(order, [B, c, B, c, B, c]);
}

#[test]
fn who_fills_the_engine_alone_has_most_of_its_requests_behind_a_newcomers() {
    let mut line = Line::new();
    for _ in 0..8 {
        line.arrive(A, 0);
        line.begin(100);
    }
    for index in 0..8 {
        line.serve(index, 50);
    }
    line.arrive(B, 0);
    let (caller, rank) = line.next().unwrap();
    assert_eq!(caller, B);
    let behind = line.begun.iter().filter(|account| rank.leads(account.rank(), 100)).count();
    assert_eq!(behind, 7);
}

#[test]
fn more_than_was_expected_is_charged_when_it_is_taken_and_nothing_overflows() {
    let mut line = Line::new();
    line.arrive(A, 0);
    line.arrive(A, 0);
    line.begin(10);
    line.serve(0, 25);
    assert_eq!(line.callers.counter(A), Some(25));
    line.serve(0, u64::MAX - 3);
    line.arrive(B, i32::MIN);
    line.arrive(A, i32::MAX);
    line.begin(u64::MAX);
    line.end(0);
    line.end(0);
    assert!(line.whole(0, u64::MAX).is_some() && line.whole(0, 1).is_some());
    assert_eq!(line.callers.len(), 0);
}

#[test]
fn a_forecast_follows_the_callers_own_answers() {
    let mut line = Line::new();
    line.arrive(A, 0);
    line.arrive(B, 0);
    assert_eq!(line.callers.expected_answer(A), 128);
    for _ in 0..40 {
        line.callers.learn_answer(A, 16);
    }
    assert!((15..=18).contains(&line.callers.expected_answer(A)), "{}", line.callers.expected_answer(A));
    assert_eq!(line.callers.expected_answer(B), line.callers.expected_answer(CallerId(9)), "as everybody's");
    line.callers.learn_answer(B, usize::MAX);
    line.callers.learn_answer(B, usize::MAX);
}

#[derive(Debug, Clone)]
enum Operation {
    Arrive { caller: u32, priority: i32 },
    Begin { cost: u64 },
    Serve { which: usize, service: u64 },
    End { which: usize },
    Withdraw { which: usize },
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let one = prop_oneof![
        4 => (0u32..6, -2..3).prop_map(|(caller, priority)| Operation::Arrive { caller, priority }),
        3 => (0u64..200).prop_map(|cost| Operation::Begin { cost }),
        5 => (0usize..20, 0u64..60).prop_map(|(which, service)| Operation::Serve { which, service }),
        3 => (0usize..20).prop_map(|which| Operation::End { which }),
        1 => (0usize..20).prop_map(|which| Operation::Withdraw { which }),
    ];
    prop::collection::vec(one, 0..200)
}

proptest! {
    /// Whatever happens, the books are right, the order within a caller is that of its arrivals, and every request's
    /// turn comes.
    #[test]
    fn the_books_are_right_after_every_operation(operations in operations()) {
        let mut line = Line::new();
        for operation in operations {
            match operation {
                Operation::Arrive { caller, priority } => {
                    line.arrive(CallerId(caller), priority);
                }
                Operation::Begin { cost } => {
                    let first = line.next();
                    line.begin(cost);
                    if let Some((_, rank)) = first {
                        prop_assert_eq!(line.begun[line.begun.len() - 1].rank(), rank);
                    }
                }
                Operation::Serve { which, service } if !line.begun.is_empty() => {
                    line.serve(which % line.begun.len(), service);
                }
                Operation::End { which } if !line.begun.is_empty() => line.end(which % line.begun.len()),
                Operation::Withdraw { which } if !line.waiting.is_empty() => {
                    let (caller, arrival) = line.waiting.remove(which % line.waiting.len());
                    line.callers.withdraw(caller, arrival);
                    line.check();
                }
                _ => {}
            }
        }
        while !line.begun.is_empty() {
            line.end(0);
        }
        while line.whole(7, 5).is_some() {}
        prop_assert!(line.waiting.is_empty() && line.callers.len() == 0);
    }

    /// Two callers that always have more, one request at a time, whatever their requests take and are expected to:
    /// they differ by no more than the largest request was expected to take or took.
    #[test]
    fn callers_that_always_have_more_are_served_alike(takes in prop::collection::vec((1u64..200, 1u64..200), 10..200)) {
        let mut line = Line::new();
        let mut served = [0i64, 0];
        for (service, cost) in takes {
            for caller in [A, B] {
                while line.waiting.iter().filter(|(waits, _)| *waits == caller).count() < 2 {
                    line.arrive(caller, 0);
                }
            }
            let (caller, _) = line.next().unwrap();
            line.whole(cost, service);
            served[usize::from(caller == B)] += service as i64;
            prop_assert!((served[0] - served[1]).abs() <= 200, "{served:?}");
        }
    }
}
