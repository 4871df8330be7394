//! Which sequences run, and what each step computes: a pure state machine without model, threads or clock.
//!
//! A round is [`plan`](Scheduler::plan), then either [`commit`](Scheduler::commit) with what was sampled or
//! [`rollback`](Scheduler::rollback). Planning is in the module `plan`; here are the ways in and out.
//!
//! All sequences that were ever let in stand in one order that never changes ([`Rank`](crate::fairness::Rank)):
//! fairness among callers, priority, arrival and waiting in one number. The best one that runs can take blocks from all
//! others, and every single request fits the cache, so it always gets on; once it is done the next one is the best.
//! Whatever is served moves its caller's counter or virtual time, from which the ranks of others begin, so only so many
//! ever stand before a sequence. Nothing can starve and nothing can block.

use std::time::Duration;

use super::block_cache::{BlockCache, Reservation, blocks_for};
use super::draft::{MAX_DRAFT_TOKENS, PromptLookup};
use super::options::EngineOptions;
use super::prefix_index::NodeId;
use super::queue::Queue;
use super::request::{FinishReason, Outcome, Request, RequestId, Timings};
use super::sequence::{Phase, Sequence};
use super::stats::EngineStats;
use super::step::{Judgement, Step, Verdict};
use crate::backend::BLOCK_TOKENS;
use crate::error::{Error, ErrorKind, Result};
use crate::fairness::Callers;

/// Priorities go from the negative of this to this.
pub const MAX_PRIORITY: i32 = 100;

/// The state of one engine between and during steps.
#[derive(Debug)]
pub(crate) struct Scheduler {
    pub(super) options: EngineOptions,
    pub(super) cache: BlockCache,
    pub(super) queue: Queue,
    pub(super) callers: Callers,
    /// Sequences that are in the cache, best standing first.
    pub(super) running: Vec<Sequence>,
    pub(super) step: Step,
    pub(super) reservation: Reservation,
    pub(super) stats: EngineStats,
    batch_rows: u64,
    ended: Vec<(RequestId, Outcome)>,
}

/// Checks what can be checked of a request before it is queued.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] or [`ErrorKind::ContextLengthExceeded`], naming the field and the numbers.
pub(crate) fn check(request: &Request, options: &EngineOptions) -> Result<()> {
    if request.prompt.is_empty() {
        return Err(Error::invalid("prompt", "the prompt has no tokens; at least one is needed"));
    }
    if request.max_tokens == 0 {
        return Err(Error::invalid("max_tokens", "max_tokens is 0; it must be at least 1"));
    }
    if !(-MAX_PRIORITY..=MAX_PRIORITY).contains(&request.priority) {
        let message = format!("priority {} is outside -{MAX_PRIORITY}..={MAX_PRIORITY}", request.priority);
        return Err(Error::invalid("priority", message));
    }
    if request.prompt_lookup_tokens > MAX_DRAFT_TOKENS {
        let message = format!(
            "prompt_lookup_tokens is {}; it must be between 0 and {MAX_DRAFT_TOKENS}",
            request.prompt_lookup_tokens
        );
        return Err(Error::invalid("prompt_lookup_tokens", message));
    }
    let (prompt, answer) = (request.prompt.len(), request.max_tokens);
    let most = options.max_request_tokens();
    if prompt.saturating_add(answer) > most {
        let cache = options.blocks.saturating_mul(BLOCK_TOKENS);
        return Err(Error::new(
            ErrorKind::ContextLengthExceeded,
            format!(
                "{prompt} prompt tokens and max_tokens {answer} exceed the {most} tokens that a request may have \
                 (context length {}, cache of {cache} tokens)",
                options.context_length
            ),
        )
        .with_param(if prompt >= most { "prompt" } else { "max_tokens" }));
    }
    Ok(())
}

/// The error of a request that finds the queue full.
pub(crate) fn queue_full(options: &EngineOptions) -> Error {
    let most = options.max_queue;
    Error::new(
        ErrorKind::Overloaded,
        format!("the queue is full: {most} requests wait, at most {most} may; retry later"),
    )
}

impl Scheduler {
    /// A scheduler within `options`, which must be valid.
    pub(crate) fn new(options: EngineOptions) -> Self {
        let stats = EngineStats { blocks_total: options.blocks, ..Default::default() };
        Self {
            cache: BlockCache::new(options.blocks, options.prefix_sharing),
            queue: Queue::default(),
            callers: Callers::new(options.service_per_priority),
            running: Vec::with_capacity(options.max_sequences.min(1024)),
            step: Step::default(),
            reservation: Reservation::default(),
            stats,
            batch_rows: 0,
            ended: Vec::new(),
            options,
        }
    }

