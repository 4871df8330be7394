//! The surroundings that chat templates expect: those of the `apply_chat_template` of Hugging Face's transformers,
//! which is Jinja2 with `trim_blocks` and `lstrip_blocks`, loop controls, and a few functions of its own.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, ValueKind, from_args};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::write::{self, JsonStyle};

/// Instructions that one rendering may take. A long conversation with many tools takes some ten thousand.
const FUEL: u64 = 5_000_000;
/// How deep blocks and macros may be nested, in the template engine's measure.
const RECURSION: usize = 120;

/// What `raise_exception` was called with, found again in the chain of causes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(pub(super) String);

/// A new environment without templates.
pub(super) fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_debug(false);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION);
    environment.set_unknown_method_callback(method);
    environment.set_formatter(|out, _state, value| {
        let text = write::python(value)?;
        out.write_str(&text).map_err(|_| Error::new(ErrorKind::WriteFailure, "the output is too long"))
    });
    minijinja_contrib::add_to_environment(&mut environment);
    // Prints the whole state of the engine; Jinja2 has no such function.
    environment.remove_global("debug");
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Refusal(message)))
    });
    environment.add_filter("tojson", tojson);
    environment.add_filter("string", |value: Value| write::python(&value));
    Ok(environment)
}

/// `tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False)`, without HTML escapes.
fn tojson(value: Value, positional: Rest<Value>, named: Kwargs) -> Result<Value, Error> {
    let argument = |index: usize, name: &str| -> Result<Option<Value>, Error> {
        let value = match positional.get(index) {
            Some(value) => Some(value.clone()),
            None => named.get::<Option<Value>>(name)?,
        };
        Ok(value.filter(|v| !v.is_none() && !v.is_undefined()))
    };
    let flag = |index, name| Ok::<bool, Error>(argument(index, name)?.is_some_and(|v| v.is_true()));
    let indent = match argument(1, "indent")? {
        None => None,
        Some(text) if text.kind() == ValueKind::String => Some(text.to_string()),
        Some(width) if width.kind() == ValueKind::Bool => Some(" ".repeat(usize::from(width.is_true()))),
        Some(width) => {
            let width = width.as_i64().unwrap_or(0).clamp(0, 64);
            Some(" ".repeat(usize::try_from(width).unwrap_or(0)))
        }
    };
    let separators = match argument(2, "separators")? {
        Some(pair) => (text_at(&pair, 0)?, text_at(&pair, 1)?),
        None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
    };
    let style = JsonStyle {
        ensure_ascii: flag(0, "ensure_ascii")?,
        indent,
        separators,
        sort_keys: flag(3, "sort_keys")?,
    };
    named.assert_all_used()?;
    write::json(&value, &style).map(Value::from)
}

fn text_at(pair: &Value, index: usize) -> Result<String, Error> {
    pair.get_item_by_index(index)?
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "separators must be two strings"))
}

/// Methods of Python's types: those of the template engine's own collection and a few that it lacks.
fn method(state: &mut State<'_, '_>, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        match name {
            "removeprefix" => {
                let (prefix,): (&str,) = from_args(args)?;
                return Ok(Value::from(text.strip_prefix(prefix).unwrap_or(text)));
            }
            "removesuffix" => {
                let (suffix,): (&str,) = from_args(args)?;
                return Ok(Value::from(text.strip_suffix(suffix).unwrap_or(text)));
            }
            "partition" | "rpartition" => {
                let (separator,): (&str,) = from_args(args)?;
                if separator.is_empty() {
                    return Err(Error::new(ErrorKind::InvalidOperation, "empty separator"));
                }
                let parts = if name == "partition" {
                    text.split_once(separator).map_or([text, "", ""], |(a, b)| [a, separator, b])
                } else {
                    text.rsplit_once(separator).map_or(["", "", text], |(a, b)| [a, separator, b])
                };
                return Ok(parts.into_iter().map(Value::from).collect());
            }
            "rsplit" => {
                let (separator, most): (Option<&str>, Option<i64>) = from_args(args)?;
                return Ok(rsplit(text, separator, most));
            }
            _ => {}
        }
    }
    unknown_method_callback(state, value, name, args)
}

fn rsplit(text: &str, separator: Option<&str>, most: Option<i64>) -> Value {
    let pieces = most.and_then(|n| usize::try_from(n).ok()).map_or(usize::MAX, |n| n.saturating_add(1));
    let mut parts: Vec<&str> = match separator {
        Some(separator) if !separator.is_empty() => text.rsplitn(pieces, separator).collect(),
        _ => {
            let mut parts = Vec::new();
            let mut rest = text.trim();
            while !rest.is_empty() {
                let at = if parts.len() + 1 >= pieces { None } else { rest.rfind(char::is_whitespace) };
                let Some(at) = at else {
                    parts.push(rest);
                    break;
                };
                let (left, right) = rest.split_at(at);
                parts.push(right.trim_start());
                rest = left.trim_end();
            }
            parts
        }
    };
    parts.reverse();
    parts.into_iter().map(Value::from).collect()
}
