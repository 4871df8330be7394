//! Conversations to prompts: the chat template of a model.
//!
//! [`ChatTemplate`] compiles the Jinja template that comes with a model and renders messages with it.

mod environment;
mod error;
mod generation;
mod methods;
mod source;
mod stack;
mod template;
mod values;
mod write;

pub use self::error::TemplateError;
pub use self::template::{ChatTemplate, TemplateInput, TemplateTokens};

#[cfg(test)]
mod tests;
