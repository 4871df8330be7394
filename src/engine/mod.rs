//! Continuous batching: many requests of any lengths in one ragged batch, step by step.
//!
//! [`Engine`] is the whole of it: requests go in, tokens come out at each request's [`Sink`]. Inside, one thread (the
//! worker) owns a scheduler, which is a pure state machine over the paged block cache and the prefix index, and an
//! [`Executor`], which computes the steps. What a request gets never depends on what else runs.
//!
//! Rules of scheduling:
//! - Every running decode is in every step; prefill chunks fill the rest of the step up to the bounds of
//!   [`EngineOptions`].
//! - Callers ([`CallerId`](crate::fairness::CallerId)) share the engine fairly: whoever was served least goes next. The
//!   requests of one caller stand in the order of their priority, then of their submission. Waiting counts: a level of
//!   priority is worth [`EngineOptions::service_per_priority`] of service, and nobody overtakes the first in the queue;
//!   so every request's turn comes, whatever arrives after it.
//! - When the cache is full, whoever stands last gives up its blocks and is computed again later. So does whoever stands
//!   in the way of a request with a better standing: of the same caller any, of another one that runs ahead of its turn.
//!   The caller sees a pause and the same tokens.
//! - Cancels and deadlines take effect before the next step.
//! - A request may ask for drafts ([`Request::prompt_lookup_tokens`]). They take what a step has left: no row and no
//!   block that anybody else could have in that step.

mod block_cache;
mod draft;
pub mod executor;
mod handle;
#[cfg(any(debug_assertions, test, fuzzing))]
mod invariants;
mod lru;
mod options;
mod plan;
mod prefix_index;
mod queue;
pub mod request;
pub mod sampling;
mod saving;
mod scheduler;
mod sequence;
mod stats;
mod step;
#[doc(hidden)]
#[cfg(any(test, fuzzing))]
pub mod testing;
#[cfg(test)]
mod tests;
mod worker;

pub use draft::MAX_DRAFT_TOKENS;
pub use executor::Executor;
pub use handle::{Engine, Waker};
pub use options::EngineOptions;
pub(crate) use options::logit_rows;
pub use request::{Allowed, FinishReason, Flow, Outcome, Request, RequestId, Sink, Timings};
pub use sampling::{SampledToken, Sampler, SamplingParams};
pub use saving::SavedBlocks;
pub use scheduler::MAX_PRIORITY;
pub use stats::EngineStats;
