//! The machine that engines share, and each engine's gate to it: the arbiter with a clock, a lock and a bell.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, after, bounded, never, select};
use parking_lot::Mutex;

use super::arbiter::{Answer, Arbiter, MachineOptions, MemberId};
use super::share::{Attainment, Served, Share};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<Inner>,
}

struct Inner {
    arbiter: Arbiter,
    /// Rung when an engine should ask again. They hold one ring: more of them say no more.
    bells: HashMap<MemberId, Sender<()>>,
}

impl Shared {
    /// Changes something and rings for those whose turn it may have become.
    fn change<T>(&self, change: impl FnOnce(&mut Arbiter, Duration) -> T) -> T {
        let now = self.clock.monotonic();
        let mut inner = self.state.lock();
        let result = change(&mut inner.arbiter, now);
        inner.arbiter.called().for_each(|member| inner.ring(member));
        result
    }
}

impl Inner {
    fn ring(&self, member: MemberId) {
        if let Some(bell) = self.bells.get(&member) {
            // A full one rings already; one without a listener belongs to an engine that is going.
            let _ = bell.try_send(());
        }
    }
}

/// A machine that several engines compute on. Handles of one machine are clones of each other.
#[derive(Clone)]
pub struct Machine {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").finish_non_exhaustive()
    }
}

impl Machine {
    /// A machine without engines.
    pub fn new(clock: Arc<dyn Clock>, options: MachineOptions) -> Self {
        let inner = Inner { arbiter: Arbiter::new(options), bells: HashMap::new() };
        Self { shared: Arc::new(Shared { clock, state: Mutex::new(inner) }) }
    }

    /// Adds an engine, which is to be started with the gate. It leaves when it ends.
    ///
    /// # Errors
    /// A [reservation](Share::validate) that contradicts itself. Whether the machine can keep it is not checked here.
    pub fn join(&self, share: Share) -> Result<Gate> {
        share.validate()?;
        let (bell, rings) = bounded(1);
        let now = self.shared.clock.monotonic();
        let mut inner = self.shared.state.lock();
        let member = inner.arbiter.join(share, now);
        inner.bells.insert(member, bell);
        drop(inner);
        Ok(Gate { shared: Arc::clone(&self.shared), member, rings })
    }

    /// Gives an engine another share from now on.
    ///
    /// # Errors
    /// A reservation that contradicts itself, or an engine that has ended ([`ErrorKind::NotFound`]).
    pub fn set_share(&self, member: MemberId, share: Share) -> Result<()> {
        share.validate()?;
        if self.shared.change(|arbiter, now| arbiter.set_share(member, share, now)) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NotFound, "the engine whose share is to be changed has ended"))
    }

    /// What an engine was owed and given lately; `None` once it has ended.
    pub fn attainment(&self, member: MemberId) -> Option<Attainment> {
        let now = self.shared.clock.monotonic();
        self.shared.state.lock().arbiter.attainment(member, now)
    }
}

/// One engine's gate to its machine.
pub struct Gate {
    shared: Arc<Shared>,
    member: MemberId,
    rings: Receiver<()>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("member", &self.member).finish_non_exhaustive()
    }
}

impl Gate {
    /// Which of the machine's engines it is for.
    pub fn member(&self) -> MemberId {
        self.member
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shared.state.lock().bells.remove(&self.member);
        self.shared.change(|arbiter, _| arbiter.part(self.member));
    }
}

/// What an engine hears at the entrance.
pub(crate) enum Entry {
    /// It may compute one step.
    Open(Pass),
    /// It has to wait, at most so long.
    Wait(Option<Duration>),
}

/// Where an engine's thread asks for the machine: a gate, or nothing that would ever stop it.
pub(crate) struct Entrance(Option<Gate>);

impl Entrance {
    pub(crate) fn new(gate: Option<Gate>) -> Self {
        Self(gate)
    }

    /// Asks to compute a step.
    pub(crate) fn ask(&self) -> Entry {
        let Some(gate) = &self.0 else { return Entry::Open(Pass(None)) };
        let now = gate.shared.clock.monotonic();
        let mut inner = gate.shared.state.lock();
        match inner.arbiter.ask(gate.member, now) {
            Answer::Enter => Entry::Open(Pass(Some((Arc::clone(&gate.shared), gate.member)))),
            Answer::Wait(until) => Entry::Wait(until.map(|until| until.saturating_sub(now))),
            Answer::WaitFor(next) => {
                inner.ring(next);
                Entry::Wait(None)
            }
        }
    }

    /// Waits until it is worth asking again, or until there is mail.
    pub(crate) fn wait<M>(&self, mail: &Receiver<M>, at_most: Option<Duration>) -> Option<M> {
        let Gate { rings, .. } = self.0.as_ref()?;
        let timer = at_most.map_or_else(never, after);
        select! {
            recv(mail) -> message => match message {
                Ok(message) => return Some(message),
                // There will be no more of it, and so nothing else to wait for.
                Err(_) => select! { recv(rings) -> _ => {}, recv(timer) -> _ => {} },
            },
            recv(rings) -> _ => {}
            recv(timer) -> _ => {}
        }
        None
    }

    /// Says that there is nothing to compute any more.
    pub(crate) fn withdraw(&self) {
        if let Some(gate) = &self.0 {
            gate.shared.change(|arbiter, now| arbiter.withdraw(gate.member, now));
        }
    }
}

/// The machine, for one step. Dropped, as by a panic, it is given back as if nothing had been done.
#[must_use]
pub(crate) struct Pass(Option<(Arc<Shared>, MemberId)>);

impl Pass {
    /// Gives the machine back, with what was served and whether there is more to do.
    pub(crate) fn give_back(mut self, served: Served, more: bool) {
        if let Some((shared, member)) = self.0.take() {
            shared.change(|arbiter, now| arbiter.leave(member, now, served, more));
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some((shared, member)) = self.0.take() {
            shared.change(|arbiter, now| arbiter.leave(member, now, Served::default(), false));
        }
    }
}
