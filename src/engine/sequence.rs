//! One request's state inside the scheduler.

use std::time::Duration;

use super::draft::PromptLookup;
use super::prefix_index::NodeId;
use super::request::{RequestId, Timings};
use super::stats::EngineStats;
use crate::backend::AdapterId;
use crate::fairness::{Account, Arrival, CallerId, Rank};

/// What computing a prompt token counts as service, and what generating a token does (the weights of Sheng et al.):
/// prompt tokens are computed many at once.
pub(crate) const PROMPT_SERVICE: u64 = 1;
pub(crate) const ANSWER_SERVICE: u64 = 2;

/// What a running sequence does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Known tokens are still to be computed: the prompt, and after a preemption what was generated.
    Prefill,
    /// Only the newest token is still to be computed.
    Decode,
    /// All is computed, and the token that follows is not chosen yet.
    Choosing,
}

/// A request that waits or runs.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) id: RequestId,
    pub(crate) caller: CallerId,
    pub(crate) arrival: Arrival,
    /// What its caller is charged with for it, and where it stands, from when it was first let in.
    pub(crate) account: Option<Account>,
    pub(crate) adapter: AdapterId,
    /// The prompt and what was generated; while a step is planned, its drafts behind them.
    pub(crate) tokens: Vec<u32>,
    /// How many of the last tokens are drafts.
    pub(crate) drafts: usize,
    /// Guesses drafts, if the request asked for them.
    pub(crate) lookup: Option<PromptLookup>,
    pub(crate) prompt_len: usize,
    /// Rows of the prompt whose scores of the next token are still to be told begin here; those of the last one's choose.
    pub(crate) scored: usize,
    pub(crate) max_tokens: usize,
    pub(crate) deadline: Option<Duration>,
    pub(crate) cancelled: bool,
    pub(crate) phase: Phase,
    /// Positions whose keys and values are in the cache.
    pub(crate) computed: usize,
    /// Rows in the step that is planned.
    pub(crate) planned: usize,
    /// Positions of the prompt that were ever in the cache, and generated tokens, that were counted as service: what
    /// is computed again after a preemption is not counted again.
    pub(crate) counted: (usize, usize),
    /// The cache blocks; while running they cover the known tokens in prefill and the computed ones in decode.
    pub(crate) table: Vec<u32>,
    /// How many blocks from the beginning are in the prefix index, and the last of them there.
    pub(crate) shared: usize,
    pub(crate) node: NodeId,
    pub(crate) timings: Timings,
}

impl Sequence {
    pub(crate) fn generated(&self) -> usize {
        self.tokens.len() - self.drafts - self.prompt_len
    }

    /// Its standing, once it was let in.
    pub(crate) fn rank(&self) -> Option<Rank> {
        self.account.as_ref().map(Account::rank)
    }

    /// Tokens that are known and not computed.
    pub(crate) fn remaining(&self) -> usize {
        self.tokens.len() - self.computed
    }

    pub(crate) fn is_prefill(&self) -> bool {
        self.phase == Phase::Prefill
    }

    /// Whether tokens of its prompt are still to be scored.
    pub(crate) fn is_scoring(&self) -> bool {
        self.scored + 1 < self.prompt_len
    }

    /// How many of the rows up to `end` score a token of the prompt.
    pub(crate) fn scores(&self, end: usize) -> usize {
        end.min(self.prompt_len - 1).saturating_sub(self.computed.max(self.scored))
    }

    /// What of its work is done and was not counted as service before. `from` is what was in the cache before the
    /// step: what others had computed of the prompt costs nothing.
    pub(crate) fn uncounted(&mut self, from: usize) -> u64 {
        let (prompt, answer) = self.counted;
        let reached = self.computed.min(self.prompt_len).max(prompt);
        let rows = reached - from.max(prompt).min(reached);
        self.counted = (reached, self.generated());
        rows as u64 * PROMPT_SERVICE + (self.generated() - answer) as u64 * ANSWER_SERVICE
    }

    /// Whether it must end before the next step.
    pub(crate) fn is_over(&self, now: Duration) -> bool {
        self.cancelled || self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// The number of blocks that the table has between steps, and during one with the planned rows.
    #[cfg(any(debug_assertions, test, fuzzing))]
    pub(crate) fn table_len(&self) -> usize {
        match self.phase {
            Phase::Prefill => super::block_cache::blocks_for(self.tokens.len()),
            Phase::Decode | Phase::Choosing => super::block_cache::blocks_for(self.computed + self.planned),
        }
    }

    /// Takes up that the planned rows are computed and that `accepted` of the drafts stand. The rows of the others
    /// are void: their positions will be computed again, before anything attends to them.
    pub(crate) fn advance(&mut self, accepted: usize) {
        let void = self.drafts - accepted;
        self.scored += self.scores(self.computed + self.planned - self.drafts);
        self.tokens.truncate(self.tokens.len() - void);
        self.computed += self.planned - void;
        if let Some(lookup) = &mut self.lookup {
            lookup.learn(self.drafts, accepted);
        }
        self.drafts = 0;
        self.planned = 0;
    }

    /// Appends a sampled token, which is to be computed next.
    pub(crate) fn push(&mut self, token: u32, now: Duration, stats: &mut EngineStats) {
        self.tokens.push(token);
        self.phase = Phase::Decode;
        stats.generated_tokens += 1;
        if self.timings.first_token.is_none() {
            self.timings.first_token = Some(now);
            stats.time_to_first_token.add(now.saturating_sub(self.timings.submitted));
        }
    }

    /// Forgets everything that was computed. The caller has given back the table.
    pub(crate) fn reset(&mut self) {
        debug_assert!(self.table.is_empty() && self.drafts == 0);
        self.phase = Phase::Prefill;
        self.computed = 0;
        self.planned = 0;
        self.shared = 0;
        self.node = NodeId::root(self.adapter);
    }
}
