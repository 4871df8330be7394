//! One request's state inside the scheduler.

use std::time::Duration;

use super::draft::PromptLookup;
use super::prefix_index::NodeId;
use super::request::{RequestId, Timings};
use super::stats::EngineStats;
use crate::backend::AdapterId;

/// A sequence's standing among all others: less is better, no two are equal, and it never changes.
///
/// Waiting improves a standing relative to newcomers instead of changing it: the key is the step at which the
/// request came, less `steps_per_priority` steps for each level of priority. So a request of one level more stands
/// before all that came up to `steps_per_priority` steps earlier, and behind those that waited longer; and since
/// priorities are bounded, from some step on no newcomer can stand before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    key: i64,
    id: RequestId,
}

impl Rank {
    pub(crate) fn new(priority: i32, steps_per_priority: u32, step: u64, id: RequestId) -> Self {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        let lead = i64::from(priority).saturating_mul(i64::from(steps_per_priority));
        Self { key: step.saturating_sub(lead), id }
    }
}

/// What a running sequence does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Known tokens are still to be computed: the prompt, and after a preemption what was generated.
    Prefill,
    /// Only the newest token is still to be computed.
    Decode,
}

/// A request that waits or runs.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) id: RequestId,
    pub(crate) rank: Rank,
    pub(crate) adapter: AdapterId,
    /// The prompt and what was generated; while a step is planned, its drafts behind them.
    pub(crate) tokens: Vec<u32>,
    /// How many of the last tokens are drafts.
    pub(crate) drafts: usize,
    /// Guesses drafts, if the request asked for them.
    pub(crate) lookup: Option<PromptLookup>,
    pub(crate) prompt_len: usize,
    pub(crate) max_tokens: usize,
    pub(crate) deadline: Option<Duration>,
    pub(crate) cancelled: bool,
    pub(crate) phase: Phase,
    /// Positions whose keys and values are in the cache.
    pub(crate) computed: usize,
    /// Rows in the step that is planned.
    pub(crate) planned: usize,
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

    /// Tokens that are known and not computed.
    pub(crate) fn remaining(&self) -> usize {
        self.tokens.len() - self.computed
    }

    pub(crate) fn is_prefill(&self) -> bool {
        self.phase == Phase::Prefill
    }

    /// Whether it never was part of a step.
    pub(crate) fn is_new(&self) -> bool {
        self.timings.started.is_none() && self.timings.preemptions == 0
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
            Phase::Decode => super::block_cache::blocks_for(self.computed + self.planned),
        }
    }

    /// Takes up that the planned rows are computed and that `accepted` of the drafts stand. The rows of the others
    /// are void: their positions will be computed again, before anything attends to them.
    pub(crate) fn advance(&mut self, accepted: usize) {
        let void = self.drafts - accepted;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priority_first_then_arrival_and_waiting_counts() {
        let rank = |priority, step, id| Rank::new(priority, 10, step, RequestId(id));
        assert!(rank(1, 5, 2) < rank(0, 5, 1), "higher priority");
        assert!(rank(0, 5, 1) < rank(0, 5, 2), "then the order of arrival");
        assert!(rank(0, 5, 3) < rank(0, 6, 2));
        assert!(rank(1, 14, 2) < rank(0, 5, 1), "a level is worth ten steps");
        assert!(rank(0, 5, 1) < rank(1, 15, 2), "and no more");
        assert!(rank(i32::MAX, u64::MAX, 1) < rank(i32::MIN, u64::MAX, 1), "no overflow");
    }
}
