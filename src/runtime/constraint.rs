//! What the next token of a choice may be: after reasoning whose length is limited, what its grammar allows.
//!
//! Sets of tokens are computed on a thread of their own while the engine computes the step that they are for. Where one
//! is not ready in time, that choice waits for it and nobody else does.

use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;

use crate::engine::{Allowed, Waker};
use crate::error::{Error, ErrorKind, Result};
use crate::grammar::{GrammarError, Matcher};
use crate::mailbox::{Mailbox, guarded};

/// So long the engine waits for a set that is not ready: waking it later costs about as much.
const PATIENCE: Duration = Duration::from_micros(100);

/// Computes the sets of one model's answers, one after the other. Its thread begins with the first answer of a form; when
/// this is dropped it is joined, whoever may still wait for a set.
#[derive(Default)]
pub(super) struct MaskThread(Mutex<Option<Mailbox<Message>>>);

enum Message {
    Compute(Job),
    Close,
}

struct Job {
    matcher: Box<Matcher>,
    drafts: Vec<u32>,
    waker: Waker,
    done: Sender<Done>,
}

/// A matcher as it was, the set of tokens that may follow, and those after each of the drafts that are in it.
type Done = (Box<Matcher>, Result<Vec<Vec<u32>>, GrammarError>);

impl MaskThread {
    fn start(&self) -> Result<Sender<Message>> {
        let mut known = self.0.lock();
        if let Some(mailbox) = &*known {
            return Ok(mailbox.sender());
        }
        let mailbox = Mailbox::start("mr-grammar", |jobs| jobs, |_| Ok(()), Self::run)?;
        Ok(known.insert(mailbox).sender())
    }

    fn run(jobs: Receiver<Message>) {
        for message in jobs {
            let Message::Compute(Job { mut matcher, drafts, waker, done }) = message else { return };
            let sets = guarded(|| sets(&mut matcher, &drafts)).unwrap_or_else(|reason| {
                Err(GrammarError::Engine { reason: format!("it panicked: {reason}") })
            });
            // Nobody waits for a choice that has ended meanwhile.
            if done.send((matcher, sets)).is_ok() {
                waker.wake();
            }
        }
    }
}

impl Drop for MaskThread {
    fn drop(&mut self) {
        if let Some(mailbox) = self.0.get_mut() {
            mailbox.send(Message::Close);
            mailbox.join();
        }
    }
}

fn sets(matcher: &mut Matcher, drafts: &[u32]) -> Result<Vec<Vec<u32>>, GrammarError> {
    let mut sets = vec![matcher.allowed()?.to_vec()];
    let mut taken = 0;
    for draft in drafts {
        // A draft that is not allowed cannot turn out right, nor can what comes behind it.
        if matcher.accept(*draft).is_err() {
            break;
        }
        taken += 1;
        sets.push(matcher.allowed()?.to_vec());
    }
    matcher.rollback(taken)?;
    Ok(sets)
}

/// Reasoning before an answer.
pub(super) struct Reasoning {
    /// The most tokens of it.
    pub(super) budget: usize,
    /// The tokens that close it.
    pub(super) close: Vec<u32>,
    /// The token that opens it, where the answer may begin with that.
    pub(super) open: Option<u32>,
    /// All tokens of the vocabulary but those that end an answer, where there has to be one behind the reasoning.
    pub(super) endless: Option<Vec<u32>>,
}

/// What the tokens of one choice may be.
pub(super) struct Constraint {
    reasoning: Option<Reasoning>,
    /// How many of the closing tokens came, once the budget was spent.
    closing: Option<usize>,
    grammar: Option<Limited>,
    set: Vec<u32>,
}

/// A grammar's state, here or on the other thread.
struct Limited {
    jobs: Sender<Message>,
    waker: Waker,
    state: State,
    /// Sets from the last preparation: the first is for the next token, as long as drafts turn out right.
    sets: std::collections::VecDeque<Vec<u32>>,
    drafts: std::collections::VecDeque<u32>,
    failed: Option<GrammarError>,
}

enum State {
    Here(Box<Matcher>),
    Away(Receiver<Done>),
    Lost,
}

