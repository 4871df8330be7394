//! Whose request goes next: virtual token counters over the callers of one engine.
//!
//! Every caller has a counter of the service it was given (Sheng et al., "Fairness in Serving Large Language Models",
//! 2024). The caller whose counter is least goes next, and its counter is charged at once with what the request is
//! expected to take; what it really took replaces that when it ends, so that an error of the forecast moves only what
//! comes later. The counter at a request's beginning is its start tag (Goyal, Vin and Cheng, "Start-time Fair Queuing",
//! 1996) and gives it a [`Rank`] among all that have begun, which never changes.
//!
//! A caller that comes, or comes back, starts at the virtual time: idling earns nothing, and whoever has been served
//! all the while is not set back. Virtual time moves when requests end, by their service over the number of callers
//! that have any. While one caller alone fills an engine its later requests so stand far ahead of virtual time, and a
//! caller that comes then stands before most of them.
//!
//! Among the requests of one caller the order is that of their arrival, where a level of priority is worth an amount
//! of service of the whole engine. A caller alone is served in just that order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Names a caller within one engine: those of one number share what the others of their class leave them. The default
/// is for requests of which nobody says whose they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallerId(pub u32);

/// A request's standing among those of its caller: less is better, and it never changes. No two are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrival {
    /// The service of the engine when the request came, less what its priority is worth.
    at: i64,
    id: u64,
}

impl Arrival {
    /// The number that the request came with.
    pub(crate) fn id(self) -> u64 {
        self.id
    }

    /// As if the request had come when so much more service had been given.
    pub(crate) fn after(self, service: u64) -> Self {
        Self { at: self.at.saturating_add(signed(service)), ..self }
    }
}

/// A request's standing among all that have begun and all whose caller's next they are: less is better. No two are
/// equal. It is fixed when the request begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// The start tag, less what the priority is worth.
    key: i64,
    arrival: Arrival,
}

impl Rank {
    pub(crate) fn arrival(self) -> Arrival {
        self.arrival
    }

    /// Whether it stands before another by at least so much service.
    pub(crate) fn leads(self, other: Self, service: u64) -> bool {
        self.key.saturating_add(signed(service)) <= other.key
    }
}

/// What a request that has begun and not ended has taken, and what its caller's counter says of it.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    caller: CallerId,
    rank: Rank,
    charged: u64,
    served: u64,
}

impl Account {
    pub(crate) fn rank(&self) -> Rank {
        self.rank
    }

    /// What the request has taken.
    pub(crate) fn served(&self) -> u64 {
        self.served
    }

    /// What the request was expected to take or, once that is more, what it has taken.
    pub(crate) fn charged(&self) -> u64 {
        self.charged
    }
}

/// One caller that waits, is served, or was served more than its share not long ago.
#[derive(Debug, Clone, Default)]
struct Caller {
    /// The service of its ended requests, on the scale of virtual time.
    done: u64,
    /// What its begun requests are charged with.
    pledged: u64,
    /// Its requests that have not begun, with what their priority is worth.
    waiting: BTreeMap<Arrival, i64>,
    /// Its requests that have begun, with the keys of their ranks. Both grow together.
    begun: BTreeMap<Arrival, i64>,
    /// The rank of the first that waits, as it is in the line.
    head: Option<Rank>,
    answers: Option<Mean>,
}

impl Caller {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.begun.is_empty()
    }

    /// The start tag of its next request.
    fn counter(&self) -> u64 {
        self.done.saturating_add(self.pledged)
    }

    /// The rank of its first waiting request if it began now: by the counter, but never out of the order of arrival,
    /// which a counter that was charged too much could upset by falling back.
    fn next(&self) -> Option<Rank> {
        let (&arrival, &lead) = self.waiting.first_key_value()?;
        let mut key = signed(self.counter()).saturating_sub(lead);
        if let Some((_, &before)) = self.begun.range(..arrival).next_back() {
            key = key.max(before);
        }
        if let Some((_, &behind)) = self.begun.range(arrival..).next() {
            key = key.min(behind);
        }
        Some(Rank { key, arrival })
    }
}

/// The callers of one engine and the order among them.
#[derive(Debug, Clone)]
pub(crate) struct Callers {
    service_per_priority: u32,
    callers: HashMap<CallerId, Caller>,
    /// The first waiting request of every caller that has one.
    line: BTreeMap<Rank, CallerId>,
    /// Callers without requests whose counters are ahead of virtual time; all others of them are forgotten.
    idle: BTreeSet<(u64, CallerId)>,
    virtual_time: u64,
    /// Service that is too little to move virtual time.
    rest: u64,
    /// All the service given.
    service: u64,
    answers: Mean,
}

