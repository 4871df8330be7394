//! The engine's thread: it owns the scheduler, the executor and the sampler, and hears everything by message.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::Receiver;

use super::draft::verify;
use super::executor::Executor;
use super::handle::Shared;
use super::request::{FinishReason, Flow, Outcome, Request, RequestId, Sink, Timings};
use super::sampling::{Sampler, SamplingParams};
use super::scheduler::Scheduler;
use super::step::{Judgement, Verdict};
use crate::error::{Error, ErrorKind, Result};
use crate::fairness::{Entrance, Entry, Pass, Served};
use crate::mailbox::{guarded, shutting_down};

/// What the engine's callers tell its thread.
pub(crate) enum Message {
    Submit(Box<Submission>),
    Cancel(RequestId),
    /// Look whether the engine was closed.
    Wake,
}

/// A request on its way to the worker.
pub(crate) struct Submission {
    pub(crate) id: RequestId,
    pub(crate) request: Request,
    pub(crate) submitted: Duration,
    pub(crate) listener: Listener,
}

/// A sink that hears its end exactly once, even if the worker is gone before the request is taken up.
pub(crate) struct Listener {
    sink: Option<Box<dyn Sink>>,
    submitted: Duration,
}

impl Listener {
    pub(crate) fn new(sink: Box<dyn Sink>, submitted: Duration) -> Self {
        Self { sink: Some(sink), submitted }
    }

    /// Drops the sink without a word: its request was refused.
    pub(crate) fn dismiss(&mut self) {
        let sink = self.sink.take();
        let _ = guarded(move || drop(sink));
    }

    fn finish(&mut self, outcome: Outcome) {
        if let Some(sink) = self.sink.take()
            && let Err(panic) = guarded(move || sink.finish(outcome))
        {
            tracing::error!(%panic, "a sink panicked at the end of its request");
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let timings = Timings { submitted: self.submitted, finished: self.submitted, ..Default::default() };
        self.finish(Outcome { result: Err(shutting_down()), timings });
    }
}

/// What the worker keeps of a request besides the scheduler's part.
struct Client {
    listener: Listener,
    sampling: SamplingParams,
    stop_tokens: Vec<u32>,
}

/// The worker's state.
pub(crate) struct Worker {
    scheduler: Scheduler,
    executor: Box<dyn Executor>,
    vocab_size: usize,
    sampler: Sampler,
    clients: HashMap<RequestId, Client>,
    judgements: Vec<Judgement>,
    entrance: Entrance,
    receiver: Receiver<Message>,
    shared: Arc<Shared>,
    /// New requests received and not yet seen to leave the queue.
    new: usize,
}

impl Worker {
    pub(crate) fn new(
        scheduler: Scheduler,
        executor: Box<dyn Executor>,
        entrance: Entrance,
        receiver: Receiver<Message>,
        shared: Arc<Shared>,
    ) -> Self {
        let vocab_size = executor.vocab_size();
        let sampler = Sampler::new(vocab_size);
        let (clients, judgements) = (HashMap::new(), Vec::new());
        Self {
            scheduler,
            executor,
            vocab_size,
            sampler,
            clients,
            judgements,
            entrance,
            receiver,
            shared,
            new: 0,
        }
    }

    /// Lets the executor prepare this thread, which must be the one that will [`run`](Self::run).
    pub(crate) fn enter(&mut self) -> Result<()> {
        self.executor.enter()
    }

    /// Serves until the engine is closed. Parked in the channel while there is nothing to do.
    pub(crate) fn run(mut self) {
        while !self.shared.door.is_closed() {
            if self.scheduler.has_work() {
                match self.entrance.ask() {
                    Entry::Open(pass) => self.step(pass),
                    Entry::Wait(at_most) => self.wait(at_most),
                }
            } else {
                self.entrance.withdraw();
                self.publish();
                if self.shared.door.is_drained() {
                    break;
                }
                match self.receiver.recv() {
                    Ok(message) => self.receive(message),
                    // Nobody can ever submit again.
                    Err(_) => break,
                }
            }
            while let Ok(message) = self.receiver.try_recv() {
                self.receive(message);
            }
        }
        self.scheduler.end_all(self.shared.clock.monotonic(), &shutting_down());
        self.settle();
        // What is still in the channel hears its end when the receiver is dropped.
    }

    /// Waits for its turn to compute, and hears what is said meanwhile.
    fn wait(&mut self, at_most: Option<Duration>) {
        // What was heard before may have ended something.
        self.scheduler.reap(self.shared.clock.monotonic());
        self.settle();
        if let Some(message) = self.entrance.wait(&self.receiver, at_most) {
            self.receive(message);
        }
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Submit(submission) => self.submit(*submission),
            Message::Cancel(id) => {
                self.scheduler.cancel(id);
            }
            Message::Wake => {}
        }
    }

