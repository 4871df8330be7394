//! Conversations in the form that a model's template takes.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::call_ids::CallIds;
use super::dialect::{CallStyle, Dialect, SystemMessage};
use super::error::TemplateError;
use super::generic_form;
use super::tool_format::ToolFormat;

impl Dialect {
    /// Puts a conversation into the form that the template takes: the messages and tools for
    /// [`TemplateInput`](super::TemplateInput).
    ///
    /// `messages` have the OpenAI shape: `role`, `content` (a string or null), and where there are any `tool_calls`
    /// (`arguments` is JSON text), `tool_call_id`, `reasoning_content`. `tools` are `{"type": "function", "function":
    /// {...}}`; none where none are offered. What the template does not render itself becomes text, see
    /// [`generic_form`](super::generic_form).
    ///
    /// # Errors
    /// [`TemplateError::NotTaken`], naming the place: a system message that the template would refuse or drop, tools or calls
    /// for a model that classifies, arguments of an earlier call that are not the JSON text of an object.
    pub fn messages(
        &self,
        messages: &[Value],
        tools: &[Value],
    ) -> Result<(Value, Option<Value>), TemplateError> {
        self.check(messages, tools)?;
        let mut conversation = Conversation::new(self);
        for (index, message) in messages.iter().enumerate() {
            match message.as_object() {
                Some(fields) => conversation.add(index, fields)?,
                None => conversation.push(message.clone()),
            }
        }
        let mut messages = conversation.messages;
        let native = self.renders_tools && !tools.is_empty();
        if !tools.is_empty() && !native {
            self.describe(&generic_form::instructions(tools, self.format)?, &mut messages);
        }
        if self.parts {
            messages.iter_mut().for_each(split_content);
        }
        Ok((Value::Array(messages), native.then(|| Value::Array(tools.to_vec()))))
    }

    /// Refuses what this model does not take.
    fn check(&self, messages: &[Value], tools: &[Value]) -> Result<(), TemplateError> {
        if self.classifies && !tools.is_empty() {
            return Err(TemplateError::NotTaken {
                param: "tools".to_owned(),
                value: format!("a list of {}", tools.len()),
                accepted: "this model classifies conversations and calls no tools",
            });
        }
        let system = self.takes_system_message(self.renders_tools && !tools.is_empty());
        for (index, message) in messages.iter().enumerate() {
            let role = message["role"].as_str().unwrap_or_default();
            let accepted = match role {
                "system" if self.classifies => "this model classifies a conversation of user and assistant",
                "system" if !system && self.system == SystemMessage::WithTools => {
                    "this model's template takes a system message only beside tools"
                }
                "system" if !system => "this model takes no system message, only user, assistant and tool",
                "tool" if self.classifies => "this model classifies a conversation of user and assistant",
                _ if self.classifies && !calls(message).is_empty() => {
                    return Err(TemplateError::NotTaken {
                        param: format!("messages[{index}].tool_calls"),
                        value: format!("a list of {}", calls(message).len()),
                        accepted: "this model classifies conversations without tool calls",
                    });
                }
                _ => continue,
            };
            let (param, value) = (format!("messages[{index}].role"), format!("{role:?}"));
            return Err(TemplateError::NotTaken { param, value, accepted });
        }
        Ok(())
    }

    /// Puts the description of the tools into the system message, or else before the first user message's text.
    fn describe(&self, instructions: &str, messages: &mut Vec<Value>) {
        let (role, system) =
            if self.takes_system_message(false) { ("system", true) } else { ("user", false) };
        let found = messages.iter_mut().find(|message| message["role"] == role);
        match found.and_then(|message| message.get_mut("content")) {
            Some(content) => {
                let said = content.as_str().unwrap_or_default();
                let both = if system {
                    format!("{said}\n\n{instructions}")
                } else {
                    format!("{instructions}\n\n{said}")
                };
                *content = Value::String(both);
            }
            None => messages.insert(0, json!({"role": role, "content": instructions})),
        }
    }
}

/// A conversation while it is put together.
struct Conversation<'a> {
    dialect: &'a Dialect,
    messages: Vec<Value>,
    ids: CallIds,
    /// The names of the functions that were called, by the ids of the calls.
    names: HashMap<String, String>,
    /// The last message is made of results: the next result or user message joins it.
    results: bool,
}

impl<'a> Conversation<'a> {
    fn new(dialect: &'a Dialect) -> Self {
        Self { dialect, messages: Vec::new(), ids: CallIds::default(), names: HashMap::new(), results: false }
    }

    fn push(&mut self, message: Value) {
        self.messages.push(message);
        self.results = false;
    }