    /// Queues a request. Calls are the order of arrival.
    ///
    /// # Errors
    /// What [`check`] finds, and [`ErrorKind::Overloaded`] if the queue is full.
    pub(crate) fn submit(&mut self, id: RequestId, request: &mut Request, now: Duration) -> Result<()> {
        check(request, &self.options)?;
        if self.queue.new_len() >= self.options.max_queue {
            return Err(queue_full(&self.options));
        }
        let tokens = std::mem::take(&mut request.prompt);
        let arrival = self.callers.arrive(request.caller, id.0, request.priority);
        self.queue.push(Sequence {
            id,
            caller: request.caller,
            arrival,
            account: None,
            adapter: request.adapter,
            prompt_len: tokens.len(),
            scored: if request.prompt_logprobs.is_some() { 0 } else { tokens.len() },
            tokens,
            drafts: 0,
            lookup: (request.prompt_lookup_tokens > 0)
                .then(|| PromptLookup::new(request.prompt_lookup_tokens)),
            max_tokens: request.max_tokens,
            deadline: request.deadline,
            cancelled: false,
            phase: Phase::Prefill,
            computed: 0,
            planned: 0,
            counted: (0, 0),
            table: Vec::new(),
            shared: 0,
            node: NodeId::root(request.adapter),
            timings: Timings { submitted: now, ..Default::default() },
        });
        Ok(())
    }

    /// Marks a request as cancelled; it ends at the next plan. `false`: there is no such request.
    pub(crate) fn cancel(&mut self, id: RequestId) -> bool {
        let sequence =
            self.running.iter_mut().chain(self.queue.iter_mut()).find(|sequence| sequence.id == id);
        match sequence {
            Some(sequence) => {
                sequence.cancelled = true;
                true
            }
            None => false,
        }
    }

    /// Whether anything waits or runs.
    pub(crate) fn has_work(&self) -> bool {
        !self.running.is_empty() || self.queue.len() > 0
    }

    /// Requests that never were part of a step.
    pub(crate) fn new_len(&self) -> usize {
        self.queue.new_len()
    }

    /// Requests that wait because they were preempted.
    pub(crate) fn preempted_len(&self) -> usize {
        self.queue.len() - self.queue.new_len()
    }

    /// Tokens generated so far.
    pub(crate) fn generated_tokens(&self) -> u64 {
        self.stats.generated_tokens
    }

    /// The step that was planned last.
    pub(crate) fn step(&self) -> &Step {
        &self.step
    }

    /// Prompt and generated tokens of the running sequence at `index`, the drafts of the planned step behind them.
    pub(crate) fn tokens(&self, index: usize) -> (&[u32], &[u32]) {
        let sequence = &self.running[index];
        sequence.tokens.split_at(sequence.prompt_len)
    }

    /// The prompt's tokens that are scored by the first rows of logits of the running sequence at `index`.
    pub(crate) fn scored(&self, index: usize) -> &[u32] {
        let sequence = &self.running[index];
        let first = sequence.computed.max(sequence.scored);
        sequence.tokens.get(first + 1..sequence.prompt_len).unwrap_or_default()
    }

    /// Takes up what the planned step computed: one judgement for each of [`Step::samplers`], in their order.
    pub(crate) fn commit(&mut self, now: Duration, judgements: &mut Vec<Judgement>) {
        debug_assert_eq!(judgements.len(), self.step.samplers().count());
        self.count_step();
        let step = std::mem::take(&mut self.step);
        let mut judgements = judgements.drain(..);
        let mut over = Vec::new();
        for participant in &step.participants {
            let sequence = &mut self.running[participant.index];
            let judgement = if participant.logits > 0 { judgements.next() } else { None };
            let (accepted, verdict) = judgement.map(|it| (it.accepted, it.verdict)).unzip();
            let accepted = accepted.unwrap_or(0);
            let from = sequence.computed;
            sequence.advance(accepted);
            self.stats.generated_tokens += accepted as u64;
            self.stats.accepted_draft_tokens += accepted as u64;
            // What a step wrote that fails may be what made it fail, so nothing of it is shared.
            if !matches!(verdict, Some(Verdict::End(_))) {
                if !sequence.is_prefill() {
                    self.cache.shrink(&mut sequence.table, blocks_for(sequence.computed));
                }
                Self::share(&mut self.cache, sequence);
            }
            let end = verdict.and_then(|verdict| Self::conclude(sequence, verdict, now, &mut self.stats));
            Self::charge(&mut self.callers, sequence, from);
            if let Some(result) = end {
                over.push((participant.index, result));
            }
        }
        drop(judgements);
        over.sort_unstable_by_key(|(index, _)| std::cmp::Reverse(*index));
        for (index, result) in over {
            self.end_running(index, result, now);
        }
        self.step = step;
        self.step.clear();
        self.verify();
    }