impl Constraint {
    /// Limits by a grammar behind reasoning, or by one of the two.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn new(
        reasoning: Option<Reasoning>,
        matcher: Option<Matcher>,
        thread: &MaskThread,
        waker: Waker,
    ) -> Result<Self> {
        let grammar = match matcher {
            Some(matcher) => Some(Limited {
                jobs: thread.start()?,
                waker,
                state: State::Here(Box::new(matcher)),
                sets: Default::default(),
                drafts: Default::default(),
                failed: None,
            }),
            None => None,
        };
        Ok(Self { reasoning, closing: None, grammar, set: Vec::new() })
    }

    /// Begins to compute what may follow, and what may follow each of the drafts.
    pub(super) fn prepare(&mut self, drafts: &[u32]) {
        if let Some(grammar) = &mut self.grammar {
            grammar.prepare(drafts);
        }
    }

    /// What the next token of reasoning may be, of which there are `spent`.
    pub(super) fn while_reasoning(&mut self, spent: usize) -> Allowed<'_> {
        let Some(reasoning) = &self.reasoning else { return Allowed::Any };
        if spent < reasoning.budget {
            return reasoning.endless.as_deref().map_or(Allowed::Any, Allowed::Only);
        }
        match reasoning.close.get(*self.closing.get_or_insert(0)) {
            Some(token) => {
                only(&mut self.set, *token);
                Allowed::Only(&self.set)
            }
            None => Allowed::Any,
        }
    }

    /// What the next token of the answer may be; `first`: it is the first of all.
    ///
    /// # Errors
    /// The grammar cannot go on.
    pub(super) fn allowed(&mut self, first: bool) -> Result<Allowed<'_>> {
        let open = self.reasoning.as_ref().and_then(|reasoning| reasoning.open).filter(|_| first);
        let Some(grammar) = &mut self.grammar else { return Ok(Allowed::Any) };
        match (grammar.set()?, open) {
            (None, _) => Ok(Allowed::Later),
            (Some(set), None) => Ok(Allowed::Only(set)),
            (Some(set), Some(open)) => {
                self.set.clear();
                self.set.extend_from_slice(set);
                add(&mut self.set, open);
                Ok(Allowed::Only(&self.set))
            }
        }
    }

    /// A token came, as part of reasoning or of the answer. Whether nothing can follow it.
    ///
    /// # Errors
    /// It was not allowed.
    pub(super) fn take(&mut self, token: u32, reasoning: bool) -> Result<bool> {
        if !reasoning {
            return match &mut self.grammar {
                Some(grammar) => grammar.take(token),
                None => Ok(false),
            };
        }
        if let Some(closing) = &mut self.closing {
            *closing += 1;
        }
        Ok(false)
    }
}

fn only(set: &mut Vec<u32>, token: u32) {
    set.clear();
    add(set, token);
}

fn add(set: &mut Vec<u32>, token: u32) {
    let word = token as usize / 32;
    if set.len() <= word {
        set.resize(word + 1, 0);
    }
    set[word] |= 1 << (token % 32);
}

impl Limited {
    fn prepare(&mut self, drafts: &[u32]) {
        if !self.sets.is_empty() || self.failed.is_some() {
            return;
        }
        self.state = match std::mem::replace(&mut self.state, State::Lost) {
            State::Here(matcher) => {
                self.drafts = drafts.iter().copied().collect();
                let (done, away) = bounded(1);
                let job = Job { matcher, drafts: drafts.to_vec(), waker: self.waker.clone(), done };
                match self.jobs.send(Message::Compute(job)) {
                    Ok(()) => State::Away(away),
                    Err(_) => State::Lost,
                }
            }
            other => other,
        };
    }

    /// The set of tokens that may follow; `None` where it is not known yet.
    fn set(&mut self) -> Result<Option<&[u32]>> {
        self.prepare(&[]);
        if let State::Away(away) = &self.state {
            match away.recv_timeout(PATIENCE) {
                Ok((matcher, sets)) => {
                    self.state = State::Here(matcher);
                    match sets {
                        Ok(sets) => self.sets = sets.into(),
                        Err(error) => self.failed = Some(error),
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => self.state = State::Lost,
            }
        }
        if let Some(error) = &self.failed {
            return Err(error.clone().into());
        }
        let lost = || Error::new(ErrorKind::Internal, "the state of the request's grammar is lost");
        self.sets.front().map(|set| Some(set.as_slice())).ok_or_else(lost)
    }

    fn take(&mut self, token: u32) -> Result<bool> {
        self.sets.pop_front();
        if self.drafts.pop_front() != Some(token) {
            // What was prepared is for another text.
            self.sets.clear();
            self.drafts.clear();
        }
        let State::Here(matcher) = &mut self.state else { return Ok(false) };
        match matcher.accept(token) {
            Ok(()) => Ok(matcher.is_complete()),
            Err(error) => {
                self.failed = Some(error.clone());
                Err(error.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_thread_ends_with_the_model_though_an_answer_still_holds_it() {
        let thread = MaskThread::default();
        let jobs = thread.start().unwrap();
        drop(thread);
        assert!(jobs.send(Message::Close).is_err(), "nobody is there to hear it");
    }
}
