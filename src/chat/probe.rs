//! What a chat template can do, found by trying it.
//!
//! Sources say little: a template may mention tools and drop them, take arguments as text or as an object, or refuse a
//! system message in the words of another rule. So short conversations are rendered, and what they say is looked for in
//! the prompt.

use serde_json::{Value, json};

use super::dialect::{CallStyle, Dialect, END_THINK, SystemMessage, THINK};
use super::error::TemplateError;
use super::output::{Event, OutputOptions, OutputParser};
use super::tool_format::ToolFormat;

/// Renders messages, with or without tools, up to the beginning of an answer.
type Render<'a> = dyn Fn(&Value, Option<&Value>) -> Result<String, TemplateError> + 'a;

// Words that no template has of its own.
const SAYS: &str = "qzu1";
const SYSTEM: &str = "qzs2";
const TOOL: &str = "qzt3";
const RESULT: &str = "qzr4";
const BESIDE: &str = "qzb5";
/// A call's arguments; the spaces are Python's.
const ARGUMENTS: &str = r#"{"qzk6": "qzv7"}"#;
/// How LlamaGuard's task begins.
const GUARD: &str = "<BEGIN UNSAFE CONTENT CATEGORIES>";

/// The dialect of the template with this source, which `render` renders.
pub(super) fn dialect(source: &str, render: &Render<'_>) -> Dialect {
    let plain = render(&json!([user(false)]), None);
    let parts = !says(&plain, SAYS) && says(&render(&json!([user(true)]), None), SAYS);
    let mut dialect = Dialect {
        parts,
        classifies: source.contains(GUARD),
        reasons: source.contains(THINK) || source.contains(END_THINK),
        ..Dialect::default()
    };
    if !parts && plain.is_err() {
        // Nothing can be tried: what the template refuses, it refuses in its own words.
        dialect.system = SystemMessage::Always;
        return dialect;
    }
    dialect.opens_reasoning = plain.is_ok_and(|prompt| dialect.prompt_opens_reasoning(&prompt));
    let conversation = json!([{"role": "system", "content": content(SYSTEM, parts)}, user(parts)]);
    if says(&render(&conversation, None), SYSTEM) {
        dialect.system = SystemMessage::Always;
    } else if says(&render(&conversation, Some(&tools())), SYSTEM) {
        dialect.system = SystemMessage::WithTools;
    }
    if parts || dialect.classifies {
        return dialect;
    }
    let described = says(&render(&json!([user(false)]), Some(&tools())), TOOL);
    if let Some((format, style)) = calls(described, render) {
        dialect.format = format;
        dialect.calls = Some(style);
        dialect.renders_tools = described;
    }
    dialect
}

/// In which notation the template writes calls, and how it wants them.
fn calls(described: bool, render: &Render<'_>) -> Option<(ToolFormat, CallStyle)> {
    let tools = described.then(tools);
    for (object, null) in [(true, true), (true, false), (false, true), (false, false)] {
        let content = if null { Value::Null } else { json!("") };
        let prompt = render(&json!([user(false), call(object, content), result()]), tools.as_ref());
        if !says(&prompt, RESULT) {
            continue;
        }
        let read = |format: &ToolFormat| prompt.as_ref().is_ok_and(|prompt| reads_back(*format, prompt));
        let Some(format) = ToolFormat::ALL.into_iter().find(read) else { continue };
        let both = render(&json!([user(false), call(object, json!(BESIDE)), result()]), tools.as_ref()).ok();
        let apart = !both.is_some_and(|prompt| prompt.contains(TOOL) && reads_back(format, &prompt));
        return Some((format, CallStyle { object, null, apart }));
    }
    None
}

/// Whether the prompt has the call in this notation. The description of the tools may show the notation as well.
fn reads_back(format: ToolFormat, prompt: &str) -> bool {
    let read = |text: Option<&str>| text.is_some_and(|text| is_call(format, text));
    match format {
        ToolFormat::Llama => prompt
            .match_indices(&format!(r#""name": "{TOOL}", "parameters""#))
            .any(|(at, _)| read(prompt.get(prompt.get(..at).and_then(|s| s.rfind('{')).unwrap_or(at)..))),
        ToolFormat::Mistral | ToolFormat::DeepSeek | ToolFormat::Generic => {
            let begin = format.markers().first().copied().unwrap_or_default();
            prompt.match_indices(begin).any(|(at, _)| read(prompt.get(at..)))
        }
    }
}

/// Whether the text begins with the call.
fn is_call(format: ToolFormat, text: &str) -> bool {
    let options =
        OutputOptions { tools: vec![TOOL.to_owned()], spelled_markers: true, ..OutputOptions::default() };
    let mut parser = OutputParser::new(&Dialect { format, ..Dialect::default() }, options);
    let mut events = Vec::new();
    parser.text(text, &mut events);
    parser.finish(&mut events);
    match events.as_slice() {
        [Event::Call { .. }, Event::Arguments(arguments), ..] => {
            serde_json::from_str::<Value>(arguments).ok() == serde_json::from_str(ARGUMENTS).ok()
        }
        _ => false,
    }
}

fn says(prompt: &Result<String, TemplateError>, what: &str) -> bool {
    prompt.as_ref().is_ok_and(|prompt| prompt.contains(what))
}

fn content(text: &str, parts: bool) -> Value {
    if parts { json!([{"type": "text", "text": text}]) } else { json!(text) }
}

fn user(parts: bool) -> Value {
    json!({"role": "user", "content": content(SAYS, parts)})
}

fn tools() -> Value {
    json!([{"type": "function", "function": {
        "name": TOOL, "description": "d", "parameters": {"type": "object", "properties": {}},
    }}])
}

fn call(object: bool, content: Value) -> Value {
    let arguments = if object { json!({"qzk6": "qzv7"}) } else { json!(ARGUMENTS) };
    json!({"role": "assistant", "content": content, "tool_calls": [{
        "id": "qzi000008", "type": "function", "function": {"name": TOOL, "arguments": arguments},
    }]})
}

fn result() -> Value {
    json!({"role": "tool", "tool_call_id": "qzi000008", "name": TOOL, "content": RESULT})
}

#[cfg(test)]
mod tests;
