//! What an engine has done so far, as plain numbers.

use serde::{Deserialize, Serialize};

use crate::clock::DurationStats;

/// A snapshot of an engine: what is in it now, and totals since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EngineStats {
    /// Requests that wait to run, preempted ones included.
    pub queued: usize,
    /// Sequences that are in the cache.
    pub running: usize,
    /// Blocks of the cache.
    pub blocks_total: usize,
    /// Blocks that running sequences hold.
    pub blocks_used: usize,
    /// Blocks that nobody holds and whose content can be shared.
    pub blocks_cached: usize,
    /// Steps computed.
    pub steps: u64,
    /// Rows of the last step.
    pub last_batch_rows: usize,
    /// Sequences in the last step.
    pub last_batch_sequences: usize,
    /// Rows per step on average.
    pub mean_batch_rows: f64,
    /// Rows computed for prompts, and again after preemptions.
    pub prefill_tokens: u64,
    /// Rows computed for single new tokens.
    pub decode_tokens: u64,
    /// Rows computed for drafts: tokens guessed ahead.
    pub draft_tokens: u64,
    /// Drafts that were what was then sampled: tokens that took no step of their own.
    pub accepted_draft_tokens: u64,
    /// Tokens generated.
    pub generated_tokens: u64,
    /// Tokens that were chosen after their step, because it was not known in time what they may be.
    pub late_choices: u64,
    /// Tokens that were not computed because they were found in the cache.
    pub prefix_hit_tokens: u64,
    /// The most prefill rows in a step that also had decode rows: the longest decode gap.
    pub longest_decode_gap: usize,
    /// Sequences that gave up their blocks and were computed again later.
    pub preemptions: u64,
    /// Requests refused because the queue was full.
    pub refused: u64,
    /// Requests that ended well.
    pub finished: u64,
    /// Requests that were cancelled, by the caller or by a shutdown.
    pub cancelled: u64,
    /// Requests whose deadline passed.
    pub expired: u64,
    /// Requests that ended with any other error.
    pub failed: u64,
    /// From submission to the first step.
    pub queue_wait: DurationStats,
    /// From submission to the first token.
    pub time_to_first_token: DurationStats,
}
