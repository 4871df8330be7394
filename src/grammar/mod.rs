//! Constrained decoding: which tokens may come next, so that an answer is what was asked for.
//!
//! A [`Vocabulary`] is built once per model, a [`Grammar`] is compiled once per request, and each answer has a
//! [`Matcher`], which gives before every token the set of those that may follow. The engine below is `llguidance`.
//!
//! Everything fails closed: a schema that is not understood, a grammar that passes a limit, a token that is not of the
//! set are errors, and never an answer without a constraint.
//!
//! # JSON Schema
//! The subset of the documents: `type` (one name, or a list of one and `"null"`), `properties`, `required`,
//! `additionalProperties`, `items`, `enum`, `const`, `minItems`, `maxItems`, `minLength`, `maxLength`, `format`,
//! `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, `multipleOf`, `minProperties` and `maxProperties`.
//! Annotations (`title`, `description`, `default`, `examples`, ...) pass. Every other keyword is refused by its path.
//! What is generated is valid for the schema, and narrower than it in these points:
//! - compact JSON: no white space between tokens, keys in the order of the schema (tool calls may have one space after
//!   `:` and `,`, as models write them);
//! - an object with `properties` and without `additionalProperties` has no further keys;
//! - numbers lie within ±(2^53 - 1), where JSON numbers are exact, and have no exponent;
//! - strings have no `\u` escapes.
//!
//! `minProperties` and `maxProperties` are not enforced where some properties are optional and a choice of several of
//! them would have to be counted, and `maxLength` not above [`MAX_COUNTED_LENGTH`]: the documents promise that they are
//! accepted, not that they are enforced.

mod compile;
mod error;
mod matcher;
mod schema;
mod source;
mod tools;
mod vocabulary;

pub use self::compile::Grammar;
pub use self::error::GrammarError;
pub use self::matcher::Matcher;
pub use self::schema::{MAX_COUNTED_LENGTH, RESPONSE_KEYS, TOOL_KEYS};
pub use self::source::{Choice, GrammarSource, ToolSignature};
pub use self::vocabulary::Vocabulary;

#[cfg(test)]
mod tests;