    fn submit(&mut self, submission: Submission) {
        let Submission { id, mut request, submitted, mut listener } = submission;
        self.new += 1;
        match self.scheduler.submit(id, &mut request, submitted) {
            Ok(()) => {
                let Request { sampling, stop_tokens, .. } = request;
                self.clients.insert(id, Client { listener, sampling, stop_tokens });
            }
            Err(error) => {
                // The handle has checked all of it before, so this is for requests that overtake its count.
                let timings = Timings { submitted, finished: submitted, ..Default::default() };
                self.count_left();
                listener.finish(Outcome { result: Err(error), timings });
            }
        }
    }

    /// Plans one step, computes it and hands out what came of it.
    fn step(&mut self, pass: Pass) {
        self.scheduler.plan(self.shared.clock.monotonic());
        self.settle();
        if self.scheduler.step().is_empty() {
            return pass.give_back(Served::default(), self.scheduler.has_work());
        }
        let generated = self.scheduler.generated_tokens();
        let prompt = self.scheduler.step().prefill_rows as u64;
        let (executor, batch) = (&mut self.executor, &self.scheduler.step().batch);
        let vocab = self.vocab_size;
        let wanted = batch.logit_rows.len() * vocab;
        let computed = guarded(|| executor.execute(batch));
        let now = self.shared.clock.monotonic();
        match computed {
            Ok(Ok(logits)) if logits.len() == wanted => {
                judge(
                    &self.scheduler,
                    &mut self.sampler,
                    &mut self.clients,
                    logits,
                    vocab,
                    &mut self.judgements,
                );
                self.scheduler.commit(now, &mut self.judgements);
            }
            Ok(Ok(logits)) => {
                let message = format!("the model returned {} logits instead of {wanted}", logits.len());
                self.scheduler.rollback(now, &Error::new(ErrorKind::Internal, message), true);
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "a step failed");
                self.scheduler.rollback(now, &error, false);
            }
            Err(panic) => {
                tracing::error!(%panic, "a step panicked");
                let message = format!("computing the step panicked: {panic}");
                self.scheduler.rollback(now, &Error::new(ErrorKind::Internal, message), true);
            }
        }
        let output = self.scheduler.generated_tokens() - generated;
        pass.give_back(Served { prompt, output }, self.scheduler.has_work());
        self.settle();
    }

    /// Publishes the numbers, then tells those whose requests have ended.
    fn settle(&mut self) {
        self.count_left();
        self.publish();
        for (id, outcome) in self.scheduler.take_ended() {
            if let Some(mut client) = self.clients.remove(&id) {
                client.listener.finish(outcome);
            }
        }
    }

    /// Makes room in the bounded queue for as many new requests as have left it.
    fn count_left(&mut self) {
        let new = self.scheduler.new_len();
        self.shared.door.leave(self.new - new);
        self.new = new;
    }

    fn publish(&self) {
        self.shared.stats.store(self.scheduler.stats());
    }
}

/// Chooses tokens from the rows of logits, as many as the drafts of each sequence turn out right and one more, and
/// shows them to its sink.
fn judge(
    scheduler: &Scheduler,
    sampler: &mut Sampler,
    clients: &mut HashMap<RequestId, Client>,
    mut logits: &[f32],
    vocab: usize,
    judgements: &mut Vec<Judgement>,
) {
    judgements.clear();
    for participant in scheduler.step().samplers() {
        let (rows, others) = logits.split_at(participant.logits * vocab);
        logits = others;
        let (prompt, generated) = scheduler.tokens(participant.index);
        let known = generated.len() + 1 - participant.logits;
        let judgement = match clients.get_mut(&participant.id) {
            Some(client) => verify(&generated[known..], |row| {
                // What was generated before this row: the drafts up to it have turned out right.
                let logits = &rows[row * vocab..(row + 1) * vocab];
                client.judge(sampler, logits, prompt, &generated[..known + row])
            }),
            None => Verdict::End(Error::new(ErrorKind::Internal, "the request has no listener")).into(),
        };
        judgements.push(judgement);
    }
}

impl Client {
    fn judge(&mut self, sampler: &mut Sampler, logits: &[f32], prompt: &[u32], generated: &[u32]) -> Verdict {
        let sampled = match guarded(|| sampler.sample(logits, &self.sampling, prompt, generated)) {
            Ok(Ok(sampled)) => sampled,
            Ok(Err(error)) => return Verdict::End(error),
            Err(panic) => {
                let message = format!("choosing a token panicked: {panic}");
                return Verdict::End(Error::new(ErrorKind::Internal, message));
            }
        };
        let token = sampled.id;
        if self.stop_tokens.contains(&token) {
            return Verdict::Stop;
        }
        let Some(sink) = &mut self.listener.sink else {
            return Verdict::End(Error::new(ErrorKind::Internal, "the request has no listener"));
        };
        match guarded(|| sink.token(sampled)) {
            Ok(Flow::Continue) => Verdict::Token(token),
            Ok(Flow::Stop) => Verdict::LastToken(token, FinishReason::Stop),
            Ok(Flow::Cancel) => {
                Verdict::End(Error::new(ErrorKind::Cancelled, "the request was cancelled by its receiver"))
            }
            Err(panic) => {
                let message = format!("the receiver of the tokens panicked: {panic}");
                Verdict::End(Error::new(ErrorKind::Internal, message))
            }
        }
    }
}
