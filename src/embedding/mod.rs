//! Embeddings: the texts of all callers in batches of whole texts, without padding.
//!
//! [`EmbeddingEngine`] is the whole of it: requests of any number of texts go in, one block of vectors per request
//! comes out at its [`Sink`]. Inside, one thread (the worker) owns a batcher, which is a pure state machine, and an
//! [`Embedder`], which computes the batches. A text's vector never depends on what else is in its batch.
//!
//! Rules of batching:
//! - A batch takes texts up to a budget of tokens ([`EmbeddingOptions::max_batch_tokens`]). A text that is longer than
//!   the budget is a batch of its own; texts are never cut here.
//! - Callers ([`CallerId`](crate::fairness::CallerId)) share the engine fairly: the one of whom least was computed goes
//!   next.
//! - Texts of a caller take their turn in the order of arrival. Those of one request count as if they had arrived one after the
//!   other, each when those before it had been computed: so a request of a hundred thousand texts shares the engine
//!   with the single texts that come after it, and neither starves the other.
//! - A level of priority is worth [`EmbeddingOptions::tokens_per_priority`] tokens of waiting. Nobody overtakes the
//!   text whose turn it is, not even to fill a batch; so every text's turn comes, whatever arrives after it.
//! - Cancels and deadlines take effect before the next batch.

mod batcher;
mod embedder;
mod handle;
mod options;
mod request;
mod stats;
#[cfg(test)]
mod tests;
mod vectors;
mod worker;

pub use embedder::Embedder;
pub use handle::EmbeddingEngine;
pub use options::{EmbeddingOptions, MAX_PRIORITY};
pub use request::{Outcome, Request, RequestId, Sink, Timings};
pub use stats::EmbeddingStats;
pub use vectors::Vectors;