impl Callers {
    /// No callers; a level of priority is worth so much service.
    pub(crate) fn new(service_per_priority: u32) -> Self {
        Self {
            service_per_priority,
            callers: HashMap::new(),
            line: BTreeMap::new(),
            idle: BTreeSet::new(),
            virtual_time: 0,
            rest: 0,
            service: 0,
            answers: Mean::of(UNKNOWN_ANSWER),
        }
    }

    /// Takes in a request that comes now.
    pub(crate) fn arrive(&mut self, caller: CallerId, id: u64, priority: i32) -> Arrival {
        let arrival = Arrival { at: signed(self.service).saturating_sub(self.lead(priority)), id };
        self.wait(caller, arrival, priority);
        arrival
    }

    /// Takes in a request with a given standing among those of its caller, which no other of them has.
    pub(crate) fn wait(&mut self, caller: CallerId, arrival: Arrival, priority: i32) {
        let lead = self.lead(priority);
        let virtual_time = self.virtual_time();
        let state = self.callers.entry(caller).or_default();
        if state.is_idle() {
            self.idle.remove(&(state.done, caller));
        }
        if state.waiting.is_empty() {
            // It has asked for nothing that it was not given: what it did not take is not kept for it.
            state.done = state.done.max(virtual_time.saturating_sub(state.pledged));
        }
        state.waiting.insert(arrival, lead);
        self.enroll(caller);
    }

    fn lead(&self, priority: i32) -> i64 {
        i64::from(priority).saturating_mul(i64::from(self.service_per_priority))
    }

    /// Where the counter of a caller that comes now begins: no later than that of the waiting caller that has been
    /// served least, unless that one is held back by its priority.
    fn virtual_time(&self) -> u64 {
        let waiting = self.line.values().filter_map(|caller| self.callers.get(caller));
        let least = waiting.map(|caller| caller.done).min();
        self.virtual_time.max(least.unwrap_or(0))
    }

    /// Puts the caller's first waiting request where it now stands in the line.
    fn enroll(&mut self, caller: CallerId) {
        let Some(state) = self.callers.get_mut(&caller) else { return };
        let next = state.next();
        if state.head == next {
            return;
        }
        if let Some(old) = std::mem::replace(&mut state.head, next) {
            self.line.remove(&old);
        }
        if let Some(new) = next {
            self.line.insert(new, caller);
        }
    }

    /// The request that goes next of those that have not begun, and its caller.
    pub(crate) fn first(&self) -> Option<(Rank, CallerId)> {
        self.line.first_key_value().map(|(rank, caller)| (*rank, *caller))
    }

    /// Begins a request of those that wait, as a rule its caller's first, that is expected to take `cost`.
    pub(crate) fn begin(&mut self, caller: CallerId, rank: Rank, cost: u64) -> Account {
        // A request that takes nothing could be followed by any number of others before anybody else's.
        let charged = cost.max(1);
        if let Some(state) = self.callers.get_mut(&caller) {
            debug_assert_eq!(state.next(), Some(rank));
            state.waiting.remove(&rank.arrival);
            state.begun.insert(rank.arrival, rank.key);
            state.pledged = state.pledged.saturating_add(charged);
        }
        self.enroll(caller);
        Account { caller, rank, charged, served: 0 }
    }

    /// Counts service that a request was given.
    pub(crate) fn serve(&mut self, account: &mut Account, service: u64) {
        self.service = self.service.saturating_add(service);
        account.served = account.served.saturating_add(service);
        let beyond = account.served.saturating_sub(account.charged);
        if beyond > 0 {
            account.charged = account.served;
            if let Some(state) = self.callers.get_mut(&account.caller) {
                state.pledged = state.pledged.saturating_add(beyond);
            }
            self.enroll(account.caller);
        }
    }

    /// Ends a request that has begun: its caller is charged with what it took.
    pub(crate) fn end(&mut self, account: &Account) {
        let Account { caller, rank, charged, served } = *account;
        if let Some(state) = self.callers.get_mut(&caller) {
            state.begun.remove(&rank.arrival);
            state.pledged = state.pledged.saturating_sub(charged);
            state.done = state.done.saturating_add(served);
        }
        let active = (self.callers.len() - self.idle.len()).max(1) as u64;
        self.rest = self.rest.saturating_add(served);
        self.virtual_time = self.virtual_time.saturating_add(self.rest / active);
        self.rest %= active;
        self.enroll(caller);
        self.forget(caller);
    }

    /// Takes out a request that has not begun and never will.
    pub(crate) fn withdraw(&mut self, caller: CallerId, arrival: Arrival) {
        if let Some(state) = self.callers.get_mut(&caller) {
            state.waiting.remove(&arrival);
        }
        self.enroll(caller);
        self.forget(caller);
    }

