//! Which engine computes next where several share a machine: a pure state machine; time is passed in.
//!
//! While any engine has a reservation, one engine computes at a time, a step each; without one nobody waits. Who goes
//! next of those that ask:
//! 1. The reserved engine that is furthest behind what it is owed. What it is owed collects in a bucket at its minimum
//!    rate, up to a burst, and every step takes from it what it was worth. So much of the machine is its own.
//! 2. Else whoever computed for the least time, reserved engines ahead of their minimum among them: start-time fair
//!    queuing by time, where one that comes or comes back starts level with those that are there.
//!
//! A reserved engine that has had its maximum does not go at all until a second bucket allows it, even if the machine
//! stands idle. An engine that goes out of a step and has more to do is waited for, for a moment, if it is its turn
//! again: else whoever happens to stand at the gate would slip in at every step, and a long step of another engine
//! would cost as much as a short one.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::share::{Attainment, Served, Share};
use super::window::{Window, nanos};

/// Names an engine among those of one machine; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberId(u64);

/// How patient a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineOptions {
    /// What an engine did not take of its minimum, or of its maximum, it may catch up with later: so much of it. It
    /// must be longer than any one step of another engine.
    pub burst: Duration,
    /// How long an engine is waited for that has more to do.
    pub grace: Duration,
    /// The time that [`Attainment`] is about.
    pub window: Duration,
}

impl Default for MachineOptions {
    fn default() -> Self {
        Self {
            burst: Duration::from_secs(2),
            grace: Duration::from_millis(2),
            window: Duration::from_secs(60),
        }
    }
}

/// The answer to an engine that asks to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It computes.
    Enter,
    /// It waits until it is told, or until then, and asks again.
    Wait(Option<Duration>),
    /// The same; and this one, whose turn has come by the mere passing of time, is to be told to ask.
    WaitFor(MemberId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It has nothing to do.
    Absent,
    Waiting,
    /// Since then.
    Inside(Duration),
    /// It has more to do and is expected until then.
    Returning(Duration),
}

/// An amount that grows with time, up to a bound, and shrinks with service: in billionths of a token.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    rate: u32,
    level: i64,
}

impl Bucket {
    fn fill(&mut self, elapsed: u64, burst: u64) {
        let grown = i128::from(self.level) + i128::from(self.rate) * i128::from(elapsed);
        let most = i128::from(self.rate) * i128::from(burst);
        self.level = i64::try_from(grown.min(most.max(i128::from(self.level)))).unwrap_or(i64::MAX);
    }

    /// How long it takes until there is something in it.
    fn until_some(&self) -> Duration {
        let missing = self.level.saturating_neg().saturating_add(1).max(0).unsigned_abs();
        Duration::from_nanos(missing.div_ceil(u64::from(self.rate.max(1))))
    }
}

#[derive(Debug)]
struct Member {
    share: Share,
    state: State,
    /// The time it computed for, in nanoseconds, on the scale of those that compete.
    time: u64,
    /// Whether it wants to go and may: one that has nothing to do, or has had its maximum, does not fall behind.
    competes: bool,
    /// What it is behind its minimum; below nothing by a step at most.
    owed: Bucket,
    /// What its maximum leaves it.
    allowed: Bucket,
    /// The buckets are as of then.
    updated: Duration,
    window: Window,
}

impl Member {
    fn new(share: Share, options: &MachineOptions, now: Duration) -> Self {
        let (min, max) = share.reservation().map_or((0, 0), |reservation| (reservation.min, reservation.max));
        Self {
            share,
            state: State::Absent,
            time: 0,
            competes: false,
            owed: Bucket { rate: min, level: 0 },
            // Something, so that a new engine may go at once.
            allowed: Bucket { rate: max, level: 1 },
            updated: now,
            window: Window::new(options.window, now),
        }
    }

    fn update(&mut self, options: &MachineOptions, now: Duration) {
        let busy_until = match self.state {
            State::Absent => self.updated,
            State::Returning(until) => until.min(now),
            State::Waiting | State::Inside(_) => now,
        };
        let busy = nanos(busy_until.saturating_sub(self.updated));
        if busy > 0 {
            let computing = matches!(self.state, State::Inside(_));
            self.window.busy(now, busy, computing, u64::from(self.owed.rate).saturating_mul(busy));
        }
        let elapsed = nanos(now.saturating_sub(self.updated));
        self.owed.fill(elapsed, nanos(options.burst));
        self.allowed.fill(elapsed, nanos(options.burst));
        self.updated = self.updated.max(now);
        if let State::Returning(until) = self.state
            && until <= now
        {
            self.state = State::Absent;
            self.competes = false;
        }
    }

    fn may_go(&self) -> bool {
        self.share == Share::BestEffort || self.allowed.level > 0
    }

    /// Less goes first: those behind, the furthest in time before the others, then by the time computed. Of
    /// equals, one that is there goes before one that is only expected.
    fn order(&self) -> (bool, Reverse<i64>, u64, bool) {
        let behind = self.owed.level > 0;
        // A rate of 0 collects nothing, so nobody is behind it.
        let by = if behind { self.owed.level / i64::from(self.owed.rate.max(1)) } else { 0 };
        (!behind, Reverse(by), self.time, self.state != State::Waiting)
    }
}

/// The engines of one machine.
#[derive(Debug)]
pub(crate) struct Arbiter {
    options: MachineOptions,
    members: BTreeMap<MemberId, Member>,
    last_id: u64,
    inside: usize,
    reserved: usize,
}

impl Arbiter {
    pub(crate) fn new(options: MachineOptions) -> Self {
        Self { options, members: BTreeMap::new(), last_id: 0, inside: 0, reserved: 0 }
    }

