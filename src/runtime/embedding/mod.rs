//! Endpoints that embed: texts to tokens, tokens to the engine, vectors back to the caller.

mod entity;
mod executor;
mod inputs;
mod options;
mod pending;
mod plan;
mod vectors;

pub(super) use entity::{EmbeddingEntity, engine_options};
pub use options::EmbedOptions;
pub use pending::{EmbeddingProgress, PendingEmbeddings};
pub use vectors::{EmbeddingRow, Embeddings};

use crate::backend::Pooling;
use crate::protocol::PoolingMode;

/// What the protocol calls this pooling.
fn mode(pooling: Pooling) -> PoolingMode {
    match pooling {
        Pooling::First => PoolingMode::Cls,
        Pooling::Mean => PoolingMode::Mean,
        Pooling::Last => PoolingMode::Last,
    }
}

/// What the backend calls this mode.
fn pooling(mode: PoolingMode) -> Pooling {
    match mode {
        PoolingMode::Cls => Pooling::First,
        PoolingMode::Mean => Pooling::Mean,
        PoolingMode::Last => Pooling::Last,
    }
}
