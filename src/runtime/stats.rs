//! What a runtime is doing, as plain numbers.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::embedding::EmbeddingStats;
use crate::engine::EngineStats;

/// A snapshot of a runtime.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RuntimeStats {
    /// Bytes of the memory budget that are left; `None` without a budget.
    pub memory_available_bytes: Option<u64>,
    /// Every endpoint, in order of name.
    pub endpoints: Vec<EndpointStats>,
}

/// A snapshot of an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EndpointStats {
    /// The endpoint's name.
    pub name: String,
    /// The version that answers.
    pub version: String,
    /// Queue, batch, cache, tokens and times, of an endpoint that generates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineStats>,
    /// Queue, batches, texts, tokens and times, of an endpoint that embeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<EmbeddingStats>,
    /// The same of each served entity, by its name; what stands above is about the first that gets requests.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub entities: BTreeMap<String, EndpointStats>,
}
