//! The scheduler and the toy model without threads: any sequence of operations must keep every promise.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::toy_model::ToyModel;
use crate::backend::{AdapterId, BLOCK_TOKENS};
use crate::engine::draft::{MAX_DRAFT_TOKENS, verify};
use crate::engine::request::{FinishReason, Request, RequestId};
use crate::engine::sampling::SamplingParams;
use crate::engine::scheduler::Scheduler;
use crate::engine::step::Verdict;
use crate::engine::{EngineOptions, EngineStats, Executor};
use crate::error::{Error, ErrorKind};
use crate::fairness::CallerId;

const VOCAB: usize = 24;
const STOP_TOKEN: u32 = 0;

/// One thing that happens to an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A caller's request whose prompt is the first `prompt` tokens of text number `text`, under an adapter or none, with
    /// drafts of so many tokens. Its prompt may be scored, and every so many of its tokens be known only after their step.
    Submit {
        caller: u8,
        text: u8,
        adapter: u8,
        prompt: u16,
        max_tokens: u8,
        priority: i8,
        deadline: Option<u8>,
        drafts: u8,
        scores: bool,
        late: u8,
    },
    /// Cancels one of the requests that have not ended, if there is one.
    Cancel { which: u8 },
    /// So many steps, with time passing.
    Steps { count: u8 },
    /// A step that fails.
    FailingStep,
    /// A step that panics and leaves garbage in the whole cache.
    PanickingStep,
}

impl Operation {
    /// Reads an operation; every value of the bytes is one.
    pub fn decode([kind, a, b, c]: [u8; 4]) -> Self {
        match kind % 16 {
            0..=6 => Self::Submit {
                caller: c / 48 % 3,
                text: a % 3,
                adapter: (a / 3 % 4).saturating_sub(1),
                prompt: u16::from(b) / 2 + 1,
                max_tokens: c % 48 + 1,
                priority: (kind / 16) as i8 % 4 - 1,
                deadline: (a >= 240).then_some(c),
                drafts: [0, MAX_DRAFT_TOKENS as u8, 3, 1][usize::from(kind / 64)],
                scores: a / 12 % 5 == 1,
                late: (b & 1) * (c % 4),
            },
            7 | 8 => Self::Cancel { which: a },
            9 => Self::FailingStep,
            10 if a < 64 => Self::PanickingStep,
            _ => Self::Steps { count: a % 12 + 1 },
        }
    }
}

#[derive(Debug)]
struct Expectation {
    adapter: AdapterId,
    /// Tokens of the prompt that are scored or need not be, if any do.
    scored: Option<usize>,
    prompt: usize,
    context: Vec<u32>,
    max_tokens: usize,
    generated: usize,
    stopped: bool,
    deadline: Option<Duration>,
    /// Every so many tokens one is not known in its step; never with 0.
    late: usize,
    /// The logits of a token that is not known yet.
    held: Option<Vec<f32>>,
}

/// The state of a simulation. Every method panics if a promise is broken.
pub struct Simulation {
    scheduler: Scheduler,
    model: ToyModel,
    live: BTreeMap<RequestId, Expectation>,
    cancelled: BTreeSet<RequestId>,
    lost: BTreeSet<RequestId>,
    last_id: u64,
    now: Duration,
}

enum Accident {
    None,
    Failure,
    Panic,
}

impl Simulation {
    pub fn new(options: EngineOptions) -> Self {
        options.validate().expect("valid options");
        Self {
            model: ToyModel::new(VOCAB, options.blocks),
            scheduler: Scheduler::new(options),
            live: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            lost: BTreeSet::new(),
            last_id: 0,
            now: Duration::ZERO,
        }
    }

    /// Small bounds of every kind from any bytes, so that all of them are met.
    pub fn options([a, b, c, d]: [u8; 4]) -> EngineOptions {
        let max_batch_tokens = usize::from(b) % 60 + 4;
        EngineOptions {
            blocks: usize::from(a) % 24 + 2,
            context_length: 160,
            max_batch_tokens,
            max_prefill_tokens: usize::from(c) % 40 + 1,
            max_sequences: (usize::from(d) % 9 + 1).min(max_batch_tokens),
            max_queue: usize::from(d) / 9 % 12 + 1,
            prefix_sharing: c < 192,
            service_per_priority: u32::from(b) / 8 + 1,
        }
    }

