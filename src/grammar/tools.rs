//! Grammars for calls of tools, in each family's own form.
//!
//! Markers that are single tokens of the vocabulary are required as those tokens, which no text can spell. Markers that
//! the vocabulary lacks are spelled, and then free text may not contain them.

use std::fmt::Write;

use serde_json::Value;

use super::error::GrammarError;
use super::schema;
use super::source::{Choice, GrammarSource, ToolSignature};
use super::vocabulary::Vocabulary;
use crate::chat::ToolFormat;

const TOOL_CALLS: &str = "[TOOL_CALLS]";
const ARGS: &str = "[ARGS]";
const PYTHON_TAG: &str = "<|python_tag|>";
const CALLS_BEGIN: &str = "<｜tool▁calls▁begin｜>";
const CALLS_END: &str = "<｜tool▁calls▁end｜>";
const CALL_BEGIN: &str = "<｜tool▁call▁begin｜>";
const CALL_END: &str = "<｜tool▁call▁end｜>";
const SEPARATOR: &str = "<｜tool▁sep｜>";
const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";

/// The grammar of texts, where they have a form.
pub(super) const TEXT: &str = "text";

/// The longest name of a function, that of the OpenAI API.
const MAX_NAME: usize = 64;

/// A grammar and the schemas that it refers to by name.
pub(super) struct ToolGrammar {
    pub(super) lark: String,
    pub(super) arguments: Vec<(String, Value)>,
}

/// The grammar of an answer that may call, or has to call, one of `tools`.
pub(super) fn grammar(
    vocabulary: &Vocabulary,
    format: ToolFormat,
    tools: &[ToolSignature],
    choice: &Choice,
    parallel: bool,
) -> Result<ToolGrammar, GrammarError> {
    let chosen = chosen(tools, choice)?;
    let mut arguments = Vec::new();
    for (index, tool) in &chosen {
        arguments.push((format!("arguments_{index}"), schema::parameters(&tool.parameters, *index)?));
    }
    let text = match choice {
        Choice::Auto => Text::Free,
        Choice::AutoOr(_) => Text::OfForm,
        Choice::Required | Choice::Function(_) => Text::None,
    };
    let writer = Writer { vocabulary, tools: &chosen, text, parallel };
    if let Choice::AutoOr(form) = choice {
        writer.check_beside(format, form)?;
    }
    let lark = match format {
        ToolFormat::Llama => writer.llama(),
        ToolFormat::Mistral => writer.mistral(),
        ToolFormat::DeepSeek => writer.deep_seek(),
        ToolFormat::Generic => writer.generic(),
    };
    Ok(ToolGrammar { lark, arguments })
}

/// The tools that may be called, each with its place in the request.
fn chosen<'a>(
    tools: &'a [ToolSignature],
    choice: &Choice,
) -> Result<Vec<(usize, &'a ToolSignature)>, GrammarError> {
    for (index, tool) in tools.iter().enumerate() {
        let accepted = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if tool.name.is_empty() || tool.name.len() > MAX_NAME || !tool.name.chars().all(accepted) {
            let reason = format!("is {:?}; 1 to {MAX_NAME} of a-z A-Z 0-9 _ . - are accepted", tool.name);
            return Err(GrammarError::schema(format!("tools[{index}].name"), reason));
        }
        if tools.iter().take(index).any(|earlier| earlier.name == tool.name) {
            return Err(GrammarError::schema(
                format!("tools[{index}].name"),
                format!("{:?} is there twice", tool.name),
            ));
        }
    }
    let chosen: Vec<_> = tools
        .iter()
        .enumerate()
        .filter(|(_, tool)| !matches!(choice, Choice::Function(name) if *name != tool.name))
        .collect();
    match choice {
        _ if !chosen.is_empty() => Ok(chosen),
        Choice::Function(name) => Err(GrammarError::source("tools", format!("no tool is named {name:?}"))),
        _ => Err(GrammarError::source("tools", "is empty; at least one tool is needed")),
    }
}

struct Writer<'a> {
    vocabulary: &'a Vocabulary,
    tools: &'a [(usize, &'a ToolSignature)],
    text: Text,
    parallel: bool,
}

/// What an answer may be besides calls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    None,
    Free,
    /// A text of the grammar [`TEXT`].
    OfForm,
}

