//! Callers that share an engine: who gets how much, and how soon.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::same_bytes::Dice;
use super::support::request;
use crate::engine::EngineOptions;
use crate::engine::request::{Request, RequestId};
use crate::engine::scheduler::Scheduler;
use crate::engine::sequence::{ANSWER_SERVICE, PROMPT_SERVICE};
use crate::engine::step::Verdict;
use crate::fairness::CallerId;

/// What a caller's requests are like: lengths that vary from request to request within these.
#[derive(Debug, Clone)]
struct Habit {
    prompt: (usize, usize),
    /// How many tokens come before the text ends; `max_tokens` is the most of them.
    answer: (usize, usize),
    /// How many of its requests there are at a time.
    at_once: usize,
    /// Steps that pass between the end of one and the next.
    pause: u64,
}

/// A scheduler whose callers send as they are wont to.
struct Load {
    scheduler: Scheduler,
    habits: Vec<Habit>,
    /// Per caller: how many of its requests are there, and the step from which there may be another.
    present: Vec<(usize, u64)>,
    requests: HashMap<RequestId, Progress>,
    /// Per caller: what it was given, as the weights of service count it, without what was found in the cache.
    served: Vec<u64>,
    /// Per caller: steps from a request's arrival to its first token.
    first_tokens: Vec<Vec<u64>>,
    last_id: u64,
    steps: u64,
    dice: Dice,
}

/// A request that is there.
struct Progress {
    caller: usize,
    answer: usize,
    generated: usize,
    arrived: u64,
}

impl Load {
    fn new(options: EngineOptions, habits: Vec<Habit>) -> Self {
        options.validate().unwrap();
        let callers = habits.len();
        Self {
            scheduler: Scheduler::new(options),
            habits,
            present: vec![(0, 0); callers],
            requests: HashMap::new(),
            served: vec![0; callers],
            first_tokens: vec![Vec::new(); callers],
            last_id: 0,
            steps: 0,
            dice: Dice(17),
        }
    }

    fn arrivals(&mut self) {
        for caller in 0..self.habits.len() {
            while self.present[caller].0 < self.habits[caller].at_once && self.present[caller].1 <= self.steps
            {
                self.present[caller].0 += 1;
                self.last_id += 1;
                let (habit, dice) = (&self.habits[caller], &mut self.dice);
                let mut within =
                    |(least, most): (usize, usize)| least + dice.below((most - least + 1) as u64) as usize;
                let (prompt, answer) = (within(habit.prompt), within(habit.answer));
                // No two prompts begin alike: nothing is found in the cache.
                let prompt =
                    (0..prompt as u32).map(|position| 1000 * self.last_id as u32 + position).collect();
                let max_tokens = habit.answer.1;
                let mut request =
                    Request { prompt, caller: CallerId(caller as u32), ..request(0, 1, max_tokens) };
                let id = RequestId(self.last_id);
                self.scheduler.submit(id, &mut request, Duration::ZERO).unwrap();
                self.requests.insert(id, Progress { caller, answer, generated: 0, arrived: self.steps });
            }
        }
    }

    /// Everybody who may sends, and one step is computed.
    fn step(&mut self) {
        self.arrivals();
        self.scheduler.plan(Duration::ZERO);
        let step = self.scheduler.step();
        self.steps += 1;
        let mut judgements = Vec::new();
        let mut over = Vec::new();
        for part in &step.participants {
            let progress = self.requests.get_mut(&part.id).unwrap();
            let first = progress.generated == 0;
            if first {
                self.served[progress.caller] += part.rows as u64 * PROMPT_SERVICE;
            }
            if part.logits == 0 {
                continue;
            }
            if first {
                self.first_tokens[progress.caller].push(self.steps - progress.arrived);
            }
            progress.generated += 1;
            self.served[progress.caller] += ANSWER_SERVICE;
            let last = progress.generated == progress.answer;
            if last {
                over.push(part.id);
            }
            let token = part.id.0 as u32;
            judgements.push(match last {
                true => Verdict::LastToken(token, crate::engine::FinishReason::Stop).into(),
                false => Verdict::Token(token).into(),
            });
        }
        if !self.scheduler.step().is_empty() {
            self.scheduler.commit(Duration::ZERO, &mut judgements);
        }
        for id in over {
            let caller = self.requests.remove(&id).unwrap().caller;
            self.present[caller].0 -= 1;
            self.present[caller].1 = self.steps + self.habits[caller].pause;
        }
        self.scheduler.take_ended().for_each(|(_, outcome)| assert!(outcome.result.is_ok()));
    }

    fn run(&mut self, steps: u64) {
        let end = self.steps + steps;
        while self.steps < end {
            self.step();
        }
    }

    /// Until so many requests of a caller have their first token.
    fn run_until_begun(&mut self, caller: usize, requests: usize) {
        while self.first_tokens[caller].len() < requests {
            assert!(self.steps < 10_000, "it starves");
            self.step();
        }
    }

    /// The mean over a caller's requests of the steps to the first token.
    fn first_token(&self, caller: usize) -> f64 {
        let all = &self.first_tokens[caller];
        all.iter().sum::<u64>() as f64 / all.len() as f64
    }
}

fn busy() -> EngineOptions {
    EngineOptions {
        blocks: 400,
        context_length: 2048,
        max_batch_tokens: 256,
        max_prefill_tokens: 128,
        max_sequences: 16,
        max_queue: 256,
        ..EngineOptions::default()
    }
}

