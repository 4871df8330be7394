//! The vectors of a request as callers see them.

use crate::embedding::{Timings, Vectors};
use crate::protocol::{
    EmbeddingData, EmbeddingListObject, EmbeddingObject, EmbeddingResponse, EmbeddingUsage, EmbeddingVector,
    EncodingFormat, Normalize, PoolingMode,
};

/// What became of one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmbeddingRow {
    /// Tokens that were computed, special tokens included.
    pub tokens: usize,
    /// Whether the text was longer than the endpoint takes and was cut.
    pub truncated: bool,
}

/// The vectors of all texts of a request, in its order: one contiguous block of `rows x dimension` values.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    pub(super) vectors: Vectors,
    pub(super) rows: Vec<EmbeddingRow>,
    pub(super) applied: Applied,
    pub(super) timings: Timings,
}

/// What was done to make vectors.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Applied {
    pub(super) version: String,
    pub(super) normalize: Normalize,
    pub(super) pooling: PoolingMode,
    pub(super) lifecycle: Option<serde_json::Value>,
}

impl Embeddings {
    /// The number of vectors: as many as there were texts.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none; a request has at least one text.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The number of values of a vector.
    pub fn dimension(&self) -> usize {
        self.vectors.dimension()
    }

    /// All values, row by row, where they lie.
    pub fn values(&self) -> &[f32] {
        self.vectors.values()
    }

    /// All values, row by row.
    pub fn into_values(self) -> Vec<f32> {
        self.vectors.into_values()
    }

    /// The vector of one text.
    pub fn get(&self, index: usize) -> Option<&[f32]> {
        self.iter().nth(index)
    }

    /// The vectors, in the order of the texts.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values().chunks_exact(self.dimension())
    }

    /// What became of each text.
    pub fn rows(&self) -> &[EmbeddingRow] {
        &self.rows
    }

    /// Tokens of all texts that were computed.
    pub fn total_tokens(&self) -> usize {
        self.rows.iter().map(|row| row.tokens).sum()
    }

    /// The exact version that answered.
    pub fn version(&self) -> &str {
        &self.applied.version
    }

    /// What was applied: `none` or `l2`.
    pub fn normalize(&self) -> Normalize {
        self.applied.normalize
    }

    /// How the rows of a text became its vector.
    pub fn pooling(&self) -> PoolingMode {
        self.applied.pooling
    }

    /// When things happened to the request.
    pub fn timings(&self) -> &Timings {
        &self.timings
    }

    /// The response in the OpenAI shape.
    pub fn to_response(&self, format: EncodingFormat) -> EmbeddingResponse {
        let data = self.iter().zip(&self.rows).enumerate().map(|(index, (vector, row))| EmbeddingData {
            object: EmbeddingObject::Embedding,
            index,
            embedding: EmbeddingVector::new(vector, format),
            tokens: row.tokens,
            truncated: row.truncated,
        });
        let tokens = self.total_tokens() as u64;
        EmbeddingResponse {
            object: EmbeddingListObject::List,
            data: data.collect(),
            model: self.applied.version.clone(),
            usage: EmbeddingUsage { prompt_tokens: tokens, total_tokens: tokens },
            normalize: self.applied.normalize,
            pooling: self.applied.pooling,
            x_lifecycle: self.applied.lifecycle.clone(),
        }
    }
}
