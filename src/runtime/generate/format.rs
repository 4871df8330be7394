//! What a request demands of the form of its answers, as a grammar.

use std::sync::Arc;

use serde_json::Value;

use super::super::generation::GenerationEntity;
use crate::chat::ToolFormat;
use crate::error::{Error, Result};
use crate::grammar::{Choice, Grammar, GrammarError, GrammarSource, ToolSignature};
use crate::protocol::{ChatRequest, ResponseFormat, Tool, ToolChoice};

/// The grammar of a request's answers, if they are not free.
///
/// # Errors
/// A schema or a grammar that is malformed, not supported, or that nothing satisfies.
pub(super) fn grammar(
    entity: &GenerationEntity,
    format: ToolFormat,
    request: &ChatRequest,
    offered: &[Tool],
) -> Result<Option<Arc<Grammar>>> {
    let text = match &request.response_format {
        None | Some(ResponseFormat::Text) => None,
        Some(ResponseFormat::JsonObject) => Some(GrammarSource::JsonObject),
        Some(ResponseFormat::JsonSchema(format)) => Some(GrammarSource::JsonSchema(format.schema.clone())),
        Some(ResponseFormat::Regex(pattern)) => Some(GrammarSource::Regex(pattern.clone())),
        Some(ResponseFormat::Lark(grammar)) => Some(GrammarSource::Lark(grammar.clone())),
    };
    let source = match offered {
        [] => text,
        tools => Some(GrammarSource::Tools {
            format,
            tools: tools.iter().map(signature).collect(),
            choice: match &request.tool_choice {
                Some(ToolChoice::Required) => Choice::Required,
                Some(ToolChoice::Function(name)) => Choice::Function(name.clone()),
                _ => text.map_or(Choice::Auto, |form| Choice::AutoOr(Box::new(form))),
            },
            parallel: request.parallel_tool_calls.unwrap_or(true),
        }),
    };
    source.map(|source| entity.grammar(source).map_err(|error| placed(error, offered))).transpose()
}

fn signature(tool: &Tool) -> ToolSignature {
    let function = tool.definition();
    ToolSignature {
        name: function.name.clone(),
        parameters: function.parameters.clone().unwrap_or(Value::Null),
    }
}

/// The error under the path that the request has for what is wrong.
fn placed(error: GrammarError, offered: &[Tool]) -> Error {
    // What a limit is of begins with its place, as far as it has one.
    let place = match &error {
        GrammarError::Schema { path, .. } => Some(path.as_str()),
        GrammarError::Limit { what, .. } => what.split(':').next(),
        _ => None,
    };
    let path = match place {
        Some(place) if place.starts_with("tools[") => {
            place.replacen(".parameters", ".function.parameters", 1)
        }
        Some(place) if place.starts_with("schema") => format!("response_format.json_schema.{place}"),
        _ if offered.is_empty() => "response_format".to_owned(),
        _ => "tools".to_owned(),
    };
    let kind = Error::from(error.clone()).kind();
    let message = match &error {
        GrammarError::Schema { reason, .. } => format!("`{path}`: {reason}"),
        other => format!("`{path}`: {other}"),
    };
    Error::new(kind, message).with_source(error).with_param(path)
}
