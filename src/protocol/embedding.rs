//! The embedding request.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::json::{self, Path};
use super::options::{read_token_ids, read_usage_context};
use crate::error::{Error, Result};

/// A request for the vectors of texts.
///
/// `instruction`, `prompt_name`, `normalize`, `truncate` and `pooling` are not part of the OpenAI shape.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct EmbeddingRequest {
    /// The endpoint's name.
    pub model: String,
    /// What to embed.
    pub input: EmbeddingInput,
    /// How vectors are written.
    #[serde(skip_serializing_if = "is_default")]
    pub encoding_format: EncodingFormat,
    /// Keep only so many values of each vector, from the first on; at least 1. All by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u32>,
    /// Whom the request is for; opaque.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Put before every text, as it is: what the model's authors ask for before a query, for instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
    /// The name of one of the model's own prompts, put before every text; not together with an instruction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_name: Option<String>,
    /// Whether vectors have unit length.
    #[serde(skip_serializing_if = "is_default")]
    pub normalize: Normalize,
    /// What happens to a text that is longer than the model takes.
    #[serde(skip_serializing_if = "is_default")]
    pub truncate: Truncate,
    /// How a text's rows become its vector; as the model has it by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pooling: Option<PoolingMode>,
    /// The caller's own name for the request; opaque.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_request_id: Option<String>,
    /// What the caller wants to find with the request in the ledger: names and texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_context: Option<Map<String, Value>>,
}

/// What to embed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum EmbeddingInput {
    /// One text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
    /// The token ids of one text, special tokens included, used as they are.
    Tokens(Vec<u32>),
    /// The token ids of several texts.
    TokenLists(Vec<Vec<u32>>),
}

impl EmbeddingInput {
    /// The number of texts.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(_) | Self::Tokens(_) => 1,
            Self::Texts(texts) => texts.len(),
            Self::TokenLists(lists) => lists.len(),
        }
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for EmbeddingInput {
    fn default() -> Self {
        Self::Texts(Vec::new())
    }
}

impl From<&str> for EmbeddingInput {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for EmbeddingInput {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<String>> for EmbeddingInput {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}

impl From<&[&str]> for EmbeddingInput {
    fn from(texts: &[&str]) -> Self {
        Self::Texts(texts.iter().map(|text| (*text).into()).collect())
    }
}

impl<const N: usize> From<[&str; N]> for EmbeddingInput {
    fn from(texts: [&str; N]) -> Self {
        texts.as_slice().into()
    }
}

impl From<Vec<u32>> for EmbeddingInput {
    fn from(ids: Vec<u32>) -> Self {
        Self::Tokens(ids)
    }
}

impl From<Vec<Vec<u32>>> for EmbeddingInput {
    fn from(lists: Vec<Vec<u32>>) -> Self {
        Self::TokenLists(lists)
    }
}

/// How vectors are written in a response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncodingFormat {
    /// A list of numbers.
    #[default]
    Float,
    /// The values as 32-bit floats, little endian, in Base64.
    Base64,
}

/// Whether vectors have unit length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalize {
    /// As the model's authors have it.
    #[default]
    Model,
    /// As they come out of the model.
    None,
    /// Divided by their length.
    L2,
}

/// What happens to a text that is longer than the model takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncate {
    /// The request is refused.
    #[default]
    Error,
    /// Its end is cut off. Special tokens around the text stay.
    End,
    /// Its start is cut off. Special tokens around the text stay.
    Start,
}

/// How a text's rows become its vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolingMode {
    /// The first token's row.
    Cls,
    /// The mean of all rows.
    Mean,
    /// The last token's row.
    Last,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// One of the words that a field takes.
fn word<T: for<'de> Deserialize<'de>>(path: &Path<'_>, value: Value, expected: &str) -> Result<T> {
    T::deserialize(&value).map_err(|_| json::wrong(path, expected, &value))
}

