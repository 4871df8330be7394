//! The JSON schemas that are accepted, checked keyword by keyword and brought into the form that the engine enforces.
//!
//! The engine knows more of JSON Schema than the documents promise, drops what it does not know in places, and takes
//! some malformed schemas for ones that allow everything. So nothing reaches it that was not understood here.

mod array;
mod number;
mod object;
mod string;
mod values;

use serde_json::{Map, Value, json};

use super::error::GrammarError;

pub use self::string::MAX_COUNTED_LENGTH;

/// The most keys of the schema of a response. Keys are the names in `properties`, at all levels together.
pub const RESPONSE_KEYS: usize = 64;
/// The most keys of the parameters of a tool.
pub const TOOL_KEYS: usize = 16;

/// How deep schemas may be nested. Bounds the recursion here and in the engine.
const MAX_DEPTH: usize = 32;
/// Keywords that assert nothing. Definitions can only be reached by `$ref`, which is refused.
const ANNOTATIONS: [&str; 12] = [
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
];
/// Keywords that the documents name as not supported.
const UNSUPPORTED: [&str; 6] = ["pattern", "anyOf", "oneOf", "allOf", "prefixItems", "$ref"];
const SUPPORTED: &str = "type, properties, required, additionalProperties, minProperties, maxProperties, items, minItems, \
     maxItems, enum, const, minLength, maxLength, format, minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf";

/// The schema of a response.
pub(super) fn response(schema: &Value) -> Result<Value, GrammarError> {
    let path = "schema";
    Walk::new(path, RESPONSE_KEYS).object_root(schema, path)
}

/// The parameters of tool number `index`. Neither schema nor keywords: the tool takes no arguments.
pub(super) fn parameters(schema: &Value, index: usize) -> Result<Value, GrammarError> {
    let path = format!("tools[{index}].parameters");
    let none = schema.is_null() || schema.as_object().is_some_and(Map::is_empty);
    if none {
        return Ok(json!({"type": "object", "properties": {}, "additionalProperties": false}));
    }
    Walk::new(&path, TOOL_KEYS).object_root(schema, &path)
}

/// Any JSON value, defined in what [`Layout::apply`] gives.
fn any() -> Value {
    json!({"$ref": "#/$defs/any"})
}

/// Any JSON object.
pub(super) fn any_object() -> Value {
    json!({"type": "object", "additionalProperties": any()})
}

/// White space in generated JSON.
#[derive(Debug, Clone, Copy)]
pub(super) enum Layout {
    /// None.
    Compact,
    /// At most one space after `:` and `,`.
    Spaced,
}

impl Layout {
    /// The schema with the engine's options for it, and with the definition of any value: the engine's own has numbers
    /// such as 1e999, which no parser reads.
    pub(super) fn apply(self, mut schema: Value) -> Value {
        schema["$defs"] = json!({"any": {"anyOf": [
            {"type": ["null", "boolean", "string"]},
            {"type": "number", "minimum": -number::MAX_EXACT, "maximum": number::MAX_EXACT},
            {"type": "array", "items": any()},
            any_object(),
        ]}});
        let (item, key) = match self {
            Self::Compact => (",", ":"),
            Self::Spaced => (", ?", ": ?"),
        };
        // Without `u`: an escaped spelling of a declared key would be taken for another key.
        schema["x-guidance"] = json!({
            "whitespace_flexible": false,
            "item_separator": item,
            "key_separator": key,
            "json_allowed_escapes": "nrbtf\\\"",
        });
        schema
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Object,
    Array,
    String,
    Number,
    Integer,
    Boolean,
    Null,
}

impl Kind {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "object" => Self::Object,
            "array" => Self::Array,
            "string" => Self::String,
            "number" => Self::Number,
            "integer" => Self::Integer,
            "boolean" => Self::Boolean,
            "null" => Self::Null,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Null => "null",
        }
    }

    /// The kind whose values a keyword is about.
    fn of_keyword(keyword: &str) -> Option<Self> {
        Some(match keyword {
            "properties" | "required" | "additionalProperties" | "minProperties" | "maxProperties" => {
                Self::Object
            }
            "items" | "minItems" | "maxItems" => Self::Array,
            "minLength" | "maxLength" | "format" => Self::String,
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => Self::Number,
            _ => return None,
        })
    }
}

/// What `type` says, or what the keywords say where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Types {
    kind: Option<Kind>,
    nullable: bool,
}

/// One walk over a schema.
struct Walk {
    root: String,
    keys: usize,
    max_keys: usize,
}

impl Walk {
    fn new(root: &str, max_keys: usize) -> Self {
        Self { root: root.to_owned(), keys: 0, max_keys }
    }

    fn object_root(&mut self, schema: &Value, path: &str) -> Result<Value, GrammarError> {
        let keywords = keywords(schema, path)?;
        let types = types(keywords, path)?;
        if types != (Types { kind: Some(Kind::Object), nullable: false }) {
            return Err(GrammarError::schema(
                format!("{path}.type"),
                "the root of a schema must be an object",
            ));
        }
        self.schema(schema, path, 0)
    }

