//! What callers are told about an endpoint.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::entity::EntityInfo;
use super::plan::LoadPlan;
use crate::catalog::Offering;
use crate::error::{Error, ErrorKind};
use crate::models::Task;
use crate::protocol::{Normalize, PoolingMode};

/// What an endpoint serves.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EndpointInfo {
    /// The endpoint's name.
    pub name: String,
    /// The exact version that answers.
    pub version: String,
    /// Where the model was read from.
    pub path: PathBuf,
    /// What the model does.
    pub task: Task,
    /// The most tokens of one request, prompt and answer together; of an encoder, the most tokens of one text.
    pub context_length: usize,
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Whether the model has a chat template.
    pub chat: bool,
    /// What its vectors are, if it makes any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<EmbeddingInfo>,
    /// The adapters that are loaded, in order of name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub adapters: Vec<AdapterInfo>,
    /// What computes.
    pub backend: &'static str,
    /// What the load took.
    pub plan: LoadPlan,
    /// How it is offered.
    pub offering: Offering,
    /// Everything that is served under the name. What stands above is about the first of them that gets requests.
    pub entities: Vec<EntityInfo>,
    /// Models that are no longer served and stay loaded until the last request on them has ended.
    #[serde(skip_serializing_if = "is_zero")]
    pub draining: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// An adapter beside a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AdapterInfo {
    /// What requests call it.
    pub name: String,
    /// The exact version that answers with it: the model's, its name, and the beginning of its digest.
    pub version: String,
    /// Where it was read from.
    pub path: PathBuf,
    /// The largest rank of its factors.
    pub rank: usize,
    /// The last parts of the names of the modules that it changes.
    pub modules: Vec<String>,
    /// Bytes of memory that it takes.
    pub bytes: u64,
    /// SHA-256 over its configuration and its weights.
    pub digest: String,
}

/// What the vectors of an endpoint are when a request asks for nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EmbeddingInfo {
    /// Values of a vector.
    pub dimension: usize,
    /// The most tokens of one text, special tokens included.
    pub max_tokens: usize,
    /// How a text's rows become its vector.
    pub pooling: PoolingMode,
    /// `l2` when vectors have unit length, else `none`.
    pub normalize: Normalize,
    /// The model's own prompts, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub prompts: BTreeMap<String, String>,
    /// The name of the prompt that is put before texts when a request names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_prompt: Option<String>,
}

impl EndpointInfo {
    /// The error of a request for what this endpoint does not do.
    pub(super) fn wrong_task(&self, asked: &str) -> Error {
        let name = &self.name;
        let does = match self.task {
            Task::Generation => "generates text: ask it for completions or chat",
            Task::Embedding => "makes embeddings: ask it for those",
        };
        let message = format!("endpoint `{name}` does not do {asked}; it {does}");
        Error::new(ErrorKind::Unsupported, message).with_param("model")
    }
}