impl Writer<'_> {
    /// The engine has to tell calls from texts of a form by their first token: one that no text can spell, or, beside
    /// JSON, a tag.
    fn check_beside(&self, format: ToolFormat, form: &GrammarSource) -> Result<(), GrammarError> {
        let marked = format.markers().first().is_some_and(|marker| self.vocabulary.marker(marker).is_some());
        let json = matches!(form, GrammarSource::JsonObject | GrammarSource::JsonSchema(_));
        if marked || (json && format != ToolFormat::Llama) {
            return Ok(());
        }
        let reason = "cannot go beside this form: the model's vocabulary has no token that begins calls, and what it \
                      spells may begin a text of the form as well";
        Err(GrammarError::source("tools", reason))
    }

    /// A marker as a symbol of the grammar: its token, or its spelling.
    fn marker(&self, spelling: &str) -> String {
        match self.vocabulary.marker(spelling) {
            Some(id) => format!("<[{id}]>"),
            None => literal(spelling),
        }
    }

    /// `first (next first)*` in the rule `calls`, or `first` alone.
    fn calls(&self, first: &str, next: &str) -> String {
        if self.parallel { format!("calls: {first} ({next})*\n") } else { format!("calls: {first}\n") }
    }

    /// The rule `call`: one of the tools. `head` is what stands before the arguments, as a regular expression.
    fn call(&self, head: impl Fn(&str) -> String, tail: &str) -> String {
        let mut text = String::new();
        let names: Vec<String> = self.tools.iter().map(|(index, _)| format!("call_{index}")).collect();
        let _ = writeln!(text, "call: {}", names.join(" | "));
        for (index, tool) in self.tools {
            let _ = writeln!(text, "call_{index}: HEAD_{index} @arguments_{index} {tail}");
            let _ = writeln!(text, "HEAD_{index}: /{}/", head(&pattern(&tool.name)));
        }
        text
    }

    /// The rules `start` and what it needs: `rest` stands after a marker. Where calls are optional, free text may stand
    /// before it, or alone.
    fn after_text(&self, marker: &str, rest: &str) -> String {
        let symbol = self.marker(marker);
        match self.text {
            Text::None => return format!("start: {symbol} {rest}\n"),
            Text::OfForm => return format!("start: @{TEXT} | {symbol} {rest}\n"),
            Text::Free => {}
        }
        let tag = pattern(marker);
        if self.vocabulary.marker(marker).is_some() {
            // Where the marker is an ordinary word, it would be read as the marker also when it is spelled.
            let unspelled = if marker == OPEN { format!(" & ~/(?s:.*{tag}.*)/") } else { String::new() };
            return format!("start: TEXT? ({symbol} {rest})?\nTEXT: /(?s:.+)/{unspelled}\n");
        }
        format!(
            "start: (TEXT | TEXT_AND_MARKER {rest})?\n\
             TEXT: /(?s:.+)/ & ~/(?s:.*{tag}.*)/\n\
             TEXT_AND_MARKER: /(?s:.*{tag})/ & ~/(?s:.*{tag}.+)/\n"
        )
    }

    /// Objects, several of them set apart by semicolons. Text is what does not begin like an object.
    fn llama(&self) -> String {
        let tag = match self.vocabulary.marker(PYTHON_TAG) {
            Some(id) => format!("<[{id}]>? "),
            None => String::new(),
        };
        let start = match self.text {
            Text::Free => format!("start: (TEXT | {tag}calls)?\nTEXT: /(?s:\\s*[^\\s{{].*)|\\s+/\n"),
            // Checked before: the tag is there, and has to be.
            Text::OfForm => format!("start: @{TEXT} | {}calls\n", tag.replace('?', "")),
            Text::None => format!("start: {tag}calls\n"),
        };
        let call = self.call(|name| format!("\\{{\"name\": ?\"{name}\", ?\"parameters\": ?"), "\"}\"");
        format!("{start}{}{call}NEXT: /; ?/\n", self.calls("call", "NEXT call"))
    }

    /// A list of objects, or name and arguments where the vocabulary has a marker between them.
    fn mistral(&self) -> String {
        let start = self.after_text(TOOL_CALLS, "calls");
        if self.vocabulary.marker(ARGS).is_some() {
            let next = format!("{} call", self.marker(TOOL_CALLS));
            let args = self.marker(ARGS);
            let mut text = format!("{start}{}", self.calls("call", &next));
            let names: Vec<String> = self.tools.iter().map(|(index, _)| format!("call_{index}")).collect();
            let _ = writeln!(text, "call: {}", names.join(" | "));
            for (index, tool) in self.tools {
                let _ = writeln!(text, "call_{index}: {} {args} @arguments_{index}", literal(&tool.name));
            }
            return text;
        }
        let list = self.calls("OPEN call", "NEXT call").replace('\n', " \"]\"\n");
        let call = self.call(|name| format!("\\{{\"name\": ?\"{name}\", ?\"arguments\": ?"), "\"}\"");
        format!("{start}{list}{call}OPEN: / ?\\[/\nNEXT: /, ?/\n")
    }

    fn deep_seek(&self) -> String {
        let start = self.after_text(CALLS_BEGIN, "calls");
        let (begin, end) = (self.marker(CALL_BEGIN), self.marker(CALL_END));
        let (separator, calls_end) = (self.marker(SEPARATOR), self.marker(CALLS_END));
        let one = format!("{begin} \"function\" {separator} call {end}");
        let calls =
            self.calls(&one, &format!("\"\\n\"? {one}")).replace(")*\n", &format!(")* {calls_end}\n"));
        let calls = if self.parallel { calls } else { calls.replace('\n', &format!(" {calls_end}\n")) };
        let call = self.call(|name| format!("{name}\\n```json\\n"), "\"\\n```\"");
        format!("{start}{calls}{call}")
    }

    fn generic(&self) -> String {
        let start = self.after_text(OPEN, "calls");
        let (open, close) = (self.marker(OPEN), self.marker(CLOSE));
        let calls = self.calls(&format!("call {close}"), &format!("\"\\n\"? {open} call {close}"));
        let call =
            self.call(|name| format!("\\n?\\{{\"name\": ?\"{name}\", ?\"arguments\": ?"), "\"}\" \"\\n\"?");
        format!("{start}{calls}{call}")
    }
}

/// A string of the grammar's syntax, which is that of JSON.
fn literal(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// A regular expression between slashes that matches `text` alone.
fn pattern(text: &str) -> String {
    let mut pattern = String::new();
    for c in text.chars() {
        if c.is_ascii_punctuation() && !matches!(c, '_' | '<' | '>') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