    /// Runs `operations` from the beginning to the end of every request.
    pub fn run(options: EngineOptions, operations: impl IntoIterator<Item = Operation>) -> EngineStats {
        let mut simulation = Self::new(options);
        for operation in operations {
            simulation.apply(operation);
        }
        simulation.finish()
    }

    /// The text whose beginnings are prompts: all texts share their first 20 tokens.
    fn text(text: u8, len: usize) -> Vec<u32> {
        let token = |position: usize| {
            let salt = if position < 20 { 0 } else { usize::from(text) + 1 };
            ((position * 7 + salt * 5 + position / 5) % VOCAB) as u32
        };
        (0..len).map(token).collect()
    }

    pub fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Submit {
                caller,
                text,
                adapter,
                prompt,
                max_tokens,
                priority,
                deadline,
                drafts,
                scores,
                late,
            } => {
                let request = Request {
                    prompt: Self::text(text, usize::from(prompt)),
                    adapter: AdapterId(u32::from(adapter)),
                    max_tokens: usize::from(max_tokens),
                    stop_tokens: vec![STOP_TOKEN],
                    sampling: SamplingParams::greedy(),
                    caller: CallerId(u32::from(caller)),
                    priority: i32::from(priority),
                    prompt_lookup_tokens: usize::from(drafts),
                    prompt_logprobs: scores.then_some(0),
                    deadline: deadline.map(|steps| self.now + Duration::from_millis(u64::from(steps))),
                };
                self.submit(request, usize::from(late));
            }
            Operation::Cancel { which } => {
                let live = self.live.len();
                if live > 0 {
                    let id = *self.live.keys().nth(usize::from(which) % live).unwrap();
                    assert!(self.scheduler.cancel(id), "{id:?} has not ended");
                    self.cancelled.insert(id);
                }
            }
            Operation::Steps { count } => (0..count).for_each(|_| self.step(&Accident::None)),
            Operation::FailingStep => self.step(&Accident::Failure),
            Operation::PanickingStep => self.step(&Accident::Panic),
        }
        self.check();
    }

    fn submit(&mut self, mut request: Request, late: usize) {
        self.last_id += 1;
        let id = RequestId(self.last_id);
        let Request { adapter, max_tokens, deadline, .. } = request;
        let prompt = request.prompt.clone();
        let most = self.scheduler.options.max_request_tokens();
        let full = self.scheduler.new_len() >= self.scheduler.options.max_queue;
        match self.scheduler.submit(id, &mut request, self.now) {
            Ok(()) => {
                assert!(prompt.len() + max_tokens <= most && !full);
                let expectation = Expectation {
                    adapter,
                    scored: request.prompt_logprobs.map(|_| 1),
                    prompt: prompt.len(),
                    context: prompt,
                    max_tokens,
                    generated: 0,
                    stopped: false,
                    deadline,
                    late,
                    held: None,
                };
                self.live.insert(id, expectation);
            }
            Err(error) if prompt.len() + max_tokens > most => {
                assert_eq!(error.kind(), ErrorKind::ContextLengthExceeded);
            }
            Err(error) => assert!(full && error.kind() == ErrorKind::Overloaded, "{error}"),
        }
    }

    fn step(&mut self, accident: &Accident) {
        self.now += Duration::from_millis(1);
        self.choose_late();
        self.scheduler.plan(self.now);
        self.check();
        self.settle();
        // Whatever was cancelled or late is gone before anything is computed for it.
        assert!(self.cancelled.is_empty());
        assert!(self.live.values().all(|live| live.deadline.is_none_or(|deadline| deadline > self.now)));
        let step = self.scheduler.step();
        if step.is_empty() {
            let goes_on = self.live.is_empty() || self.scheduler.choosing().next().is_some();
            assert!(goes_on, "work and an empty step: nothing would ever go on");
            return;
        }
        match accident {
            Accident::None => {
                let logits = self.model.execute(&step.batch).unwrap().to_vec();
                let mut rows = logits.chunks_exact(VOCAB);
                let mut judgements = Vec::new();
                for participant in step.samplers() {
                    let live = self.live.get_mut(&participant.id).unwrap();
                    let rows: Vec<_> = rows.by_ref().take(participant.logits).collect();
                    let (scores, rows) = rows.split_at(participant.scores);
                    live.score(scores, self.scheduler.scored(participant.index));
                    if rows.is_empty() {
                        judgements.push(Verdict::Scored.into());
                        continue;
                    }
                    let (_, generated) = self.scheduler.tokens(participant.index);
                    let drafts = &generated[generated.len() + 1 - rows.len()..];
                    judgements.push(verify(drafts, |row| live.judge(rows[row], false)));
                }
                assert_eq!(rows.next(), None);
                self.scheduler.commit(self.now, &mut judgements);
            }
            Accident::Failure => {
                self.lost.extend(step.participants.iter().map(|participant| participant.id));
                self.model.spoil_rows(&step.batch);
                self.scheduler.rollback(self.now, &Error::new(ErrorKind::Io, "told to fail"), false);
            }
            Accident::Panic => {
                self.lost.extend(step.participants.iter().map(|participant| participant.id));
                self.model.spoil_all();
                self.scheduler.rollback(self.now, &Error::new(ErrorKind::Internal, "told to panic"), true);
            }
        }
        self.check();
        self.settle();
        assert!(self.lost.is_empty(), "the sequences of a failed step end with it");
    }

    /// Chooses every other of the tokens that were not known in their step.
    fn choose_late(&mut self) {
        for index in self.scheduler.choosing() {
            let id = self.scheduler.id(index);
            if (id.0 + self.now.as_millis() as u64).is_multiple_of(2) {
                let live = self.live.get_mut(&id).unwrap();
                let logits = live.held.take().unwrap();
                let verdict = live.judge(&logits, true);
                self.scheduler.choose(index, verdict, self.now);
            }
        }
        self.check();
    }

    /// Checks each request that has ended against what was to become of it.
    fn settle(&mut self) {
        let ended: Vec<_> = self.scheduler.take_ended().collect();
        for (id, outcome) in ended {
            let live = self.live.remove(&id).expect("a request ends once");
            let (cancelled, lost) = (self.cancelled.remove(&id), self.lost.remove(&id));
            match outcome.result {
                Ok(FinishReason::Length) => {
                    assert!(live.generated == live.max_tokens && !live.stopped);
                    assert!(live.scored.is_none_or(|scored| scored == live.prompt), "the prompt is scored");
                }
                Ok(FinishReason::Stop) => assert!(live.stopped),
                Err(error) => match error.kind() {
                    ErrorKind::Cancelled => assert!(cancelled),
                    ErrorKind::DeadlineExceeded => assert!(live.deadline.is_some_and(|at| at <= self.now)),
                    kind => assert!(lost, "{kind:?}: {error}"),
                },
            }
        }
    }

    fn check(&self) {
        assert_eq!(self.scheduler.validate(), Ok(()));
    }

    /// Runs until every request has ended, in no more steps than the rows that are left could need.
    pub fn finish(mut self) -> EngineStats {
        let rows: usize = self.live.values().map(|live| live.context.len() + live.max_tokens).sum();
        // Each preemption repeats rows, and each is paid by another sequence's growth by a block.
        // A token that is known late takes up to two steps more.
        let most = 16 + 3 * rows * (2 + rows / BLOCK_TOKENS);
        for _ in 0..most {
            if !self.scheduler.has_work() {
                break;
            }
            self.step(&Accident::None);
        }
        assert!(self.live.is_empty(), "{} requests starve", self.live.len());
        let stats = self.scheduler.stats();
        assert_eq!((stats.running, stats.queued, stats.blocks_used), (0, 0, 0));
        stats
    }
}

