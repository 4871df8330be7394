//! The generic form of tool calls, for models whose chat template knows no tools: DBRX, MPT, Llama 2 and 3, Mistral 7B v0.1
//! and v0.2, Mixtral, and everything else in no notation of [`ToolFormat`]'s own.
//!
//! **Tools** are described in the system message, behind what the caller's says. Where the template takes no system
//! message, they are described before the text of the first user message:
//!
//! ```text
//! You can call functions. They are given as a JSON list:
//! [{"type": "function", "function": {"name": "weather", "parameters": {...}}}]
//!
//! To call a function, write its name and its arguments in this form, and nothing after the last call:
//! <tool_call>
//! {"name": "NAME", "arguments": {"ARGUMENT": VALUE}}
//! </tool_call>
//! Results are given back between <tool_response> and </tool_response>. If no function helps, answer without a call.
//! ```
//!
//! **Calls** are text of the assistant, behind what it says beside them, one block for each:
//!
//! ```text
//! <tool_call>
//! {"name": "weather", "arguments": {"city": "Rome"}}
//! </tool_call>
//! ```
//!
//! **Results** are text of the user. Those that follow each other are one message, and so is a user message behind them:
//! the roles alternate, as many templates demand. A result that is a JSON object or list stands there as it is, any other
//! as a JSON string:
//!
//! ```text
//! <tool_response>
//! {"name": "weather", "content": {"celsius": 21}}
//! </tool_response>
//! ```
//!
//! **Answers** are read by the same tags ([`OutputParser`](super::OutputParser)): white space around them is tolerated, a
//! closing tag that is missing is, too; `parameters` is read as `arguments`; members other than these are ignored; an object
//! that names no tool on offer is text.
//!
//! A template that writes calls in a notation of its own but does not describe tools (DeepSeek V3 and R1) keeps its
//! notation: the description shows that one instead, and calls and results are left to the template.

use serde_json::Value;

use super::error::TemplateError;
use super::tool_format::ToolFormat;
use super::values::from_json;
use super::write::{self, JsonStyle};

/// What the model is told of its tools.
pub(super) fn instructions(tools: &[Value], format: ToolFormat) -> Result<String, TemplateError> {
    let list = json(&Value::Array(tools.to_vec()))?;
    let form = match format {
        ToolFormat::Generic => {
            "<tool_call>\n{\"name\": \"NAME\", \"arguments\": {\"ARGUMENT\": VALUE}}\n</tool_call>"
        }
        ToolFormat::Llama => "{\"name\": \"NAME\", \"parameters\": {\"ARGUMENT\": VALUE}}",
        ToolFormat::Mistral => "[TOOL_CALLS][{\"name\": \"NAME\", \"arguments\": {\"ARGUMENT\": VALUE}}]",
        ToolFormat::DeepSeek => {
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\n```json\n{\"ARGUMENT\": VALUE}\n```\
             <｜tool▁call▁end｜><｜tool▁calls▁end｜>"
        }
    };
    let results = match format {
        ToolFormat::Generic => "Results are given back between <tool_response> and </tool_response>. ",
        ToolFormat::Llama | ToolFormat::Mistral | ToolFormat::DeepSeek => "",
    };
    Ok(format!(
        "You can call functions. They are given as a JSON list:\n{list}\n\n\
         To call a function, write its name and its arguments in this form, and nothing after the last call:\n\
         {form}\n{results}If no function helps, answer without a call."
    ))
}

/// A call, as text of the assistant. `arguments` is the JSON text of an object.
pub(super) fn call(name: &str, arguments: &str) -> String {
    let name = Value::from(name);
    format!("<tool_call>\n{{\"name\": {name}, \"arguments\": {arguments}}}\n</tool_call>")
}

/// The result of a call, as text of the user; the name where the call is in the conversation.
pub(super) fn response(name: Option<&str>, content: &str) -> String {
    let name = name.map(|name| format!("\"name\": {}, ", Value::from(name))).unwrap_or_default();
    let structured = matches!(serde_json::from_str::<Value>(content), Ok(Value::Object(_) | Value::Array(_)));
    let content = if structured { content.trim().to_owned() } else { Value::from(content).to_string() };
    format!("<tool_response>\n{{{name}\"content\": {content}}}\n</tool_response>")
}

/// JSON with a space behind every comma and colon, as Python writes it and models have mostly seen it.
fn json(value: &Value) -> Result<String, TemplateError> {
    let style = JsonStyle {
        ensure_ascii: false,
        indent: None,
        separators: (", ".to_owned(), ": ".to_owned()),
        sort_keys: false,
    };
    write::json(&from_json(value)?, &style, &|_| Ok(()))
        .map_err(|e| TemplateError::Render { line: 0, message: format!("the tools: {e}") })
}
