//! Which texts are computed next: a pure state machine over the requests that are not done.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::options::EmbeddingOptions;
use super::request::{Outcome, Request, RequestId, Timings};
use super::stats::EmbeddingStats;
use super::vectors::Vectors;
use crate::backend::{Pooling, Texts};
use crate::error::{Error, ErrorKind, Result};
use crate::fairness::{Arrival, Callers};
use crate::mailbox::shutting_down;

/// A request that is not done.
struct Job {
    request: Request,
    /// Where its next text stands among those of its caller, while it has one.
    turn: Arrival,
    timings: Timings,
    /// Texts that were part of a batch.
    planned: usize,
    vectors: Vectors,
}

/// The batch that is being computed.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) texts: Texts,
    /// Of every text.
    pub(crate) poolings: Vec<Pooling>,
    /// Whose texts they are. Texts of one request are in its own order.
    owners: Vec<RequestId>,
}

impl Batch {
    /// Each request that has texts in the batch, once.
    fn requests(&self) -> BTreeSet<RequestId> {
        self.owners.iter().copied().collect()
    }
}

/// The requests, their texts in line, and the batch that was planned last.
pub(crate) struct Batcher {
    options: EmbeddingOptions,
    jobs: HashMap<RequestId, Job>,
    /// Of every request, the text that is next waits there.
    callers: Callers,
    deadlines: BTreeSet<(Duration, RequestId)>,
    batch: Batch,
    ended: Vec<(RequestId, Outcome)>,
    /// Requests of which no text was part of a batch.
    new: usize,
    stats: EmbeddingStats,
}

