//! The arbiter alone, on a simulated machine whose steps take what they are said to take.

use std::time::Duration;

use proptest::prelude::*;

use crate::fairness::arbiter::{Answer, Arbiter, MachineOptions, MemberId};
use crate::fairness::{Reservation, Served, Share, Speed};

/// An engine of the simulation.
#[derive(Debug, Clone)]
struct Engine {
    share: Share,
    /// How long a step takes, in microseconds, and how many tokens it gives.
    step: u64,
    tokens: u64,
    /// How long it is busy and how long it then has nothing to do, in microseconds; always busy if the latter is 0.
    busy: u64,
    idle: u64,
    /// How long it is outside between two steps, in microseconds.
    outside: u64,
}

fn best_effort(step: u64) -> Engine {
    Engine { share: Share::BestEffort, step, tokens: 10, busy: 0, idle: 0, outside: 0 }
}

/// A reserved engine that gives `tokens` in `step` microseconds.
fn reserved(min: u32, max: u32, step: u64, tokens: u64) -> Engine {
    let speed = Speed { decode: 100, prefill: 1000 };
    Engine { share: Share::Reserved(Reservation { min, max, speed }), tokens, ..best_effort(step) }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Doing {
    /// Has nothing to do, or is outside, until then.
    Away(u64),
    /// Asks, again at that time if it heard one.
    Asks(Option<u64>),
    Computes(u64),
}

struct Machine {
    arbiter: Arbiter,
    engines: Vec<(MemberId, Engine, Doing)>,
    now: u64,
    /// Per engine: tokens given, time computed and time with work, all in microseconds.
    given: Vec<u64>,
    computed: Vec<u64>,
    /// The longest time in which nobody computed although somebody who may asked.
    idled: u64,
}

const SECOND: u64 = 1_000_000;

impl Machine {
    fn new(options: MachineOptions, engines: Vec<Engine>) -> Self {
        let mut arbiter = Arbiter::new(options);
        let count = engines.len();
        let join = |engine: Engine| {
            engine.share.validate().unwrap();
            (arbiter.join(engine.share, Duration::ZERO), engine, Doing::Away(0))
        };
        let engines: Vec<_> = engines.into_iter().map(join).collect();
        Self { engines, arbiter, now: 0, given: vec![0; count], computed: vec![0; count], idled: 0 }
    }

    /// Whether an engine has work: by the clock, or because it is always busy.
    fn works(engine: &Engine, now: u64) -> bool {
        engine.idle == 0 || now % (engine.busy + engine.idle) < engine.busy
    }

    fn time(&self) -> Duration {
        Duration::from_micros(self.now)
    }

    fn ask(&mut self, index: usize) {
        let (id, engine, _) = &self.engines[index];
        let answer = self.arbiter.ask(*id, self.time());
        let doing = match answer {
            Answer::Enter => {
                let inside = self.engines.iter().filter(|(.., doing)| matches!(doing, Doing::Computes(_)));
                let reserved = self.engines.iter().any(|(_, engine, _)| engine.share != Share::BestEffort);
                assert!(!reserved || inside.count() == 0, "two are inside");
                Doing::Computes(self.now + engine.step)
            }
            // Microseconds here, so one more.
            Answer::Wait(until) => Doing::Asks(until.map(|until| until.as_micros() as u64 + 1)),
            Answer::WaitFor(_) => Doing::Asks(None),
        };
        self.engines[index].2 = doing;
        if let Answer::WaitFor(next) = answer {
            let next = self.engines.iter().position(|(other, ..)| *other == next).unwrap();
            self.ask(next);
            assert!(matches!(self.engines[next].2, Doing::Computes(_)), "told to ask, and not let in");
        }
    }

    /// Those that were called ask again.
    fn called(&mut self) {
        let called: Vec<MemberId> = self.arbiter.called().collect();
        for id in called {
            let index = self.engines.iter().position(|(other, ..)| *other == id).unwrap();
            self.ask(index);
        }
    }

    /// Goes on until somebody does something else, or to `end`.
    fn advance(&mut self, end: u64) {
        let next = |doing: Doing| match doing {
            Doing::Away(until) | Doing::Computes(until) => Some(until),
            Doing::Asks(again) => again,
        };
        let at = self
            .engines
            .iter()
            .filter_map(|(.., doing)| next(*doing))
            .min()
            .unwrap_or(end)
            .max(self.now)
            .min(end);
        let computing = self.engines.iter().any(|(.., doing)| matches!(doing, Doing::Computes(_)));
        let asking = self
            .engines
            .iter()
            .any(|(_, engine, doing)| matches!(doing, Doing::Asks(_)) && engine.share == Share::BestEffort);
        self.idled = if asking && !computing { self.idled + at - self.now } else { 0 };
        // Nobody is kept out longer than the grace while nobody computes.
        assert!(self.idled <= 2_002, "idle for {} us while somebody asks", self.idled);
        self.now = at;
        for index in 0..self.engines.len() {
            let (id, engine, doing) = self.engines[index].clone();
            match doing {
                Doing::Computes(until) if until <= self.now => {
                    let more = Self::works(&engine, self.now);
                    self.given[index] += engine.tokens;
                    self.computed[index] += engine.step;
                    let served = Served { prompt: 0, output: engine.tokens };
                    self.arbiter.leave(id, self.time(), served, more);
                    self.engines[index].2 = Doing::Away(self.now + engine.outside);
                    self.called();
                }
                Doing::Away(until) if until <= self.now => {
                    if Self::works(&engine, self.now) {
                        self.ask(index);
                    } else {
                        self.arbiter.withdraw(id, self.time());
                        let cycle = engine.busy + engine.idle;
                        self.engines[index].2 = Doing::Away((self.now / cycle + 1) * cycle);
                        self.called();
                    }
                }
                Doing::Asks(Some(again)) if again <= self.now => self.ask(index),
                _ => {}
            }
        }
    }

    fn run(&mut self, seconds: u64) {
        let end = self.now + seconds * SECOND;
        while self.now < end {
            self.advance(end);
        }
    }

    /// Tokens per second of an engine, over `seconds` from now.
    fn rate(&mut self, index: usize, seconds: u64) -> f64 {
        let before = self.given[index];
        self.run(seconds);
        (self.given[index] - before) as f64 / seconds as f64
    }
}

#[test]
fn a_reservation_of_half_is_attained_under_a_flood_and_the_flood_gets_the_rest() {
    // Alone it gives 1000 tokens/s; it reserves half of that. Others' steps are longer than its own.
    for foreign in [3_000, 20_000, 90_000] {
        let mut machine = Machine::new(
            MachineOptions::default(),
            vec![reserved(500, 1000, 10_000, 10), best_effort(foreign), best_effort(foreign / 2)],
        );
        machine.run(5);
        let (before, rate) = (machine.computed.clone(), machine.rate(0, 60));
        assert!(rate >= 495.0, "{rate} tokens/s beside steps of {foreign} us");
        let others: u64 = (1..3).map(|index| machine.computed[index] - before[index]).sum();
        assert!(others as f64 >= 0.95 * 30.0 * SECOND as f64, "the others computed {others} us of 30 s");
        let each: Vec<u64> = (1..3).map(|index| machine.computed[index] - before[index]).collect();
        assert!(each[0].abs_diff(each[1]) <= 4 * foreign, "by time, not by steps: {each:?}");
        let id = machine.engines[0].0;
        let attained = machine.arbiter.attainment(id, Duration::from_micros(machine.now)).unwrap();
        assert!(
            attained.given >= 0.98 * attained.owed && attained.wanted > 1.9 * attained.owed,
            "{attained:?}"
        );
    }
}

#[test]
fn what_a_reserved_engine_does_not_use_is_the_others_and_it_is_back_at_once() {
    // Ten seconds of work, ten without.
    let half = Engine { busy: 10 * SECOND, idle: 10 * SECOND, ..reserved(800, 1000, 10_000, 10) };
    let mut machine = Machine::new(MachineOptions::default(), vec![half, best_effort(50_000)]);
    machine.run(10);
    assert!(machine.given[0] >= 7_900, "{}", machine.given[0]);
    let before = machine.computed[1];
    machine.run(10);
    assert!(machine.computed[1] - before >= 99 * SECOND / 10, "the whole machine is the others'");
    let rate = machine.rate(0, 1);
    assert!(rate >= 800.0, "{rate} tokens/s in the first second after");
}

#[test]
fn an_engine_that_was_away_does_not_make_up_for_it() {
    let away = Engine { busy: 10 * SECOND, idle: 10 * SECOND, ..best_effort(10_000) };
    let engines = vec![away, best_effort(10_000), reserved(1, 10, 1_000, 1)];
    let mut machine = Machine::new(MachineOptions::default(), engines);
    machine.run(20);
    let before = machine.computed.clone();
    machine.run(1);
    assert!(machine.computed[0] - before[0] >= 450_000 && machine.computed[1] - before[1] >= 450_000);
}

#[test]
fn above_its_maximum_an_engine_waits_on_an_idle_machine() {
    let mut machine = Machine::new(MachineOptions::default(), vec![reserved(100, 300, 10_000, 10)]);
    for second in 1..=20 {
        machine.run(1);
        assert!(machine.given[0] <= 300 * second + 10, "{} tokens in {second} s", machine.given[0]);
        assert!(machine.given[0] >= 300 * second - 10, "{} tokens in {second} s", machine.given[0]);
    }
}

#[test]
fn without_reservations_nobody_waits_for_anybody() {
    let mut arbiter = Arbiter::new(MachineOptions::default());
    let now = Duration::ZERO;
    let [a, b, c] = [(); 3].map(|()| arbiter.join(Share::BestEffort, now));
    assert_eq!((arbiter.ask(a, now), arbiter.ask(b, now)), (Answer::Enter, Answer::Enter));
    // From here on it is one at a time, once those that are inside are out.
    let Share::Reserved(reservation) = reserved(1, 10, 1, 1).share else { panic!() };
    assert!(arbiter.set_share(c, Share::Reserved(reservation), now));
    assert_eq!(arbiter.ask(c, now), Answer::Wait(None));
    arbiter.leave(a, now, Served::default(), false);
    assert_eq!((arbiter.called().count(), arbiter.ask(c, now)), (0, Answer::Wait(None)));
    arbiter.leave(b, now, Served::default(), true);
    assert_eq!(arbiter.called().collect::<Vec<_>>(), [c]);
    assert_eq!(arbiter.ask(c, now), Answer::Enter);
    assert_eq!(arbiter.ask(a, now), Answer::Wait(None));
    // It leaves in the middle of a step, with the last reservation.
    arbiter.part(c);
    assert_eq!(arbiter.called().collect::<Vec<_>>(), [a]);
    assert_eq!((arbiter.ask(a, now), arbiter.ask(b, now)), (Answer::Enter, Answer::Enter));
    assert!(!arbiter.set_share(c, Share::BestEffort, now));
}

#[test]
fn an_engine_that_is_behind_is_waited_for_but_not_long() {
    let mut arbiter = Arbiter::new(MachineOptions::default());
    let at = Duration::from_millis;
    let behind = arbiter.join(reserved(1000, 1000, 1, 1).share, at(0));
    let other = arbiter.join(Share::BestEffort, at(0));
    assert_eq!(arbiter.ask(behind, at(100)), Answer::Enter);
    assert_eq!(arbiter.ask(other, at(101)), Answer::Wait(None));
    arbiter.leave(behind, at(110), Served { prompt: 0, output: 10 }, true);
    assert_eq!(arbiter.called().collect::<Vec<_>>(), [other]);
    assert_eq!(arbiter.ask(other, at(110)), Answer::Wait(Some(at(112))));
    assert_eq!(arbiter.ask(behind, at(111)), Answer::Enter);
    arbiter.leave(behind, at(120), Served { prompt: 0, output: 10 }, true);
    assert_eq!(arbiter.ask(other, at(120)), Answer::Wait(Some(at(122))));
    assert_eq!(arbiter.ask(other, at(122)), Answer::Enter, "it did not come back");
    assert_eq!(arbiter.ask(behind, at(123)), Answer::Wait(None));
    arbiter.leave(other, at(130), Served::default(), true);
    assert_eq!(arbiter.called().collect::<Vec<_>>(), [behind]);
    assert_eq!(arbiter.ask(behind, at(130)), Answer::Enter);
    arbiter.leave(behind, at(140), Served { prompt: 0, output: 500 }, true);
    assert_eq!(arbiter.ask(other, at(140)), Answer::Enter, "it is ahead, and has computed longer");
}

#[test]
fn prompts_count_as_the_output_that_takes_as_long() {
    let speed = Speed { decode: 100, prefill: 1000 };
    assert_eq!(speed.worth(Served { prompt: 50, output: 7 }), 12_000_000_000);
    assert_eq!(speed.worth(Served { prompt: u64::MAX, output: u64::MAX }), u64::MAX);
    let broken = Reservation { min: 2, max: 1, speed };
    for (share, field) in [
        (Share::Reserved(broken), "min"),
        (Share::Reserved(Reservation { max: 0, min: 0, ..broken }), "max"),
        (Share::Reserved(Reservation { max: 2, speed: Speed { prefill: 0, ..speed }, ..broken }), "prefill"),
    ] {
        assert_eq!(share.validate().unwrap_err().param(), Some(field));
    }
}

prop_compose! {
    fn foreign()(step in 500u64..80_000, busy in 0u64..3, idle in 0u64..3, outside in 0u64..1_500) -> Engine {
        let idle = if busy == 0 { 0 } else { idle * 700_000 };
        Engine { busy: busy * 400_000, idle, outside, ..best_effort(step) }
    }
}

prop_compose! {
    /// Reserves `percent` of what it gives alone.
    fn owed(percent: std::ops::Range<u64>)(
        step in 1_000u64..40_000, tokens in 1u64..40, percent in percent, outside in 0u64..300, max in 100u64..200,
    ) -> Engine {
        let alone = tokens * SECOND / (step + outside);
        let min = (alone * percent / 100) as u32;
        let max = ((u64::from(min) * max / 100) as u32).max(1);
        Engine { outside, ..reserved(min.min(max), max, step, tokens) }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Reservations that fit the machine together are attained beside anything, from any second to any other, but for
    /// what a burst bounds; nobody exceeds its maximum by more than a step; and the machine is never idle while a
    /// best-effort engine asks (the simulation checks that, and that never two are inside).
    #[test]
    fn reservations_are_attained_and_never_exceeded(
        first in owed(5..50),
        second in owed(1..35),
        others in prop::collection::vec(foreign(), 0..4),
    ) {
        let engines = [vec![first.clone(), second.clone()], others.clone()].concat();
        let longest = engines.iter().map(|engine| engine.step + engine.outside).max().unwrap();
        let mut machine = Machine::new(MachineOptions::default(), engines);
        let mut given = vec![[0, 0]];
        for second in 1..=30 {
            machine.run(1);
            given.push([machine.given[0], machine.given[1]]);
            let _ = second;
        }
        for (index, engine) in [&first, &second].into_iter().enumerate() {
            let Share::Reserved(Reservation { min, max, .. }) = engine.share else { unreachable!() };
            // Behind others' steps that were begun, and the other reserved one's that is further behind.
            let late = u64::from(min) * 2 * longest / SECOND + 2 * engine.tokens;
            for from in 0..given.len() {
                for to in from + 1..given.len() {
                    let (got, seconds) = (given[to][index] - given[from][index], (to - from) as u64);
                    prop_assert!(got + late >= u64::from(min) * seconds, "{got} of {min} in {seconds} s, late {late}");
                    let burst = if from == 0 { 0 } else { 2 };
                    let most = u64::from(max) * (seconds + burst) + 2 * engine.tokens;
                    prop_assert!(got <= most, "{got} of {max} in {seconds} s");
                }
            }
        }
    }

    /// Engines without reservations that always have work compute for equally long beside a small reservation.
    #[test]
    fn the_rest_is_shared_by_time(steps in prop::collection::vec(500u64..80_000, 2..5)) {
        let engines = steps.iter().map(|step| best_effort(*step));
        let engines = engines.chain([reserved(100, 100, 1_000, 10)]).collect();
        let mut machine = Machine::new(MachineOptions::default(), engines);
        machine.run(20);
        let computed = &machine.computed[..steps.len()];
        let (least, most) = (computed.iter().min().unwrap(), computed.iter().max().unwrap());
        prop_assert!(most - least <= 2 * steps.iter().max().unwrap(), "{computed:?} with steps of {steps:?}");
        let all: u64 = machine.computed.iter().sum();
        prop_assert!(all + 200_000 >= 20 * SECOND, "the machine was idle for {} us", 20 * SECOND - all);
    }
}