/// The same every time, and so many at once that some always wait.
fn flood(prompt: usize, answer: usize) -> Habit {
    Habit { prompt: (prompt, prompt + 10), answer: (answer, answer + 10), at_once: 40, pause: 0 }
}

#[test]
fn a_light_caller_beside_a_flood_has_its_first_token_as_soon_as_alone() {
    for slots in [2, 4, 8, 32] {
        for (prompt, answer) in [(20, 20), (100, 40)] {
            let options = EngineOptions { max_sequences: slots, ..busy() };
            // A tenth of what the engine can do, while the flood takes all that it is given.
            let pause = (10 * answer / slots) as u64;
            let light = Habit { at_once: 1, pause, ..flood(prompt, answer) };
            let heavy = Habit { answer: (answer / 2, answer + 10), ..flood(prompt, answer) };
            let mut alone = Load::new(options.clone(), vec![light.clone()]);
            alone.run_until_begun(0, 12);
            let mut both = Load::new(options, vec![light, heavy]);
            both.run_until_begun(0, 12);
            let (least, found) = (alone.first_token(0), both.first_token(0));
            assert!(found <= 1.5 * least, "{found} steps, {least} alone, with {slots} sequences");
            let worst = both.first_tokens[0].iter().max().unwrap();
            assert!(*worst <= 3, "{worst} steps at worst with {slots} sequences");
            assert!(
                both.served[1] > 4 * both.served[0] / slots as u64,
                "the flood goes on: {:?}",
                both.served
            );
        }
    }
}

#[test]
fn callers_of_equal_demand_get_equal_service_and_do_not_displace_each_other_in_turn() {
    let uneven = Habit { answer: (1, 80), ..flood(20, 40) };
    let habits = vec![flood(20, 40), flood(20, 40), uneven];
    let mut load = Load::new(EngineOptions { max_sequences: 8, ..busy() }, habits.clone());
    load.run(1500);
    assert_eq!(load.scheduler.stats().preemptions, 0);
    let (least, most) = (load.served.iter().min().unwrap(), load.served.iter().max().unwrap());
    assert!(most - least < least / 50, "{:?}", load.served);
    // The first has the engine for itself before the others come: it gives up to each a third, once.
    let late = habits.into_iter().map(|habit| Habit { at_once: 0, ..habit }).collect();
    let mut load = Load::new(EngineOptions { max_sequences: 9, ..busy() }, late);
    for caller in 0..3 {
        load.habits[caller].at_once = 40;
        load.run(400);
    }
    assert!(load.scheduler.stats().preemptions <= 9, "{}", load.scheduler.stats().preemptions);
}

#[test]
fn a_request_of_low_priority_does_not_starve_behind_ever_new_callers() {
    let options = EngineOptions { max_sequences: 2, service_per_priority: 100, ..busy() };
    let mut scheduler = Scheduler::new(options);
    let submit = |scheduler: &mut Scheduler, id: u64, priority: i32| {
        let mut request = Request { caller: CallerId(id as u32), priority, ..request(1, 10, 3) };
        scheduler.submit(RequestId(id), &mut request, Duration::ZERO).unwrap();
    };
    submit(&mut scheduler, 1, -3);
    let mut steps = 0;
    let ended = loop {
        // Two new callers for every one that can be served.
        steps += 1;
        if steps <= 100 || scheduler.new_len() < 20 {
            submit(&mut scheduler, 2 * steps, 0);
            submit(&mut scheduler, 2 * steps + 1, 0);
        }
        scheduler.plan(Duration::ZERO);
        let mut judgements = scheduler.step().samplers().map(|_| Verdict::Token(1).into()).collect();
        scheduler.commit(Duration::ZERO, &mut judgements);
        if let Some((_, outcome)) = scheduler.take_ended().find(|(id, _)| *id == RequestId(1)) {
            break outcome;
        }
        // Virtual time moves by what is served over those that share it, up to 220 here: three levels are 300.
        assert!(steps < 300 * 220 / 10, "it starves");
    };
    assert!(ended.result.is_ok() && steps > 20, "it was behind others: {steps} steps");
}

prop_compose! {
    fn habit()(
        prompt in 1usize..60, more in 0usize..40, answer in 1usize..40, longer in 0usize..40,
    ) -> Habit {
        Habit { prompt: (prompt, prompt + more), answer: (answer, answer + longer), at_once: 16, pause: 0 }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Callers of whom something always waits: at any time, what they were served differs by no more than what each
    /// may have in the engine at once and one request besides. Nobody's requests are all overtaken.
    #[test]
    fn service_differs_by_no_more_than_what_runs(
        habits in prop::collection::vec(habit(), 2..5),
        slots in 1usize..9,
        blocks in 40usize..200,
    ) {
        let largest = |habit: &Habit| habit.prompt.1 as u64 * PROMPT_SERVICE + habit.answer.1 as u64 * ANSWER_SERVICE;
        let largest = habits.iter().map(largest).max().unwrap();
        let bound = 2 * (slots as u64 + 1) * largest;
        let mut load = Load::new(EngineOptions { max_sequences: slots, blocks, ..busy() }, habits);
        for _ in 0..20 {
            load.run(40);
            let (least, most) = (load.served.iter().min().unwrap(), load.served.iter().max().unwrap());
            prop_assert!(most - least <= bound, "{:?} differ by more than {bound}", load.served);
        }
        load.habits.iter_mut().for_each(|habit| habit.at_once = 0);
        let left = load.requests.len();
        for _ in 0..left * 200 {
            if load.scheduler.has_work() {
                load.step();
            }
        }
        prop_assert!(!load.scheduler.has_work(), "{} requests never end", load.requests.len());
    }
}