impl Batcher {
    pub(crate) fn new(options: EmbeddingOptions) -> Self {
        Self {
            callers: Callers::new(options.tokens_per_priority),
            options,
            jobs: HashMap::new(),
            deadlines: BTreeSet::new(),
            batch: Batch::default(),
            ended: Vec::new(),
            new: 0,
            stats: EmbeddingStats::default(),
        }
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// Requests of which no text was part of a batch.
    pub(crate) fn new_len(&self) -> usize {
        self.new
    }

    /// The batch that was planned last.
    pub(crate) fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Takes in a request that was checked, with room for its vectors.
    pub(crate) fn submit(&mut self, id: RequestId, request: Request, vectors: Vectors, submitted: Duration) {
        let turn = self.callers.arrive(request.caller, id.0, request.priority);
        self.stats.waiting_texts += request.texts.len();
        self.new += 1;
        self.deadlines.extend(request.deadline.map(|deadline| (deadline, id)));
        let timings = Timings { submitted, ..Timings::default() };
        self.jobs.insert(id, Job { request, turn, timings, planned: 0, vectors });
    }

    /// Ends a request as cancelled, if it has not ended.
    pub(crate) fn cancel(&mut self, id: RequestId, now: Duration) {
        self.end(id, now, Err(Error::new(ErrorKind::Cancelled, "the request was cancelled")));
    }

    /// Ends what has passed its deadline.
    pub(crate) fn reap(&mut self, now: Duration) {
        while let Some(&(deadline, id)) = self.deadlines.first()
            && deadline <= now
        {
            self.deadlines.pop_first();
            let message = "the deadline passed before all vectors were computed";
            self.end(id, now, Err(Error::new(ErrorKind::DeadlineExceeded, message)));
        }
    }

    /// Ends what has passed its deadline and fills the next batch; it is empty when nothing is left to do.
    pub(crate) fn plan(&mut self, now: Duration) {
        self.batch.texts.clear();
        self.batch.poolings.clear();
        self.batch.owners.clear();
        self.reap(now);
        while let Some((rank, caller)) = self.callers.first() {
            let id = RequestId(rank.arrival().id());
            let Some(job) = self.jobs.get_mut(&id) else { break };
            let Some(text) = job.request.texts.get(job.planned) else { break };
            let rows = self.batch.texts.rows();
            // The text whose turn it is waits for the next batch rather than being overtaken in this one.
            if rows > 0 && rows + text.len() > self.options.max_batch_tokens {
                break;
            }
            self.batch.texts.push(text);
            self.batch.poolings.push(job.request.pooling);
            self.batch.owners.push(id);
            if job.planned == 0 {
                job.timings.started = Some(now);
                self.stats.queue_wait.add(now.saturating_sub(job.timings.submitted));
                self.new -= 1;
            }
            job.planned += 1;
            let tokens = text.len() as u64;
            if job.planned < job.request.texts.len() {
                // As if the next one arrived when this one has been computed. It waits before this one begins, so that
                // its caller never seems to have nothing to do.
                job.turn = job.turn.after(tokens);
                self.callers.wait(caller, job.turn, job.request.priority);
            }
            let mut account = self.callers.begin(caller, rank, tokens);
            self.callers.serve(&mut account, tokens);
            self.callers.end(&account);
        }
        let texts = &self.batch.texts;
        self.stats.waiting_texts -= texts.len();
        self.stats.texts += texts.len() as u64;
        self.stats.tokens += texts.rows() as u64;
    }

    /// Hands out the vectors of the batch, each of `width` values. `progress` hears of requests that have texts left.
    pub(crate) fn commit(
        &mut self,
        now: Duration,
        vectors: &[f32],
        width: usize,
        mut progress: impl FnMut(RequestId, usize),
    ) {
        self.count_batch();
        for (at, vector) in vectors.chunks_exact(width.max(1)).enumerate() {
            let Some(&id) = self.batch.owners.get(at) else { break };
            // A request may have ended over an earlier text of this batch.
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            if let Err(error) = job.vectors.push(vector, job.request.normalize) {
                self.end(id, now, Err(error));
            }
        }
        for id in self.batch.requests() {
            let Some(job) = self.jobs.get(&id) else { continue };
            let done = job.vectors.rows();
            if done == job.request.texts.len() {
                self.end(id, now, Ok(()));
            } else {
                progress(id, done);
            }
        }
    }

    /// Ends every request that has a text in the batch with `error`.
    pub(crate) fn fail(&mut self, now: Duration, error: &Error) {
        self.count_batch();
        for id in self.batch.requests() {
            self.end(id, now, Err(error.clone()));
        }
    }

    /// Ends everything, as a shutdown does.
    pub(crate) fn end_all(&mut self, now: Duration) {
        let ids: BTreeSet<RequestId> = self.jobs.keys().copied().collect();
        for id in ids {
            self.end(id, now, Err(shutting_down()));
        }
    }

    /// Forgets every request: a panic has passed through, and nothing that it may have left half done is kept. What was counted
    /// stays.
    pub(crate) fn start_over(&mut self, lost: usize) {
        let stats =
            EmbeddingStats { failed: self.stats.failed + lost as u64, waiting_texts: 0, ..self.stats };
        *self = Self { stats, ..Self::new(self.options.clone()) };
    }

    /// The requests that ended since the last call, in the order in which they did.
    pub(crate) fn take_ended(&mut self) -> Vec<(RequestId, Outcome)> {
        std::mem::take(&mut self.ended)
    }

    /// The numbers as of now; the queue is counted where requests enter it.
    pub(crate) fn stats(&self) -> EmbeddingStats {
        let mut stats = self.stats;
        stats.running = self.jobs.len() - self.new;
        stats.mean_batch_tokens =
            if stats.batches == 0 { 0.0 } else { stats.tokens as f64 / stats.batches as f64 };
        stats
    }

    fn count_batch(&mut self) {
        self.stats.batches += 1;
        self.stats.last_batch_texts = self.batch.texts.len();
        self.stats.last_batch_tokens = self.batch.texts.rows();
    }

    fn end(&mut self, id: RequestId, now: Duration, result: Result<()>) {
        let Some(job) = self.jobs.remove(&id) else { return };
        let Job { request, turn, mut timings, planned, vectors } = job;
        if planned < request.texts.len() {
            self.callers.withdraw(request.caller, turn);
        }
        if let Some(deadline) = request.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        self.new -= usize::from(planned == 0);
        self.stats.waiting_texts -= request.texts.len() - planned;
        timings.finished = now;
        match result.as_ref().map_err(Error::kind) {
            Ok(()) => {
                self.stats.finished += 1;
                self.stats.total_time.add(now.saturating_sub(timings.submitted));
            }
            Err(ErrorKind::Cancelled | ErrorKind::ShuttingDown) => self.stats.cancelled += 1,
            Err(ErrorKind::DeadlineExceeded) => self.stats.expired += 1,
            Err(_) => self.stats.failed += 1,
        }
        self.ended.push((id, Outcome { result: result.map(|()| vectors), timings }));
    }
}
