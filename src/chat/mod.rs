//! Conversations to prompts, and answers to text, reasoning and tool calls.
//!
//! [`ChatTemplate`] compiles the Jinja template that comes with a model and renders messages with it. Its [`Dialect`]
//! says how the model talks: [`Dialect::messages`] puts a conversation with tools into the form that the template
//! takes, and [`OutputParser`] reads the answer while it comes. Models whose template knows no tools are told of them in
//! the [generic form](generic_form). What a LlamaGuard answers is read by [`classification`](classification()).
//!
//! All of this is text and JSON: it knows no engine and no protocol.

mod call_ids;
mod classification;
mod dialect;
mod environment;
mod error;
mod fuel;
mod generation;
pub mod generic_form;
mod methods;
mod output;
mod probe;
mod prompt;
mod source;
mod stack;
mod template;
mod tool_format;
mod values;
mod write;

pub use self::classification::classification;
pub use self::dialect::Dialect;
pub use self::error::TemplateError;
pub use self::output::{Event, OutputOptions, OutputParser};
pub use self::template::{ChatTemplate, TemplateInput, TemplateTokens};
pub use self::tool_format::ToolFormat;

#[cfg(test)]
mod tests;
