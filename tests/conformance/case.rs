//! The cases as they are written in `cases.json`. The README of this folder says what each field means.

use serde::Deserialize;
use serde_json::Value;

use super::Outcome;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) start: Option<String>,
    pub(crate) database: Option<String>,
    pub(crate) catalog: Option<String>,
    pub(crate) steps: Vec<Step>,
}

#[derive(Deserialize)]
pub(crate) struct Step {
    #[serde(flatten)]
    pub(crate) action: Action,
    /// What the result must have in it; see `expect`.
    #[serde(default)]
    pub(crate) expect: Option<Value>,
}

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Action {
    Serve { name: String, model: String },
    Remove { name: String },
    Endpoints {},
    Plan { model: String },
    Manage { operation: String, request: Value },
    Chat(Ask),
    Complete(Ask),
    Embeddings(Ask),
    StreamChat(Ask),
    StreamComplete(Ask),
    Vectors(Ask),
    Cancel { request: Value },
    Drop { request: Value },
    SetClock { now: String },
    LoadAdapter { endpoint: String, name: String, path: String },
    UnloadAdapter { endpoint: String, name: String },
    Together { steps: Vec<Step>, copies: Option<usize> },
}

#[derive(Deserialize)]
pub(crate) struct Ask {
    pub(crate) request: Value,
    #[serde(default)]
    pub(crate) options: Options,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    pub(crate) principal: Option<String>,
    pub(crate) entity: Option<String>,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) priority: Option<i32>,
    pub(crate) lifecycle: bool,
}

/// All cases, with the folders that they name put in.
pub(crate) fn read(text: &str, root: &str, scratch: &str) -> Outcome<Vec<Case>> {
    Ok(serde_json::from_str(&text.replace("@ROOT@", root).replace("@SCRATCH@", scratch))?)
}

/// The JSON text that is handed to the library.
pub(crate) fn text(request: &Value) -> String {
    match request {
        Value::String(text) => text.clone(),
        request => request.to_string(),
    }
}