fn read_input(path: &Path<'_>, value: Value) -> Result<EmbeddingInput> {
    const EXPECTED: &str = "a string, a list of strings, a list of token ids, or a list of such lists";
    let items = match value {
        Value::String(text) => return Ok(EmbeddingInput::Text(text)),
        Value::Array(items) if !items.is_empty() => items,
        other => return Err(json::wrong(path, &format!("{EXPECTED}, not empty"), &other)),
    };
    match &items[0] {
        Value::Number(_) => Ok(EmbeddingInput::Tokens(read_token_ids(path, Value::Array(items))?)),
        Value::String(_) => Ok(EmbeddingInput::Texts(json::list(path, items, json::string)?)),
        Value::Array(_) => Ok(EmbeddingInput::TokenLists(json::list(path, items, read_token_ids)?)),
        other => {
            Err(json::wrong(&Path::Index(path, 0), "a string, a token id or a list of token ids", other))
        }
    }
}

impl EmbeddingRequest {
    /// A request with every option at its default.
    pub fn new(model: impl Into<String>, input: impl Into<EmbeddingInput>) -> Self {
        Self { model: model.into(), input: input.into(), ..Self::default() }
    }

    /// Reads a request in the OpenAI shape and validates it.
    ///
    /// # Errors
    /// As [`ChatRequest::from_json`](super::ChatRequest::from_json).
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        Self::from_tree(json::parse(bytes)?)
    }

    fn from_tree(tree: Value) -> Result<Self> {
        let mut request = Self::default();
        let (mut model, mut input) = (None, None);
        for (key, value) in json::object(&Path::Root, tree)? {
            let path = &Path::Key(&Path::Root, &key);
            match key.as_str() {
                "model" => model = Some(json::string(path, value)?),
                "input" => input = Some(read_input(path, value)?),
                "encoding_format" | "dimensions" | "user" | "instruction" | "prompt_name" | "normalize"
                | "truncate" | "pooling" | "client_request_id" | "usage_context"
                    if value.is_null() => {}
                "encoding_format" => request.encoding_format = word(path, value, "\"float\" or \"base64\"")?,
                "dimensions" => request.dimensions = Some(json::unsigned(path, &value, 1, u32::MAX)?),
                "user" => request.user = Some(json::string(path, value)?),
                "client_request_id" => request.client_request_id = Some(json::string(path, value)?),
                "usage_context" => request.usage_context = Some(read_usage_context(path, value)?),
                "instruction" => request.instruction = Some(json::string(path, value)?),
                "prompt_name" => request.prompt_name = Some(json::string(path, value)?),
                "normalize" => request.normalize = word(path, value, "\"model\", \"none\" or \"l2\"")?,
                "truncate" => request.truncate = word(path, value, "\"error\", \"end\" or \"start\"")?,
                "pooling" => request.pooling = Some(word(path, value, "\"cls\", \"mean\" or \"last\"")?),
                _ => return Err(json::unknown(path)),
            }
        }
        request.model = model.ok_or_else(|| json::missing(&Path::Key(&Path::Root, "model")))?;
        request.input = input.ok_or_else(|| json::missing(&Path::Key(&Path::Root, "input")))?;
        request.validate()?;
        Ok(request)
    }

    /// Checks what the types do not: empty inputs, and fields that exclude each other.
    ///
    /// # Errors
    /// Names the field, its value and what is accepted.
    pub fn validate(&self) -> Result<()> {
        if self.model.is_empty() {
            return Err(Error::invalid("model", "`model` is empty; it names the endpoint"));
        }
        self.input.validate()?;
        if self.dimensions == Some(0) {
            return Err(Error::invalid("dimensions", "`dimensions` is 0; accepted is 1 or more"));
        }
        if self.instruction.is_some() && self.prompt_name.is_some() {
            let message =
                "`prompt_name` is accepted only without `instruction`; both would be put before the text";
            return Err(Error::invalid("prompt_name", message));
        }
        Ok(())
    }
}