    /// Takes up what became of a sequence's last row; how it ends, if it does.
    fn conclude(
        sequence: &mut Sequence,
        verdict: Verdict,
        now: Duration,
        stats: &mut EngineStats,
    ) -> Option<Result<FinishReason>> {
        match verdict {
            Verdict::Token(token) => {
                sequence.push(token, now, stats);
                (sequence.generated() >= sequence.max_tokens).then_some(Ok(FinishReason::Length))
            }
            Verdict::LastToken(token, reason) => {
                sequence.push(token, now, stats);
                Some(Ok(reason))
            }
            Verdict::Stop => Some(Ok(FinishReason::Stop)),
            Verdict::End(error) => Some(Err(error)),
            Verdict::Later => {
                sequence.phase = Phase::Choosing;
                None
            }
            Verdict::Scored => None,
        }
    }

    /// Sequences whose next token is not chosen yet, by their index, the last first: so that one after the other can be
    /// [settled](Self::choose), though some end by it.
    pub(crate) fn choosing(&self) -> impl Iterator<Item = usize> + use<> {
        let choosing =
            |(index, sequence): (usize, &Sequence)| (sequence.phase == Phase::Choosing).then_some(index);
        let indexes: Vec<usize> = self.running.iter().enumerate().rev().filter_map(choosing).collect();
        indexes.into_iter()
    }

    /// Whose the running sequence at `index` is.
    pub(crate) fn id(&self, index: usize) -> RequestId {
        self.running[index].id
    }

    /// Takes up what the next token of the running sequence at `index` is, which is [choosing](Self::choosing) it.
    pub(crate) fn choose(&mut self, index: usize, verdict: Verdict, now: Duration) {
        let sequence = &mut self.running[index];
        debug_assert_eq!(sequence.phase, Phase::Choosing);
        let from = sequence.computed;
        let end = Self::conclude(sequence, verdict, now, &mut self.stats);
        Self::charge(&mut self.callers, sequence, from);
        self.stats.late_choices += 1;
        if let Some(result) = end {
            self.end_running(index, result, now);
        }
        self.verify();
    }

    /// Counts what a step did for a sequence, of which `from` positions were in the cache before it.
    fn charge(callers: &mut Callers, sequence: &mut Sequence, from: usize) {
        let service = sequence.uncounted(from);
        if let Some(account) = &mut sequence.account {
            callers.serve(account, service);
        }
    }

    /// Makes the blocks that have become full shareable.
    fn share(cache: &mut BlockCache, sequence: &mut Sequence) {
        while (sequence.shared + 1) * BLOCK_TOKENS <= sequence.computed {
            let tokens = sequence.shared * BLOCK_TOKENS..(sequence.shared + 1) * BLOCK_TOKENS;
            let slot = &mut sequence.table[sequence.shared];
            let Some(node) = cache.share(sequence.node, &sequence.tokens[tokens], slot) else { return };
            sequence.node = node;
            sequence.shared += 1;
        }
    }

    fn count_step(&mut self) {
        let (step, stats) = (&self.step, &mut self.stats);
        stats.steps += 1;
        self.batch_rows += step.batch.rows() as u64;
        stats.last_batch_rows = step.batch.rows();
        stats.last_batch_sequences = step.participants.len();
        stats.mean_batch_rows = self.batch_rows as f64 / stats.steps as f64;
        stats.prefill_tokens += step.prefill_rows as u64;
        stats.decode_tokens += (step.decode_rows - step.draft_rows) as u64;
        stats.draft_tokens += step.draft_rows as u64;
        if step.decode_rows > 0 {
            stats.longest_decode_gap = stats.longest_decode_gap.max(step.prefill_rows);
        }
    }

