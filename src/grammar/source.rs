//! What may be asked of an answer.

use serde_json::Value;

use crate::chat::ToolFormat;

/// What an answer must be.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum GrammarSource {
    /// Any JSON object.
    JsonObject,
    /// A JSON object that is valid for this schema.
    ///
    /// The root is an object, as the hosted APIs ask: clients read the answer into a structure with named fields.
    JsonSchema(Value),
    /// A text that this regular expression matches as a whole, in the syntax of the `regex` crate without look-around.
    Regex(String),
    /// A text of this grammar in the Lark dialect of llguidance, without `%json`, `%lark`, `stop=`, `max_tokens=` and
    /// `temperature=`.
    Lark(String),
    /// Calls of tools, in the form that a model family was trained on.
    Tools {
        /// The form.
        format: ToolFormat,
        /// The tools that are offered, at least one.
        tools: Vec<ToolSignature>,
        /// Whether there has to be a call.
        choice: Choice,
        /// Whether one answer may hold several calls.
        parallel: bool,
    },
}

/// A tool as the grammar needs to know it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSignature {
    /// The function's name: 1 to 64 of `a-z A-Z 0-9 _ . -`.
    pub name: String,
    /// The JSON schema of its arguments, an object. `null` and `{}`: it takes none.
    pub parameters: Value,
}

/// Whether an answer has to call a tool.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// Free text that may turn into calls.
    Auto,
    /// Either a text of this form or calls. They must be told apart by their first token: where the vocabulary has none that
    /// begins calls, only JSON goes beside spelled tags, and nothing beside [`ToolFormat::Llama`].
    AutoOr(Box<GrammarSource>),
    /// Calls only.
    Required,
    /// Calls of this tool only.
    Function(String),
}
