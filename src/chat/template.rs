//! A compiled chat template.

use std::error::Error as _;
use std::io;

use jiff::Timestamp;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use minijinja::{Environment, Error, ErrorKind, Value};
use serde_json::Map;

use super::dialect::Dialect;
use super::environment::{Refusal, environment};
use super::error::TemplateError;
use super::fuel::{FUEL, PROBE_FUEL};
use super::generation;
use super::probe;
use super::stack::with_room;
use super::values::from_json;

const NAME: &str = "chat";
/// The longest template source, in bytes; the longest in use are some ten thousand.
const MAX_SOURCE: usize = 128 << 10;

/// The special tokens that templates write out, as text. A token that a model does not have is undefined in its
/// template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TemplateTokens {
    /// `bos_token`, the beginning of a sequence.
    pub bos: Option<String>,
    /// `eos_token`, the end of a sequence.
    pub eos: Option<String>,
    /// `unk_token`, the unknown.
    pub unk: Option<String>,
    /// `pad_token`, the padding.
    pub pad: Option<String>,
}

impl TemplateTokens {
    /// Tokens with the beginning and the end of a sequence, which nearly all templates need.
    pub fn new(bos: impl Into<Option<String>>, eos: impl Into<Option<String>>) -> Self {
        Self { bos: bos.into(), eos: eos.into(), unk: None, pad: None }
    }
}

/// What a template is rendered with.
#[derive(Debug, Clone, Copy)]
pub struct TemplateInput<'a> {
    /// The list of messages, each an object with `role`, `content` and what else the template reads.
    pub messages: &'a serde_json::Value,
    /// The list of tools.
    pub tools: Option<&'a serde_json::Value>,
    /// Whether the prompt ends with the beginning of the assistant's answer.
    pub add_generation_prompt: bool,
    /// Further variables by name; they go before everything else.
    pub variables: &'a Map<String, serde_json::Value>,
    /// What `strftime_now` formats, in UTC.
    pub now: Timestamp,
}

/// A chat template, compiled. Renders a conversation into the prompt that the model was trained on.
///
/// Templates are Jinja2 as Hugging Face's transformers runs it. They are data of a model, not trusted code: they reach
/// nothing but their input, and source, nesting, instructions and text are limited: a rendering makes at most 32 MiB of it.
/// A list counts as what it is made of; one that holds itself many times over can still take more time or memory than there
/// is where it is compared, joined to a text or added to itself.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    tokens: TemplateTokens,
    dialect: Dialect,
}

impl ChatTemplate {
    /// Compiles a template, and renders some short conversations with it to find out what it can do.
    ///
    /// # Errors
    /// The source is no template; the error names the line.
    pub fn new(source: &str, tokens: TemplateTokens) -> Result<Self, TemplateError> {
        if source.len() > MAX_SOURCE {
            return Err(TemplateError::Limit { what: "the source in bytes", limit: MAX_SOURCE });
        }
        with_room(|| {
            let mut environment = environment()?;
            environment.add_template_owned(NAME, generation::tolerate(source))?;
            let mut template = Self { environment, tokens, dialect: Dialect::default() };
            template.environment.set_fuel(Some(PROBE_FUEL));
            template.dialect = probe::dialect(source, &|messages, tools| {
                template.render_here(&TemplateInput {
                    messages,
                    tools,
                    add_generation_prompt: true,
                    variables: &Map::new(),
                    now: Timestamp::UNIX_EPOCH,
                })
            });
            template.environment.set_fuel(Some(FUEL));
            Ok(template)
        })
        .map_err(no_room)?
        .map_err(syntax)
    }

    /// How the model talks: what the template takes, and how answers are written.
    pub fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// Renders a conversation.
    ///
    /// # Errors
    /// [`TemplateError::Refused`] when the template itself refuses the messages, [`TemplateError::Render`] when it
    /// fails on them, [`TemplateError::Limit`] when it does not come to an end.
    pub fn render(&self, input: &TemplateInput<'_>) -> Result<String, TemplateError> {
        with_room(|| self.render_here(input)).map_err(no_room)?
    }

    fn render_here(&self, input: &TemplateInput<'_>) -> Result<String, TemplateError> {
        let tools = input.tools.map(from_json).transpose()?.unwrap_or_else(|| Value::from(()));
        let now = input.now;
        let mut variables = vec![
            ("messages", from_json(input.messages)?),
            ("tools", tools),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(input.add_generation_prompt)),
            ("strftime_now", Value::from_function(move |format: &str| strftime(now, format))),
        ];
        let TemplateTokens { bos, eos, unk, pad } = &self.tokens;
        let tokens = [("bos_token", bos), ("eos_token", eos), ("unk_token", unk), ("pad_token", pad)];
        variables.extend(tokens.iter().filter_map(|(n, t)| Some((*n, Value::from(t.as_deref()?)))));
        for (name, value) in input.variables {
            variables.push((name, from_json(value)?));
        }
        let template = self.environment.get_template(NAME).map_err(|e| render_error(&e))?;
        template.render(Value::from_pairs(variables)).map_err(|e| render_error(&e))
    }
}

fn strftime(now: Timestamp, format: &str) -> Result<String, Error> {
    let zoned = now.to_zoned(TimeZone::UTC);
    BrokenDownTime::from(&zoned).to_string(format).map_err(|e| {
        Error::new(ErrorKind::InvalidOperation, format!("strftime_now cannot format {format:?}: {e}"))
    })
}

fn no_room(error: io::Error) -> TemplateError {
    TemplateError::Read {
        message: format!("no thread to run it on: {error}"),
        kind: crate::error::ErrorKind::Internal,
    }
}

fn syntax(error: Error) -> TemplateError {
    TemplateError::Syntax { line: error.line().unwrap_or(0), message: describe(&error) }
}

fn render_error(error: &Error) -> TemplateError {
    if error.kind() == ErrorKind::OutOfFuel {
        return TemplateError::Limit {
            what: "the work in instructions, each 64 bytes of text one",
            limit: FUEL as usize,
        };
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(inner) = cause {
        if let Some(Refusal(message)) = inner.downcast_ref::<Refusal>() {
            return TemplateError::Refused { message: message.clone() };
        }
        cause = inner.source();
    }
    TemplateError::Render { line: error.line().unwrap_or(0), message: describe(error) }
}

/// The kind of an error and its detail, without the template's name, which is always the same.
fn describe(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}