    fn add(&mut self, index: usize, fields: &Map<String, Value>) -> Result<(), TemplateError> {
        let mut fields = fields.clone();
        let tool_calls = match fields.shift_remove("tool_calls") {
            Some(Value::Array(calls)) => calls,
            _ => Vec::new(),
        };
        let content = fields.get("content").and_then(Value::as_str).unwrap_or_default().to_owned();
        let role = fields.get("role").and_then(Value::as_str).unwrap_or_default();
        match (role, self.dialect.calls) {
            ("tool", Some(_)) => {
                let id = fields.get("tool_call_id").and_then(Value::as_str);
                // Hermes templates refuse a result without the name of the function.
                if let Some(name) = id.and_then(|id| self.names.get(id)).cloned() {
                    fields.entry("name").or_insert(Value::String(name));
                }
                if let (ToolFormat::Mistral, Some(Value::String(id))) =
                    (self.dialect.format, fields.get_mut("tool_call_id"))
                {
                    *id = self.ids.map(id);
                }
            }
            ("tool", None) => {
                let id = fields.get("tool_call_id").and_then(Value::as_str);
                let name = id.and_then(|id| self.names.get(id)).map(String::as_str);
                let text = generic_form::response(name, &content);
                self.join("\n", text);
                self.results = true;
                return Ok(());
            }
            ("user", None) if self.results => {
                self.join("\n\n", content);
                self.results = false;
                return Ok(());
            }
            (_, Some(style)) if !tool_calls.is_empty() => {
                return self.native_calls(index, fields, content, tool_calls, style);
            }
            (_, None) if !tool_calls.is_empty() => {
                let mut text = content;
                for (at, call) in tool_calls.iter().enumerate() {
                    let (name, arguments) = self.call(index, at, call)?;
                    if !text.is_empty() {
                        text.push('\n');
                    }
                    text.push_str(&generic_form::call(&name, &arguments));
                }
                fields.insert("content".to_owned(), Value::String(text));
                self.push(Value::Object(fields));
                return Ok(());
            }
            _ => {}
        }
        if fields.get("content").is_none_or(Value::is_null) {
            fields.insert("content".to_owned(), Value::String(content));
        }
        self.push(Value::Object(fields));
        Ok(())
    }

    /// Adds an assistant's message with calls that the template writes.
    fn native_calls(
        &mut self,
        index: usize,
        mut fields: Map<String, Value>,
        content: String,
        mut tool_calls: Vec<Value>,
        style: CallStyle,
    ) -> Result<(), TemplateError> {
        for (at, call) in tool_calls.iter_mut().enumerate() {
            let (_, arguments) = self.call(index, at, call)?;
            let arguments = if style.object {
                // It was one when it was looked at.
                serde_json::from_str(&arguments).unwrap_or_default()
            } else {
                Value::String(arguments)
            };
            if let Some(Value::Object(function)) = call.get_mut("function") {
                function.insert("arguments".to_owned(), arguments);
            }
            if let (ToolFormat::Mistral, Some(Value::String(id))) = (self.dialect.format, call.get_mut("id"))
            {
                *id = self.ids.map(id);
            }
        }
        let empty = if style.null { Value::Null } else { Value::String(String::new()) };
        let content = if content.is_empty() {
            empty
        } else if style.apart {
            self.push(Value::Object(fields.clone()));
            empty
        } else {
            Value::String(content)
        };
        fields.insert("content".to_owned(), content);
        fields.insert("tool_calls".to_owned(), Value::Array(tool_calls));
        self.push(Value::Object(fields));
        Ok(())
    }

    /// The name of a call and its arguments, the JSON text of an object.
    fn call(&mut self, index: usize, at: usize, call: &Value) -> Result<(String, String), TemplateError> {
        let function = &call["function"];
        let name = function["name"].as_str().unwrap_or_default().to_owned();
        if let Some(id) = call["id"].as_str() {
            self.names.insert(id.to_owned(), name.clone());
        }
        let arguments = match &function["arguments"] {
            Value::String(text) if text.trim().is_empty() => "{}".to_owned(),
            Value::String(text) => text.clone(),
            Value::Null => "{}".to_owned(),
            other => other.to_string(),
        };
        match serde_json::from_str::<Value>(&arguments) {
            Ok(Value::Object(_)) => Ok((name, arguments)),
            _ => {
                let shown: String = arguments.chars().take(60).collect();
                Err(TemplateError::NotTaken {
                    param: format!("messages[{index}].tool_calls[{at}].function.arguments"),
                    value: format!("{shown:?}"),
                    accepted: "it has to be the JSON text of an object",
                })
            }
        }
    }

    /// Adds text to the user message of results, or begins one.
    fn join(&mut self, separator: &str, text: String) {
        match self.messages.last_mut().and_then(|last| last.get_mut("content")) {
            Some(Value::String(said)) if self.results => {
                said.push_str(separator);
                said.push_str(&text);
            }
            _ => self.push(json!({"role": "user", "content": text})),
        }
    }
}

/// The calls of a message.
fn calls(message: &Value) -> &[Value] {
    message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Makes the content a list of one part.
fn split_content(message: &mut Value) {
    if let Some(content) = message.get_mut("content")
        && let Value::String(text) = content
    {
        *content = json!([{"type": "text", "text": text}]);
    }
}

#[cfg(test)]
mod tests;
