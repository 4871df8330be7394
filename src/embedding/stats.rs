//! What an embedding engine has done so far, as plain numbers.

use serde::{Deserialize, Serialize};

use crate::clock::DurationStats;

/// A snapshot of an embedding engine: what is in it now, and totals since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmbeddingStats {
    /// Requests that wait for their first batch.
    pub queued: usize,
    /// Requests of which some texts are done and others are not.
    pub running: usize,
    /// Texts that wait to be part of a batch.
    pub waiting_texts: usize,
    /// Batches computed.
    pub batches: u64,
    /// Texts of the last batch.
    pub last_batch_texts: usize,
    /// Tokens of the last batch.
    pub last_batch_tokens: usize,
    /// Tokens per batch on average.
    pub mean_batch_tokens: f64,
    /// Texts computed.
    pub texts: u64,
    /// Tokens computed.
    pub tokens: u64,
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
    /// From submission to the first batch.
    pub queue_wait: DurationStats,
    /// From submission to the end, of requests that ended well.
    pub total_time: DurationStats,
}
