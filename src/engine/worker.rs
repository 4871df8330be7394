//! The engine's thread: it owns the scheduler, the executor and the sampler, and hears everything by message.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::Receiver;

use super::draft::verify;
use super::executor::Executor;
use super::handle::Shared;
use super::request::{Allowed, FinishReason, Flow, Outcome, Request, RequestId, Sink, Timings};
use super::sampling::{Sampler, SamplingParams};
use super::saving::{ReadBlocks, WriteBlocks};
use super::scheduler::Scheduler;
use super::step::{Judgement, Verdict};
use crate::error::{Error, ErrorKind, Result};
use crate::fairness::{Entrance, Entry, Pass, Served};
use crate::mailbox::{guarded, shutting_down};

/// What the engine's callers tell its thread.
pub(crate) enum Message {
    Submit(Box<Submission>),
    Cancel(RequestId),
    Read(ReadBlocks),
    Write(WriteBlocks),
    /// Look whether the engine was closed, and whether what a token may be has become known.
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
    prompt_logprobs: Option<u8>,
    /// The logits of a token that is not chosen yet, because it is not known what it may be; empty otherwise.
    held: Vec<f32>,
}

/// The worker's state.
pub(crate) struct Worker {
    pub(super) scheduler: Scheduler,
    pub(super) executor: Box<dyn Executor>,
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

    /// Serves until the engine is closed. A panic on the way (a defect of ours, or the host's clock) costs the requests that are
    /// there; those that come after it are served.
    pub(crate) fn run(mut self) {
        while let Err(panic) = guarded(|| self.serve()) {
            self.recover(&panic);
        }
        // What is still in the channel hears its end when the receiver is dropped.
    }

    /// Parked in the channel while there is nothing to do.
    fn serve(&mut self) {
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
        if self.scheduler.has_work() {
            self.scheduler.end_all(self.shared.clock.monotonic(), &shutting_down());
        }
        self.settle();
    }