    /// Gives up the planned step: its sequences end with `error`, all others stay. With `suspect` the content of the
    /// cache is not trusted any more: nothing of it is shared later, and what else runs is computed again.
    pub(crate) fn rollback(&mut self, now: Duration, error: &Error, suspect: bool) {
        self.stats.steps += 1;
        for index in (0..self.running.len()).rev() {
            if self.running[index].planned > 0 {
                self.end_running(index, Err(Error::new(error.kind(), error.message())), now);
            }
        }
        if suspect {
            while !self.running.is_empty() {
                self.preempt(self.running.len() - 1);
            }
            self.cache.flush();
        }
        self.step.clear();
        self.verify();
    }

    /// Ends everything, as when the engine is dropped.
    pub(crate) fn end_all(&mut self, now: Duration, error: &Error) {
        self.step.clear();
        for index in (0..self.running.len()).rev() {
            self.end_running(index, Err(Error::new(error.kind(), error.message())), now);
        }
        while let Some(sequence) = self.queue.pop() {
            self.end(sequence, Err(Error::new(error.kind(), error.message())), now);
        }
    }

    /// Forgets every sequence and what was cached: a panic has passed through, and nothing that it may have left half done is
    /// kept. What was counted stays.
    pub(crate) fn start_over(&mut self, lost: usize) {
        let stats = EngineStats { failed: self.stats.failed + lost as u64, ..self.stats };
        *self = Self { stats, ..Self::new(self.options.clone()) };
    }

    /// Ends what was cancelled and what is late.
    pub(super) fn reap(&mut self, now: Duration) {
        for index in (0..self.running.len()).rev() {
            if self.running[index].is_over(now) {
                let error = Self::over_error(&self.running[index]);
                self.end_running(index, Err(error), now);
            }
        }
        let mut over = Vec::new();
        self.queue.extract(|sequence| sequence.is_over(now), |sequence| over.push(sequence));
        for sequence in over {
            let error = Self::over_error(&sequence);
            self.end(sequence, Err(error), now);
        }
    }

    fn over_error(sequence: &Sequence) -> Error {
        if sequence.cancelled {
            return Error::new(ErrorKind::Cancelled, "the request was cancelled");
        }
        let generated = sequence.generated();
        Error::new(
            ErrorKind::DeadlineExceeded,
            format!("the deadline passed after {generated} generated tokens"),
        )
    }

    /// Takes the running sequence at `index` out of the cache and puts it back in the queue, where it stands before
    /// its caller's others that come after it.
    pub(super) fn preempt(&mut self, index: usize) {
        let mut sequence = self.running.remove(index);
        self.cache.release_table(&mut sequence.table);
        sequence.reset();
        sequence.timings.preemptions += 1;
        self.stats.preemptions += 1;
        self.queue.push(sequence);
    }

    fn end_running(&mut self, index: usize, result: Result<FinishReason>, now: Duration) {
        let mut sequence = self.running.remove(index);
        self.cache.release_table(&mut sequence.table);
        self.end(sequence, result, now);
    }

    fn end(&mut self, sequence: Sequence, result: Result<FinishReason>, now: Duration) {
        let total = match &result {
            Ok(_) => &mut self.stats.finished,
            Err(error) => match error.kind() {
                ErrorKind::Cancelled | ErrorKind::ShuttingDown => &mut self.stats.cancelled,
                ErrorKind::DeadlineExceeded => &mut self.stats.expired,
                _ => &mut self.stats.failed,
            },
        };
        *total += 1;
        match &sequence.account {
            Some(account) => {
                self.callers.learn_answer(sequence.caller, sequence.generated());
                self.callers.end(account);
            }
            None => self.callers.withdraw(sequence.caller, sequence.arrival),
        }
        let timings = Timings { finished: now, ..sequence.timings };
        self.ended.push((sequence.id, Outcome { result, timings }));
    }

    /// Takes the requests that ended since the last call.
    pub(crate) fn take_ended(&mut self) -> std::vec::Drain<'_, (RequestId, Outcome)> {
        self.ended.drain(..)
    }

    /// The present numbers. `queued` has only the preempted requests: the engine counts new ones from their
    /// submission on.
    pub(crate) fn stats(&self) -> EngineStats {
        EngineStats {
            queued: self.preempted_len(),
            running: self.running.len(),
            blocks_used: self.cache.used(),
            blocks_cached: self.cache.cached(),
            ..self.stats
        }
    }

    /// In tests, debug builds and under fuzzing, checks everything that must hold. The caches of real models are too
    /// large for that to be quick, so outside of tests they are left out.
    pub(super) fn verify(&self) {
        #[cfg(any(debug_assertions, test, fuzzing))]
        if cfg!(any(test, fuzzing)) || self.options.blocks <= 2048 {
            assert_eq!(self.validate(), Ok(()));
        }
    }
}