    fn schema(&mut self, schema: &Value, path: &str, depth: usize) -> Result<Value, GrammarError> {
        if depth > MAX_DEPTH {
            return Err(GrammarError::schema(path, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let keywords = keywords(schema, path)?;
        let types = types(keywords, path)?;
        for keyword in keywords.keys() {
            check_keyword(keyword, types, path)?;
        }
        if keywords.contains_key("enum") || keywords.contains_key("const") {
            return values::normalize(keywords, types, path);
        }
        let mut normal = match types.kind {
            None if types.nullable => Map::new(),
            None => return Ok(any()),
            Some(Kind::Object) => self.object(keywords, path, depth)?,
            Some(Kind::Array) => self.array(keywords, path, depth)?,
            Some(Kind::String) => string::normalize(keywords, path)?,
            Some(Kind::Integer) => number::integer(keywords, path)?,
            Some(Kind::Number) => number::number(keywords, path)?,
            Some(Kind::Boolean | Kind::Null) => Map::new(),
        };
        let name = types.kind.unwrap_or(Kind::Null).name();
        let named = if types.nullable { json!([name, "null"]) } else { json!(name) };
        normal.insert("type".into(), named);
        Ok(Value::Object(normal))
    }

    /// Counts keys as they are met.
    fn count(&mut self, keys: usize) -> Result<(), GrammarError> {
        self.keys = self.keys.saturating_add(keys);
        if self.keys > self.max_keys {
            return Err(GrammarError::Limit {
                what: format!("{}: keys in `properties`, at all levels together", self.root),
                value: self.keys,
                limit: self.max_keys,
            });
        }
        Ok(())
    }
}

fn keywords<'a>(schema: &'a Value, path: &str) -> Result<&'a Map<String, Value>, GrammarError> {
    schema
        .as_object()
        .ok_or_else(|| GrammarError::schema(path, format!("is {}; a schema is an object", kind_of(schema))))
}

/// Refuses what is not understood and what is about other values than those of the type.
fn check_keyword(keyword: &str, types: Types, path: &str) -> Result<(), GrammarError> {
    let refuse = |reason: String| Err(GrammarError::schema(format!("{path}.{keyword}"), reason));
    if UNSUPPORTED.contains(&keyword) {
        return refuse("this keyword is not supported".into());
    }
    if ANNOTATIONS.contains(&keyword) || matches!(keyword, "type" | "enum" | "const") {
        return Ok(());
    }
    let Some(about) = Kind::of_keyword(keyword) else {
        return refuse(format!("unknown keyword; supported are {SUPPORTED}"));
    };
    match types.kind {
        Some(Kind::Integer) if about == Kind::Number => Ok(()),
        Some(kind) if kind != about => {
            refuse(format!("is about values of type {}, but the type is {}", about.name(), kind.name()))
        }
        _ => Ok(()),
    }
}

fn types(keywords: &Map<String, Value>, path: &str) -> Result<Types, GrammarError> {
    let refuse = |found: &Value| {
        GrammarError::schema(
            format!("{path}.type"),
            format!(
                "is {}; accepted are object, array, string, number, integer, boolean, null, or a list of one of them and \"null\"",
                shown(found)
            ),
        )
    };
    let named = |value: &Value| value.as_str().and_then(Kind::named).ok_or_else(|| refuse(value));
    match keywords.get("type") {
        None => inferred(keywords, path),
        Some(Value::Array(list)) => {
            let [one, other] = list.as_slice() else { return Err(refuse(&Value::Array(list.clone()))) };
            match (named(one)?, named(other)?) {
                (Kind::Null, Kind::Null) => Err(refuse(&Value::Array(list.clone()))),
                (kind, Kind::Null) | (Kind::Null, kind) => Ok(Types { kind: Some(kind), nullable: true }),
                _ => Err(refuse(&Value::Array(list.clone()))),
            }
        }
        Some(one) => Ok(Types { kind: Some(named(one)?), nullable: false }),
    }
}

/// Without `type` a keyword constrains the values that it is about and lets all others pass; what is meant is those
/// values.
fn inferred(keywords: &Map<String, Value>, path: &str) -> Result<Types, GrammarError> {
    let mut kind = None;
    for keyword in keywords.keys() {
        let about = Kind::of_keyword(keyword);
        if about.is_some() && kind.is_some() && kind != about {
            return Err(GrammarError::schema(
                path,
                format!("`type` is missing, and `{keyword}` is about another type than other keywords"),
            ));
        }
        kind = kind.or(about);
    }
    Ok(Types { kind, nullable: false })
}

/// A number of characters, items or properties.
fn count(keywords: &Map<String, Value>, keyword: &str, path: &str) -> Result<Option<usize>, GrammarError> {
    let Some(value) = keywords.get(keyword) else { return Ok(None) };
    // JSON Schema takes 2.0 for 2.
    let whole = value
        .as_u64()
        .or_else(|| value.as_f64().filter(|n| n.fract() == 0.0 && (0.0..1e15).contains(n)).map(|n| n as u64));
    let count = whole.and_then(|n| usize::try_from(n).ok());
    count.map(Some).ok_or_else(|| {
        GrammarError::schema(
            format!("{path}.{keyword}"),
            format!("is {}; a count of 0 or more is accepted", shown(value)),
        )
    })
}

/// A lower and an upper count, in this order.
fn counts(
    keywords: &Map<String, Value>,
    [low, high]: [&str; 2],
    path: &str,
) -> Result<(usize, Option<usize>), GrammarError> {
    let (min, max) = (count(keywords, low, path)?.unwrap_or(0), count(keywords, high, path)?);
    match max {
        Some(max) if min > max => Err(GrammarError::schema(
            format!("{path}.{low}"),
            format!("is {min}, above {high}, which is {max}"),
        )),
        _ => Ok((min, max)),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A value for a message: short ones as they are.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => kind_of(value).to_owned(),
        Value::String(text) if text.chars().count() > 40 => "a long string".to_owned(),
        scalar => scalar.to_string(),
    }
}