    /// Adds an engine that has nothing to do yet.
    pub(crate) fn join(&mut self, share: Share, now: Duration) -> MemberId {
        self.last_id += 1;
        let id = MemberId(self.last_id);
        self.members.insert(id, Member::new(share, &self.options, now));
        self.count_reserved();
        id
    }

    /// Gives an engine another share, with nothing owed from the one before. `false`: there is no such engine.
    pub(crate) fn set_share(&mut self, id: MemberId, share: Share, now: Duration) -> bool {
        self.update(now);
        let time = self.level();
        let Some(member) = self.members.get_mut(&id) else { return false };
        *member = Member { state: member.state, time, ..Member::new(share, &self.options, now) };
        self.count_reserved();
        self.enlist();
        true
    }

    /// Removes an engine, whatever it is at.
    pub(crate) fn part(&mut self, id: MemberId) {
        if let Some(Member { state: State::Inside(_), .. }) = self.members.remove(&id) {
            self.inside -= 1;
        }
        self.count_reserved();
    }

    fn count_reserved(&mut self) {
        self.reserved = self.members.values().filter(|member| member.share != Share::BestEffort).count();
    }

    /// Where an engine starts that begins to compete: level with the competitor that computed for the least time or, if
    /// there is none, with whoever did for the most.
    fn level(&self) -> u64 {
        let least = self.members.values().filter(|member| member.competes).map(|member| member.time).min();
        least.or_else(|| self.members.values().map(|member| member.time).max()).unwrap_or(0)
    }

    fn update(&mut self, now: Duration) {
        for member in self.members.values_mut() {
            member.update(&self.options, now);
        }
        self.enlist();
    }

    /// Lets those compete that want to go and may again.
    fn enlist(&mut self) {
        let level = self.level();
        for member in self.members.values_mut() {
            if !member.competes && member.state != State::Absent && member.may_go() {
                member.competes = true;
                member.time = member.time.max(level);
            }
        }
    }

    /// An engine wants to compute a step, or still wants to.
    pub(crate) fn ask(&mut self, id: MemberId, now: Duration) -> Answer {
        self.update(now);
        let Some(member) = self.members.get_mut(&id) else { return Answer::Enter };
        member.state = State::Waiting;
        let allowed_at = (!member.may_go()).then(|| now + member.allowed.until_some());
        self.enlist();
        let next = if self.reserved == 0 { Some((id, State::Waiting)) } else { self.next(true) };
        match next {
            Some((next, _)) if next == id => {
                self.inside += 1;
                if let Some(member) = self.members.get_mut(&id) {
                    member.state = State::Inside(now);
                }
                Answer::Enter
            }
            _ if allowed_at.is_some() => Answer::Wait(allowed_at),
            Some((_, State::Returning(until))) => Answer::Wait(Some(until)),
            Some((next, _)) => Answer::WaitFor(next),
            // It is told when the one inside goes out, or is allowed to go itself.
            None => Answer::Wait(None),
        }
    }

    /// Who goes next, while nobody is inside. `returning`: those count too that are only expected.
    fn next(&self, returning: bool) -> Option<(MemberId, State)> {
        let candidates = self.members.iter().filter(|(_, member)| match member.state {
            State::Waiting => member.may_go(),
            State::Returning(_) => returning && member.may_go(),
            State::Absent | State::Inside(_) => false,
        });
        let first = candidates.min_by_key(|(_, member)| member.order());
        first.filter(|_| self.inside == 0).map(|(id, member)| (*id, member.state))
    }

    /// An engine does not want to compute any more.
    pub(crate) fn withdraw(&mut self, id: MemberId, now: Duration) {
        self.update(now);
        if let Some(member) = self.members.get_mut(&id)
            && !matches!(member.state, State::Inside(_))
        {
            member.state = State::Absent;
            member.competes = false;
        }
    }

    /// An engine gives the machine back after a step, and says whether it has more to do.
    pub(crate) fn leave(&mut self, id: MemberId, now: Duration, served: Served, more: bool) {
        self.update(now);
        let Some(member) = self.members.get_mut(&id) else { return };
        let State::Inside(since) = member.state else { return };
        self.inside -= 1;
        member.time = member.time.saturating_add(nanos(now.saturating_sub(since)));
        if let Some(reservation) = member.share.reservation() {
            let worth = reservation.speed.worth(served);
            let taken = i64::try_from(worth).unwrap_or(i64::MAX);
            // What it took while nobody needed it does not put it behind: it is ahead by one step at most.
            member.owed.level = member.owed.level.max(0).saturating_sub(taken);
            member.allowed.level = member.allowed.level.saturating_sub(taken);
            member.window.give(now, worth);
        }
        member.state = if more { State::Returning(now + self.options.grace) } else { State::Absent };
        member.competes = more && member.may_go();
    }

    /// Those that wait and have to be told to ask again, after anything has changed.
    pub(crate) fn called(&self) -> impl Iterator<Item = MemberId> + '_ {
        let next = if self.reserved == 0 { None } else { self.next(false) };
        let everybody = self.reserved == 0;
        let waiting = self.members.iter().filter(|(_, member)| member.state == State::Waiting);
        waiting.map(|(id, _)| *id).filter(move |id| everybody || next.is_some_and(|(next, _)| next == *id))
    }

    /// What an engine was owed and given not long ago.
    pub(crate) fn attainment(&mut self, id: MemberId, now: Duration) -> Option<Attainment> {
        self.update(now);
        self.members.get(&id).map(|member| member.window.attainment(now))
    }
}