impl Expectation {
    /// The rows must be those before the next tokens of the prompt, each once.
    fn score(&mut self, rows: &[&[f32]], tokens: &[u32]) {
        for (row, token) in rows.iter().zip(tokens) {
            let scored = self.scored.as_mut().expect("scores were asked for");
            assert_eq!(*token, self.context[*scored]);
            let expected = ToyModel::logits_after(VOCAB, self.adapter, &self.context[..*scored]);
            assert_eq!(*row, expected, "not what it would be alone");
            *scored += 1;
        }
    }

    /// The verdict on a row of logits, which must be those of this request alone; `late`: it was held back before.
    fn judge(&mut self, logits: &[f32], late: bool) -> Verdict {
        assert_eq!(
            logits,
            ToyModel::logits_after(VOCAB, self.adapter, &self.context),
            "not what it would be alone"
        );
        if !late && self.late > 0 && self.generated.is_multiple_of(self.late) {
            self.held = Some(logits.to_vec());
            return Verdict::Later;
        }
        let token = ToyModel::greedy_after(VOCAB, self.adapter, &self.context);
        if token == STOP_TOKEN {
            self.stopped = true;
            return Verdict::Stop;
        }
        self.context.push(token);
        self.generated += 1;
        Verdict::Token(token)
    }
}
