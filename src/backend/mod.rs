//! What a model is computed with.

pub mod batch;

pub use batch::{BLOCK_TOKENS, Batch, Span};
