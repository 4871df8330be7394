//! Continuous batching: many requests of any lengths in one ragged batch, step by step.

pub mod executor;
pub mod request;
pub mod sampling;

pub use executor::Executor;
pub use request::{FinishReason, Flow, Outcome, Request, RequestId, Sink, Timings};
pub use sampling::{SampledToken, Sampler, SamplingParams};
