//! What the ledger knows of one request.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::catalog::{Offering, Subject, Task};

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The finish reason ("stop", "length", "tool_calls"), or the code of the error
    /// ([`ErrorKind::code`](crate::error::ErrorKind::code)).
    #[serde(rename = "outcome")]
    pub reason: String,
    /// The HTTP status that a hosted API would answer with; 200 if it ended well.
    pub status_code: u16,
}

impl Outcome {
    /// It ended well.
    pub fn finished(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), status_code: 200 }
    }

    /// It failed.
    pub fn failed(kind: crate::error::ErrorKind) -> Self {
        Self { reason: kind.code().into(), status_code: kind.status() }
    }
}

/// How long a request was in which state; what it never came to is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Phases {
    /// From submission to its first step.
    #[serde(rename = "queued_seconds", with = "seconds")]
    pub queued: Option<Duration>,
    /// From its first step to its first token.
    #[serde(rename = "prefill_seconds", with = "seconds")]
    pub prefill: Option<Duration>,
    /// From its first token to its end.
    #[serde(rename = "decode_seconds", with = "seconds")]
    pub decode: Option<Duration>,
    /// From submission to its first token.
    #[serde(rename = "first_token_seconds", with = "seconds")]
    pub first_token: Option<Duration>,
}

/// One request, once. In JSON the names are those of the columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// Names the request. A second record of the same name is ignored: a request is billed once.
    pub request_id: String,
    /// The caller's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_request_id: Option<String>,
    /// Who asked; empty for somebody unknown.
    pub requester: String,
    /// The endpoint.
    pub endpoint_name: String,
    /// Which of the endpoint's entities served it.
    pub served_entity_name: String,
    /// The registered model `catalog.schema.model`, or the name of a model that is not registered.
    pub entity_name: String,
    /// The version of the registered model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_version: Option<u64>,
    /// The id that the response named.
    pub response_model: String,
    /// What the timeline of retirements knows the model as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// What the model did.
    pub task: Task,
    /// As what it was offered.
    pub offering: Offering,
    /// Whether it got past admission. Only such requests count against limits and as a use of their subject.
    pub admitted: bool,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Tokens of the prompt, with all that templates add.
    pub input_token_count: u64,
    /// Of these, tokens that were computed before.
    pub cached_token_count: u64,
    /// Generated tokens.
    pub output_token_count: u64,
    /// Of these, tokens of reasoning.
    pub reasoning_token_count: u64,
    /// How long it was in which state.
    #[serde(flatten)]
    pub phases: Phases,
    /// When it was submitted. Kept to the microsecond.
    pub request_time: Timestamp,
    /// When it ended. Kept to the microsecond.
    pub finish_time: Timestamp,
    /// Whether the answer was streamed.
    pub request_streaming: bool,
    /// What the caller wants to find with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_context: Option<Map<String, Value>>,
}

/// Durations as seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
    pub(super) fn serialize<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        value.map(|duration| duration.as_secs_f64()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(from)?;
        seconds.map(Duration::try_from_secs_f64).transpose().map_err(serde::de::Error::custom)
    }
}
