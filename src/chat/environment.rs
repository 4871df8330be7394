//! The surroundings that chat templates expect: those of the `apply_chat_template` of Hugging Face's transformers,
//! which is Jinja2 with `trim_blocks` and `lstrip_blocks`, loop controls, and a few functions of its own.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior, Value};

use super::fuel::{FUEL, spend};
use super::methods::{self, MAX_WIDTH};
use super::write::{self, JsonStyle};

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
    environment.set_unknown_method_callback(methods::call);
    environment.set_formatter(|out, state, value| {
        let text = write::python(value, &|bytes| spend(state, bytes))?;
        out.write_str(&text).map_err(|_| Error::new(ErrorKind::WriteFailure, "a value could not be printed"))
    });
    minijinja_contrib::add_to_environment(&mut environment);
    // Prints the whole state of the engine; Jinja2 has no such function.
    environment.remove_global("debug");
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Refusal(message)))
    });
    // Writes a list that holds itself many times to its end, whatever that takes.
    environment.remove_filter("pprint");
    environment.add_filter("indent", indent);
    environment.add_filter(
        "format",
        |state: &State<'_, '_>, format: &str, args: Rest<Value>| -> Result<Value, Error> {
            methods::check_format(state, format, &args)?;
            minijinja::formatting::format(minijinja::formatting::FormatStyle::Printf, format, &args)
                .map(Value::from)
        },
    );
    environment.add_test("callable", |value: &Value| value.kind() == ValueKind::Plain);
    environment.add_filter("tojson", tojson);
    environment.add_filter("string", |state: &State<'_, '_>, value: Value| {
        write::python(&value, &|bytes| spend(state, bytes))
    });
    Ok(environment)
}

/// `tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False)`, without HTML escapes.
fn tojson(
    state: &State<'_, '_>,
    value: Value,
    positional: Rest<Value>,
    named: Kwargs,
) -> Result<Value, Error> {
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
    write::json(&value, &style, &|bytes| spend(state, bytes)).map(Value::from)
}

fn text_at(pair: &Value, index: usize) -> Result<String, Error> {
    pair.get_item_by_index(index)?
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "separators must be two strings"))
}

/// `indent(text, width=4, first=False, blank=False)`, its width limited.
fn indent(
    state: &State<'_, '_>,
    text: &str,
    positional: Rest<Value>,
    named: Kwargs,
) -> Result<String, Error> {
    let argument = |index: usize, name: &str| match positional.get(index) {
        Some(value) => Ok(Some(value.clone())),
        None => named.get::<Option<Value>>(name),
    };
    let width = argument(0, "width")?.filter(|width| !width.is_none());
    let first = argument(1, "first")?.is_some_and(|value| value.is_true());
    let blank = argument(2, "blank")?.is_some_and(|value| value.is_true());
    named.assert_all_used()?;
    let margin = match width {
        None => " ".repeat(4),
        Some(width) => match (width.as_str(), width.as_usize()) {
            (Some(margin), _) if margin.len() <= MAX_WIDTH => margin.to_owned(),
            (None, Some(width)) if width <= MAX_WIDTH => " ".repeat(width),
            _ => return Err(methods::too_wide()),
        },
    };
    spend(state, text.lines().count() * margin.len())?;
    let mut out = String::with_capacity(text.len());
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let empty = line.trim_end_matches(['\n', '\r']).is_empty();
        if (index > 0 || first) && (blank || !empty) {
            out.push_str(&margin);
        }
        out.push_str(line);
    }
    Ok(out)
}
