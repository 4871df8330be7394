//! The lives of models: announcing, looking up, telling.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{give, read};
use crate::error::Result;
use crate::lifecycle::{Draft, FoundationModelLifecycle, Status};
use crate::runtime::ModelRuntime;

pub(super) const OPERATIONS: &[&str] = &[
    "lifecycle.revise",
    "lifecycle.revisions",
    "lifecycle.status",
    "lifecycle.model_card",
    "lifecycle.fine_tuning_models",
    "lifecycle.documents",
    "lifecycle.tell",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfEndpoint {
    endpoint: String,
    #[serde(default)]
    principal: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfModel {
    name: String,
    #[serde(default)]
    principal: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Of {
    #[serde(default)]
    principal: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct At {
    at: Option<Timestamp>,
}

/// A status, and what others make of it.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    status: Status,
    /// The value of the header `Deprecation` (RFC 9745).
    deprecation: Option<String>,
    /// The value of the header `Sunset` (RFC 8594).
    sunset: Option<String>,
    /// The field of OpenAI's model object.
    shutdown_date: Option<jiff::civil::Date>,
    /// Bedrock's lifecycle object.
    foundation_model_lifecycle: Option<FoundationModelLifecycle>,
}

#[derive(Serialize)]
struct Markdown {
    markdown: String,
}

pub(super) fn manage(runtime: &ModelRuntime, name: &str, request: &[u8]) -> Option<Result<Value>> {
    let operation = match name {
        "revise" => |runtime: &ModelRuntime, request: &[u8]| give(runtime.revise(&read::<Draft>(request)?)?),
        "revisions" => |runtime: &ModelRuntime, request: &[u8]| {
            let Nothing {} = read(request)?;
            give(runtime.timeline()?.revisions())
        },
        "status" => status,
        "model_card" => |runtime: &ModelRuntime, request: &[u8]| {
            let OfModel { name, principal } = read(request)?;
            give(runtime.model_card(&name, &principal))
        },
        "fine_tuning_models" => |runtime: &ModelRuntime, request: &[u8]| {
            give(runtime.fine_tuning_models(&read::<Of>(request)?.principal))
        },
        "documents" => |runtime: &ModelRuntime, request: &[u8]| {
            give(Markdown { markdown: runtime.lifecycle_documents(read::<At>(request)?.at)? })
        },
        "tell" => |runtime: &ModelRuntime, request: &[u8]| {
            runtime.tell_lifecycle(&read::<Of>(request)?.principal);
            Ok(Value::Null)
        },
        _ => return None,
    };
    Some(operation(runtime, request))
}

fn status(runtime: &ModelRuntime, request: &[u8]) -> Result<Value> {
    let OfEndpoint { endpoint, principal } = read(request)?;
    let status = runtime.lifecycle(&endpoint, &principal)?;
    give(Told {
        deprecation: status.deprecation_header(),
        sunset: status.sunset_header(),
        shutdown_date: status.shutdown_date(),
        foundation_model_lifecycle: status.foundation_model_lifecycle(),
        status,
    })
}