    /// Ends every request with an error, and begins anew.
    fn recover(&mut self, panic: &str) {
        tracing::error!(%panic, "the engine's thread panicked");
        let error = Error::new(ErrorKind::Internal, format!("the engine's thread panicked: {panic}"));
        self.scheduler.start_over(self.clients.len());
        self.judgements.clear();
        self.settle();
        for (_, mut client) in self.clients.drain() {
            let submitted = client.listener.submitted;
            // Not the time of now: the clock may be what has panicked.
            let timings = Timings { submitted, finished: submitted, ..Default::default() };
            client.listener.finish(Outcome { result: Err(error.clone()), timings });
        }
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
            Message::Read(wanted) => {
                let answer = self.read_blocks(&wanted);
                // Whoever asked may have given up.
                let _ = wanted.reply.send(answer);
            }
            Message::Write(given) => {
                let answer = self.write_blocks(&given);
                let _ = given.reply.send(answer);
            }
            Message::Wake => {}
        }
    }

    fn submit(&mut self, submission: Submission) {
        let Submission { id, mut request, submitted, mut listener } = submission;
        self.new += 1;
        match self.scheduler.submit(id, &mut request, submitted) {
            Ok(()) => {
                let Request { sampling, stop_tokens, prompt_logprobs, .. } = request;
                let held = Vec::new();
                self.clients.insert(id, Client { listener, sampling, stop_tokens, prompt_logprobs, held });
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
        let generated = self.scheduler.generated_tokens();
        self.choose_late();
        self.scheduler.plan(self.shared.clock.monotonic());
        self.settle();
        if self.scheduler.step().is_empty() {
            let output = self.scheduler.generated_tokens() - generated;
            pass.give_back(Served { prompt: 0, output }, self.scheduler.has_work());
            // Whatever is there waits for a token that is not known yet, and whoever finds out will call.
            if self.scheduler.choosing().next().is_some()
                && let Ok(message) = self.receiver.recv()
            {
                self.receive(message);
            }
            return;
        }
        self.prepare();
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

    /// Chooses the tokens of which it has become known what they may be.
    fn choose_late(&mut self) {
        for index in self.scheduler.choosing() {
            let (prompt, generated) = self.scheduler.tokens(index);
            let verdict = match self.clients.get_mut(&self.scheduler.id(index)) {
                Some(client) => {
                    let logits = std::mem::take(&mut client.held);
                    client.judge(&mut self.sampler, &logits, prompt, generated)
                }
                None => no_listener(),
            };
            if !matches!(verdict, Verdict::Later) {
                self.scheduler.choose(index, verdict, self.shared.clock.monotonic());
            }
        }
    }

    /// Lets those who limit tokens begin to find out what may come after this step, while it is computed.
    fn prepare(&mut self) {
        for participant in self.scheduler.step().participants.iter().filter(|part| part.choices() > 0) {
            let (_, generated) = self.scheduler.tokens(participant.index);
            let drafts = &generated[generated.len() + 1 - participant.choices()..];
            if let Some(client) = self.clients.get_mut(&participant.id)
                && let Some(sink) = &mut client.listener.sink
                && let Err(panic) = guarded(|| sink.prepare(drafts))
            {
                // It says so again when it is asked what is allowed.
                tracing::error!(%panic, "a receiver panicked while it prepared a step");
            }
        }
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
        let Some(client) = clients.get_mut(&participant.id) else {
            judgements.push(no_listener().into());
            continue;
        };
        let (scores, rows) = rows.split_at(participant.scores * vocab);
        if let Err(error) = client.score(sampler, scores.chunks(vocab), scheduler.scored(participant.index)) {
            judgements.push(Verdict::End(error).into());
            continue;
        }
        if participant.choices() == 0 {
            judgements.push(Verdict::Scored.into());
            continue;
        }
        let (prompt, generated) = scheduler.tokens(participant.index);
        let known = generated.len() + 1 - participant.choices();
        judgements.push(verify(&generated[known..], |row| {
            // What was generated before this row: the drafts up to it have turned out right.
            let logits = &rows[row * vocab..(row + 1) * vocab];
            client.judge(sampler, logits, prompt, &generated[..known + row])
        }));
    }
}

fn no_listener() -> Verdict {
    Verdict::End(Error::new(ErrorKind::Internal, "the request has no listener"))
}

impl Client {
    /// Tells the log-probabilities of the prompt's `tokens`, each with the logits before it.
    fn score<'a>(
        &mut self,
        sampler: &mut Sampler,
        logits: impl Iterator<Item = &'a [f32]>,
        tokens: &[u32],
    ) -> Result<()> {
        for (logits, token) in logits.zip(tokens) {
            let scored = sampler.score(logits, *token, self.prompt_logprobs.unwrap_or_default())?;
            if let Some(sink) = &mut self.listener.sink {
                guarded(|| sink.prompt_token(scored)).map_err(receiver_panicked)?;
            }
        }
        Ok(())
    }

    fn judge(&mut self, sampler: &mut Sampler, logits: &[f32], prompt: &[u32], generated: &[u32]) -> Verdict {
        let Some(sink) = &mut self.listener.sink else { return no_listener() };
        let allowed = match guarded(|| sink.allowed()) {
            Ok(Ok(Allowed::Later)) => {
                self.held.clear();
                self.held.extend_from_slice(logits);
                return Verdict::Later;
            }
            Ok(Ok(Allowed::Any)) => None,
            Ok(Ok(Allowed::Only(tokens))) => Some(tokens),
            Ok(Err(error)) => return Verdict::End(error),
            Err(panic) => return Verdict::End(receiver_panicked(panic)),
        };
        let sampled = match guarded(|| sampler.sample(logits, allowed, &self.sampling, prompt, generated)) {
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
        match guarded(|| sink.token(sampled)) {
            Ok(Flow::Continue) => Verdict::Token(token),
            Ok(Flow::Stop) => Verdict::LastToken(token, FinishReason::Stop),
            Ok(Flow::Cancel) => {
                Verdict::End(Error::new(ErrorKind::Cancelled, "the request was cancelled by its receiver"))
            }
            Err(panic) => Verdict::End(receiver_panicked(panic)),
        }
    }
}

fn receiver_panicked(panic: String) -> Error {
    Error::new(ErrorKind::Internal, format!("the receiver of the tokens panicked: {panic}"))
}