    /// Forgets every caller that would begin at virtual time if it came again, after `caller` had a request less.
    fn forget(&mut self, caller: CallerId) {
        if let Some(state) = self.callers.get(&caller)
            && state.is_idle()
        {
            self.idle.insert((state.done, caller));
        }
        if self.idle.len() == self.callers.len()
            && let Some((most, _)) = self.idle.last()
        {
            // Nobody has anything to do: whoever comes next, nobody is behind anybody.
            self.virtual_time = self.virtual_time.max(*most);
        }
        while let Some(&(done, caller)) = self.idle.first()
            && done <= self.virtual_time
        {
            self.idle.pop_first();
            self.callers.remove(&caller);
        }
    }

    /// How long the next answer of a caller is expected to be, in tokens: as its last ones were, or everybody's.
    pub(crate) fn expected_answer(&self, caller: CallerId) -> usize {
        let own = self.callers.get(&caller).and_then(|state| state.answers);
        own.unwrap_or(self.answers).tokens()
    }

    /// Takes up how long an answer of a caller was.
    pub(crate) fn learn_answer(&mut self, caller: CallerId, tokens: usize) {
        let all = self.answers;
        self.answers.add(tokens);
        if let Some(state) = self.callers.get_mut(&caller) {
            state.answers.get_or_insert(all).add(tokens);
        }
    }

    /// Checks what must hold between any two operations. `waiting` and `begun` are the requests as the engine has them.
    ///
    /// # Errors
    /// The first thing that does not hold, in words.
    #[cfg(any(debug_assertions, test, fuzzing))]
    pub(crate) fn validate<'a>(
        &self,
        waiting: impl Iterator<Item = (CallerId, Arrival)>,
        begun: impl Iterator<Item = &'a Account>,
    ) -> Result<(), String> {
        let mut found: HashMap<CallerId, Caller> = HashMap::new();
        for (caller, arrival) in waiting {
            found.entry(caller).or_default().waiting.insert(arrival, 0);
        }
        for account in begun {
            let state = found.entry(account.caller).or_default();
            state.begun.insert(account.rank.arrival, account.rank.key);
            state.pledged += account.charged;
            if account.served > account.charged {
                return Err(format!("{account:?} was charged too little"));
            }
        }
        for (caller, state) in &self.callers {
            let found = found.remove(caller).unwrap_or_default();
            if !state.waiting.keys().eq(found.waiting.keys()) {
                return Err(format!("{caller:?} waits with {:?}, not {:?}", state.waiting, found.waiting));
            }
            if state.begun != found.begun || state.pledged != found.pledged {
                return Err(format!("{caller:?} has begun {:?}, not {:?}", state.begun, found.begun));
            }
            if !state.begun.values().is_sorted() {
                return Err(format!("{caller:?} is served out of its order: {:?}", state.begun));
            }
            if state.head != state.next()
                || state.head.is_some_and(|rank| self.line.get(&rank) != Some(caller))
            {
                return Err(format!("{caller:?} does not stand in line as {:?}", state.next()));
            }
            let ahead = state.done > self.virtual_time && self.idle.contains(&(state.done, *caller));
            if state.is_idle() != ahead {
                return Err(format!("{caller:?} is idle and ahead: {ahead}, with {state:?}"));
            }
        }
        let heads = self.callers.values().filter(|state| state.head.is_some()).count();
        let idle = self.callers.values().filter(|state| state.is_idle()).count();
        if !found.is_empty() || heads != self.line.len() || idle != self.idle.len() {
            return Err(format!("unknown callers: {found:?}, {:?}, {:?}", self.line, self.idle));
        }
        Ok(())
    }

    /// How many callers are remembered.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.callers.len()
    }

    /// The counter of a caller: all that it was served or is charged with, on the scale of virtual time.
    #[cfg(test)]
    pub(crate) fn counter(&self, caller: CallerId) -> Option<u64> {
        self.callers.get(&caller).map(Caller::counter)
    }
}

/// The tokens of an answer before any has ended.
const UNKNOWN_ANSWER: usize = 128;

/// A running mean in which each number weighs an eighth: in sixteenths of a token.
#[derive(Debug, Clone, Copy)]
struct Mean(u64);

impl Mean {
    fn of(tokens: usize) -> Self {
        Self((tokens as u64).saturating_mul(16))
    }

    fn add(&mut self, tokens: usize) {
        self.0 = (self.0 - self.0 / 8).saturating_add((tokens as u64).saturating_mul(2));
    }

    fn tokens(self) -> usize {
        self.0.div_ceil(16) as usize
    }
}

fn signed(service: u64) -> i64 {
    i64::try_from(service).unwrap_or(i64::MAX)
}