impl EmbeddingInput {
    /// Checks that there is something to embed.
    ///
    /// # Errors
    /// Names what is empty.
    pub fn validate(&self) -> Result<()> {
        let empty = |path: String, what: &str| {
            let message = format!("`{path}` is empty; {what}");
            Err(Error::invalid(path, message))
        };
        let (text, tokens) = ("a text has at least one character", "a list of tokens has at least one");
        match self {
            Self::Text(one) if one.is_empty() => empty("input".into(), text),
            Self::Tokens(one) if one.is_empty() => empty("input".into(), tokens),
            Self::Texts(texts) => match texts.iter().position(String::is_empty) {
                _ if texts.is_empty() => empty("input".into(), "at least one text is needed"),
                Some(at) => empty(format!("input[{at}]"), text),
                None => Ok(()),
            },
            Self::TokenLists(lists) => match lists.iter().position(Vec::is_empty) {
                _ if lists.is_empty() => empty("input".into(), "at least one text is needed"),
                Some(at) => empty(format!("input[{at}]"), tokens),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

impl<'de> Deserialize<'de> for EmbeddingRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_tree(json::tree(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::ErrorKind;

    fn read(text: &str) -> Result<EmbeddingRequest> {
        EmbeddingRequest::from_json(text.as_bytes())
    }

    #[test]
    fn every_form_of_input_is_read() {
        for (input, expected) in [
            (r#""a""#, EmbeddingInput::from("a")),
            (r#"["a","b"]"#, ["a", "b"].into()),
            ("[1,2]", vec![1, 2].into()),
            ("[[1,2],[3]]", vec![vec![1, 2], vec![3]].into()),
        ] {
            let request = read(&format!(r#"{{"model":"m","input":{input}}}"#)).unwrap();
            assert_eq!(request, EmbeddingRequest::new("m", expected));
            let printed = serde_json::to_string(&request).unwrap();
            assert_eq!(printed, format!(r#"{{"model":"m","input":{input}}}"#));
        }
    }

    #[test]
    fn every_option_survives_printing() {
        let text = r#"{"model":"m","input":"a","encoding_format":"base64","dimensions":7,"user":"u",
            "instruction":"query: ","normalize":"l2","truncate":"start","pooling":"last"}"#;
        let request = read(text).unwrap();
        assert_eq!(request.encoding_format, EncodingFormat::Base64);
        assert_eq!((request.normalize, request.truncate), (Normalize::L2, Truncate::Start));
        assert_eq!((request.pooling, request.dimensions), (Some(PoolingMode::Last), Some(7)));
        let printed = serde_json::to_vec(&request).unwrap();
        assert_eq!(EmbeddingRequest::from_json(&printed).unwrap(), request);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (fields, param) in [
            (r#""input":"""#, "input"),
            (r#""input":[]"#, "input"),
            (r#""input":["a",""]"#, "input[1]"),
            (r#""input":["a",1]"#, "input[1]"),
            (r#""input":[1,"a"]"#, "input[1]"),
            (r#""input":[1,-2]"#, "input[1]"),
            (r#""input":[[1],[]]"#, "input[1]"),
            (r#""input":[[1],[1,2.5]]"#, "input[1][1]"),
            (r#""input":[null]"#, "input[0]"),
            (r#""input":{}"#, "input"),
            (r#""user":"u""#, "input"),
            (r#""input":"a","dimensions":0"#, "dimensions"),
            (r#""input":"a","encoding_format":"int8""#, "encoding_format"),
            (r#""input":"a","normalize":true"#, "normalize"),
            (r#""input":"a","truncate":"left""#, "truncate"),
            (r#""input":"a","pooling":"max""#, "pooling"),
            (r#""input":"a","instruction":"x","prompt_name":"y""#, "prompt_name"),
            (r#""input":"a","stream":true"#, "stream"),
        ] {
            let error = read(&format!(r#"{{"model":"m",{fields}}}"#)).unwrap_err();
            assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some(param)), "{error}");
        }
        assert_eq!(read(r#"{"model":"","input":"a"}"#).unwrap_err().param(), Some("model"));
        assert_eq!(read(r#"{"input":"a"}"#).unwrap_err().param(), Some("model"));
    }
}
