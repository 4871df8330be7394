//! Methods of Python's types: those of the template engine's own collection and some that it lacks.

use minijinja::value::{Tuple, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::fuel::{ITEM, spend};
use super::write;

/// The widest field that formatting may pad a text to.
pub(super) const MAX_WIDTH: usize = 999;

/// Calls the method `name` that the template engine itself does not know.
pub(super) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let known = match value.as_str() {
        Some(text) => string_method(state, text, name, args)?,
        None if value.kind() == ValueKind::Seq && name == "count" => Some(count(state, value, args)?),
        None => None,
    };
    match known {
        Some(result) => Ok(result),
        None => unknown_method_callback(state, value, name, args),
    }
}

fn count(state: &State<'_, '_>, items: &Value, args: &[Value]) -> Result<Value, Error> {
    let (wanted,): (&Value,) = from_args(args)?;
    let mut found = 0;
    for item in items.try_iter()? {
        spend(state, ITEM)?;
        found += usize::from(item == *wanted);
    }
    Ok(Value::from(found))
}

fn string_method(
    state: &State<'_, '_>,
    text: &str,
    name: &str,
    args: &[Value],
) -> Result<Option<Value>, Error> {
    spend(state, text.len())?;
    spend(state, pieces(text, name, args))?;
    Ok(Some(match name {
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            if separator.is_empty() {
                return Err(invalid("empty separator"));
            }
            let parts = if name == "partition" {
                text.split_once(separator).map_or([text, "", ""], |(a, b)| [a, separator, b])
            } else {
                text.rsplit_once(separator).map_or(["", "", text], |(a, b)| [a, separator, b])
            };
            Value::from(Tuple::from(parts.into_iter().map(Value::from).collect::<Vec<_>>()))
        }
        "split" if args.first().and_then(Value::as_str) == Some("") => {
            return Err(invalid("empty separator"));
        }
        "rsplit" => {
            let (separator, most): (Option<&str>, Option<i64>) = from_args(args)?;
            rsplit(text, separator, most)?
        }
        "index" | "rindex" => {
            let (part,): (&str,) = from_args(args)?;
            let at = if name == "index" { text.find(part) } else { text.rfind(part) };
            let at = at.ok_or_else(|| invalid("substring not found"))?;
            Value::from(text.get(..at).unwrap_or_default().chars().count())
        }
        "center" | "ljust" | "rjust" | "zfill" => pad(text, name, args)?,
        "join" => {
            let (items,): (&Value,) = from_args(args)?;
            join(state, text, items)?
        }
        "format" => {
            check_format(state, text, args)?;
            return Ok(None);
        }
        _ => return Ok(None),
    }))
}

/// The bytes of what a method makes for every place of `text` where it finds something.
fn pieces(text: &str, name: &str, args: &[Value]) -> usize {
    let argument = |index: usize| args.get(index).and_then(Value::as_str);
    let places = |part: Option<&str>| match part {
        Some(part) => text.matches(part).count() + 1,
        None => text.split_whitespace().count() + 1,
    };
    match name {
        "replace" => places(argument(0)).saturating_mul(argument(1).map_or(0, str::len)),
        "split" | "rsplit" => places(argument(0)).saturating_mul(ITEM),
        "splitlines" => places(Some("\n")).saturating_mul(ITEM),
        // A list of texts to compare with.
        "startswith" | "endswith" if argument(0).is_none() => {
            args.first().and_then(Value::len).unwrap_or(0).saturating_mul(ITEM)
        }
        _ => 0,
    }
}

fn join(state: &State<'_, '_>, separator: &str, items: &Value) -> Result<Value, Error> {
    let mut joined = String::new();
    for (index, item) in items.try_iter()?.enumerate() {
        let Some(item) = item.as_str() else {
            return Err(invalid(format!("join expects strings, found a value of type {}", item.kind())));
        };
        spend(state, ITEM + separator.len() + item.len())?;
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(item);
    }
    Ok(Value::from(joined))
}

fn rsplit(text: &str, separator: Option<&str>, most: Option<i64>) -> Result<Value, Error> {
    let most = most.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let mut parts: Vec<&str> = match separator {
        Some("") => return Err(invalid("empty separator")),
        Some(separator) => text.rsplitn(most.saturating_add(1), separator).collect(),
        None => {
            let mut parts = Vec::new();
            let mut rest = text.trim_end();
            while !rest.is_empty() {
                match rest.rfind(char::is_whitespace) {
                    Some(at) if parts.len() < most => {
                        let (left, right) = rest.split_at(at);
                        parts.push(right.trim_start());
                        rest = left.trim_end();
                    }
                    _ => {
                        parts.push(rest);
                        break;
                    }
                }
            }
            parts
        }
    };
    parts.reverse();
    Ok(parts.into_iter().map(Value::from).collect())
}

fn pad(text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let (width, fill): (i64, Option<&str>) = from_args(args)?;
    let width = usize::try_from(width).unwrap_or(0);
    if width > MAX_WIDTH {
        return Err(too_wide());
    }
    let missing = width.saturating_sub(text.chars().count());
    let fill = if name == "zfill" { "0" } else { fill.unwrap_or(" ") };
    if fill.chars().count() != 1 {
        return Err(invalid("the fill must be one character"));
    }
    let (left, right) = match name {
        "ljust" => (0, missing),
        // CPython puts the odd one left where the width is odd too.
        "center" => (missing / 2 + (missing & width & 1), missing - missing / 2 - (missing & width & 1)),
        _ => (missing, 0),
    };
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) if name == "zfill" => text.split_at(text.len() - digits.len()),
        _ => ("", text),
    };
    Ok(Value::from(format!("{sign}{}{digits}{}", fill.repeat(left), fill.repeat(right))))
}

/// Refuses formats whose fields are wider than [`MAX_WIDTH`] or as wide as an argument says, and pays for their text.
pub(super) fn check_format(state: &State<'_, '_>, format: &str, args: &[Value]) -> Result<(), Error> {
    let fields = format.bytes().filter(|byte| b"%{".contains(byte)).count();
    let mut longest = 0;
    for argument in args {
        longest = longest.max(write::python(argument, &|bytes| spend(state, bytes))?.len());
    }
    spend(state, fields.saturating_mul(longest + MAX_WIDTH))?;
    let mut digits = 0;
    for (index, character) in format.char_indices() {
        digits = if character.is_ascii_digit() { digits + 1 } else { 0 };
        let before = format.get(..index).unwrap_or_default();
        let in_field = before.rfind(['%', '{']) > before.rfind('}');
        if in_field && (digits > 3 || (character == '*' && before.ends_with('%'))) {
            return Err(too_wide());
        }
        // A field within a field gives a width, but for a doubled brace.
        if character == '{' && before.rfind('{') > before.rfind('}') && !before.ends_with('{') {
            return Err(too_wide());
        }
    }
    Ok(())
}

pub(super) fn too_wide() -> Error {
    invalid(format!("a width is limited to {MAX_WIDTH}"))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}
