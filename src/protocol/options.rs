//! What chat and completion requests have in common: how to generate, and what to send back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::json::{self, Path};
use crate::error::{Error, Result};

/// The most stop strings of one request.
pub const MAX_STOP_STRINGS: usize = 4;

/// The most answers that a request may ask for.
pub const MAX_CHOICES: u32 = 5;

/// The most tokens that a request may have guessed ahead in a step.
pub const MAX_PROMPT_LOOKUP_TOKENS: u32 = 16;

/// How to generate. `None` leaves the choice to the documented default.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GenerationOptions {
    /// The most tokens to generate, at least 1; without it, as many as the context window leaves room for. Chat
    /// requests may call it `max_completion_tokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// From 0 (greedy) to 2; 1 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Sample from the smallest set of tokens with at least this probability together; above 0, at most 1 (default).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f32>,
    /// Sample from this many most likely tokens, at least 1; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// Sample from tokens with at least this share of the most likely one's probability; 0 (default) to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f32>,
    /// Makes tokens of prompt and text less likely when above 1 (the default), more likely below; above 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f32>,
    /// Subtracted from a token's logit for each time it occurs in the generated text; -2 to 2, 0 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f32>,
    /// Subtracted once from the logits of tokens that occur in the generated text; -2 to 2, 0 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f32>,
    /// Added to the logits of single tokens; -100 to 100 each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub logit_bias: BTreeMap<u32, f32>,
    /// Decides every draw. A negative seed in JSON is its two's complement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Texts that end the generation when met, at most four, none empty; they are not part of the answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Tokens that end the generation beside the model's own. Not part of the OpenAI shape.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop_token_ids: Vec<u32>,
    /// How many answers to give, each with draws of its own; 1 (default) to 5, and only 1 where tokens are paid one by
    /// one. The prompt is computed once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    /// The most tokens that a step may guess ahead by looking up what followed the newest ones where they stood before,
    /// in prompt or text; 0 (default) to 16. The answer is the same, and comes sooner where it repeats what was said:
    /// summaries, extractions, edited code. Not part of the OpenAI shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_lookup_tokens: Option<u32>,
    /// The name of an adapter that the endpoint has loaded; the model as it is without one. Not part of the OpenAI shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// Whether the caller wants chunks.
    #[serde(skip_serializing_if = "is_false")]
    pub stream: bool,
    /// Details of streaming; only together with [`stream`](Self::stream).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<StreamOptions>,
    /// Whom the request is for; opaque.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The caller's own name for the request; opaque.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_request_id: Option<String>,
    /// What the caller wants to find with the request in the ledger: names and texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_context: Option<Map<String, Value>>,
}

/// Details of streaming.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamOptions {
    /// Whether a last chunk without choices reports the usage.
    #[serde(default)]
    pub include_usage: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl GenerationOptions {
    /// Reads one field of a request. Gives the value back if the field is none of these.
    pub(crate) fn read(&mut self, key: &str, value: Value) -> Result<Option<Value>> {
        let path = &Path::Key(&Path::Root, key);
        let known = matches!(
            key,
            "max_tokens"
                | "temperature"
                | "top_p"
                | "top_k"
                | "min_p"
                | "repetition_penalty"
                | "frequency_penalty"
                | "presence_penalty"
                | "logit_bias"
                | "seed"
                | "stop"
                | "stop_token_ids"
                | "n"
                | "prompt_lookup_tokens"
                | "adapter"
                | "stream"
                | "stream_options"
                | "user"
                | "client_request_id"
                | "usage_context"
        );
        if !known {
            return Ok(Some(value));
        }
        if value.is_null() {
            return Ok(None);
        }
        match key {
            "max_tokens" => self.max_tokens = Some(json::unsigned(path, &value, 1, u32::MAX)?),
            "temperature" => self.temperature = Some(json::number(path, &value)?),
            "top_p" => self.top_p = Some(json::number(path, &value)?),
            "top_k" => self.top_k = Some(json::unsigned(path, &value, 1, u32::MAX)?),
            "min_p" => self.min_p = Some(json::number(path, &value)?),
            "repetition_penalty" => self.repetition_penalty = Some(json::number(path, &value)?),
            "frequency_penalty" => self.frequency_penalty = Some(json::number(path, &value)?),
            "presence_penalty" => self.presence_penalty = Some(json::number(path, &value)?),
            "logit_bias" => self.logit_bias = read_logit_bias(path, value)?,
            "seed" => self.seed = Some(read_seed(path, &value)?),
            "stop" => self.stop = read_stop(path, value)?,
            "stop_token_ids" => self.stop_token_ids = read_token_ids(path, value)?,
            "n" => self.n = Some(json::unsigned(path, &value, 1, MAX_CHOICES)?),
            "prompt_lookup_tokens" => {
                self.prompt_lookup_tokens = Some(json::unsigned(path, &value, 0, MAX_PROMPT_LOOKUP_TOKENS)?);
            }
            "adapter" => self.adapter = Some(json::string(path, value)?),
            "stream" => self.stream = json::boolean(path, &value)?,
            "stream_options" => self.stream_options = Some(read_stream_options(path, value)?),
            "user" => self.user = Some(json::string(path, value)?),
            "client_request_id" => self.client_request_id = Some(json::string(path, value)?),
            _ => self.usage_context = Some(read_usage_context(path, value)?),
        }
        Ok(None)
    }

    /// Checks every range; a Rust caller can put anything into the public fields.
    pub(crate) fn validate(&self) -> Result<()> {
        at_least_one("max_tokens", self.max_tokens)?;
        at_least_one("top_k", self.top_k)?;
        in_range("temperature", self.temperature, "from 0 to 2", |v| (0.0..=2.0).contains(&v))?;
        in_range("top_p", self.top_p, "above 0 and at most 1", |v| v > 0.0 && v <= 1.0)?;
        in_range("min_p", self.min_p, "from 0 to 1", |v| (0.0..=1.0).contains(&v))?;
        in_range("repetition_penalty", self.repetition_penalty, "above 0, finite", |v| {
            v > 0.0 && v.is_finite()
        })?;
        in_range("frequency_penalty", self.frequency_penalty, "from -2 to 2", |v| (-2.0..=2.0).contains(&v))?;
        in_range("presence_penalty", self.presence_penalty, "from -2 to 2", |v| (-2.0..=2.0).contains(&v))?;
        for (id, bias) in &self.logit_bias {
            in_range(&format!("logit_bias.{id}"), Some(*bias), "from -100 to 100", |v| {
                (-100.0..=100.0).contains(&v)
            })?;
        }
        if self.stop.len() > MAX_STOP_STRINGS {
            let message =
                format!("`stop` has {} strings; at most {MAX_STOP_STRINGS} are accepted", self.stop.len());
            return Err(Error::invalid("stop", message));
        }
        if let Some(index) = self.stop.iter().position(String::is_empty) {
            let path = format!("stop[{index}]");
            return Err(Error::invalid(
                path.clone(),
                format!("`{path}` is empty; a stop string has at least one character"),
            ));
        }
        if let Some(n) = self.n.filter(|n| !(1..=MAX_CHOICES).contains(n)) {
            let message = format!("`n` is {n}; accepted is an integer from 1 to {MAX_CHOICES}");
            return Err(Error::invalid("n", message));
        }
        if let Some(tokens) = self.prompt_lookup_tokens.filter(|tokens| *tokens > MAX_PROMPT_LOOKUP_TOKENS) {
            let message = format!(
                "`prompt_lookup_tokens` is {tokens}; accepted is an integer from 0 to {MAX_PROMPT_LOOKUP_TOKENS}"
            );
            return Err(Error::invalid("prompt_lookup_tokens", message));
        }
        if self.adapter.as_deref() == Some("") {
            return Err(Error::invalid("adapter", "`adapter` is empty; accepted is the name of an adapter"));
        }
        if self.stream_options.is_some() && !self.stream {
            return Err(Error::invalid(
                "stream_options",
                "`stream_options` is accepted only with `stream`: true",
            ));
        }
        Ok(())
    }
}

fn at_least_one(name: &str, value: Option<u32>) -> Result<()> {
    match value {
        Some(0) => Err(Error::invalid(name, format!("`{name}` is 0; accepted is 1 or more"))),
        _ => Ok(()),
    }
}

fn in_range(name: &str, value: Option<f32>, accepted: &str, test: impl Fn(f32) -> bool) -> Result<()> {
    match value {
        Some(value) if !test(value) => {
            Err(Error::invalid(name, format!("`{name}` is {value}; accepted is a number {accepted}")))
        }
        _ => Ok(()),
    }
}

fn read_seed(path: &Path<'_>, value: &Value) -> Result<u64> {
    let seed = value.as_u64().or_else(|| value.as_i64().map(|negative| negative as u64));
    seed.ok_or_else(|| json::wrong(path, "an integer of 64 bits", value))
}

fn read_logit_bias(path: &Path<'_>, value: Value) -> Result<BTreeMap<u32, f32>> {
    let mut biases = BTreeMap::new();
    for (key, bias) in json::object(path, value)? {
        let entry = Path::Key(path, &key);
        // Only the canonical spelling: "7" and "07" would be two biases of one token.
        let id = key.parse::<u32>().ok().filter(|id| id.to_string() == key).ok_or_else(|| {
            Error::invalid(
                entry.to_string(),
                format!("`{entry}` must be named by a token id, such as \"42\""),
            )
        })?;
        biases.insert(id, json::number(&entry, &bias)?);
    }
    Ok(biases)
}

fn read_stop(path: &Path<'_>, value: Value) -> Result<Vec<String>> {
    match value {
        Value::String(text) if text.is_empty() => {
            Err(Error::invalid("stop", "`stop` is empty; a stop string has at least one character"))
        }
        Value::String(text) => Ok(vec![text]),
        Value::Array(items) => json::list(path, items, json::string),
        other => Err(json::wrong(path, "a string or a list of strings", &other)),
    }
}

/// A list of token ids.
pub(crate) fn read_token_ids(path: &Path<'_>, value: Value) -> Result<Vec<u32>> {
    match value {
        Value::Array(items) => json::list(path, items, |path, id| json::unsigned(path, &id, 0, u32::MAX)),
        other => Err(json::wrong(path, "a list of token ids", &other)),
    }
}

/// A map of texts.
pub(super) fn read_usage_context(path: &Path<'_>, value: Value) -> Result<Map<String, Value>> {
    let Value::Object(map) = value else { return Err(json::wrong(path, "an object of strings", &value)) };
    for (key, value) in &map {
        if !value.is_string() {
            return Err(json::wrong(&Path::Key(path, key), "a string", value));
        }
    }
    Ok(map)
}

fn read_stream_options(path: &Path<'_>, value: Value) -> Result<StreamOptions> {
    let mut options = StreamOptions::default();
    for (key, value) in json::object(path, value)? {
        let path = Path::Key(path, &key);
        match key.as_str() {
            "include_usage" if value.is_null() => {}
            "include_usage" => options.include_usage = json::boolean(&path, &value)?,
            "include_obfuscation" if matches!(value, Value::Null | Value::Bool(false)) => {}
            "include_obfuscation" => return Err(json::unsupported(&path, "")),
            _ => return Err(json::unknown(&path)),
        }
    }
    Ok(options)
}

/// What to do with a field that the generation options do not know: fields of the API that are not implemented
/// pass with a value that asks for nothing (null or the documented default) and are refused otherwise.
pub(crate) fn refuse(path: &Path<'_>, key: &str, value: &Value, names: &[&str]) -> Result<()> {
    if !names.contains(&key) {
        return Err(json::unknown(path));
    }
    let asks_for_nothing = match (key, value) {
        (_, Value::Null) => true,
        ("best_of", Value::Number(number)) => number.as_u64() == Some(1),
        ("functions", Value::Array(items)) => items.is_empty(),
        ("function_call", Value::String(choice)) => choice == "none" || choice == "auto",
        ("modalities", Value::Array(items)) => {
            matches!(items.as_slice(), [Value::String(one)] if one == "text")
        }
        ("store", Value::Bool(store)) => !store,
        ("metadata" | "extra_params", Value::Object(map)) => map.is_empty(),
        ("service_tier", Value::String(tier)) => tier == "auto",
        _ => false,
    };
    if asks_for_nothing { Ok(()) } else { Err(json::unsupported(path, "")) }
}

/// Builder methods for the fields of [`GenerationOptions`], on a request with a field `options`.
macro_rules! option_builders {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {
        $($(#[$doc])* #[must_use] pub fn $name(mut self, $name: $type) -> Self {
            self.options.$name = Some($name);
            self
        })*
    };
}

macro_rules! generation_builders {
    ($request:ident) => {
        impl $request {
            $crate::protocol::options::option_builders! {
                /// Sets [`GenerationOptions::max_tokens`].
                max_tokens: u32;
                /// Sets [`GenerationOptions::temperature`].
                temperature: f32;
                /// Sets [`GenerationOptions::top_p`].
                top_p: f32;
                /// Sets [`GenerationOptions::top_k`].
                top_k: u32;
                /// Sets [`GenerationOptions::min_p`].
                min_p: f32;
                /// Sets [`GenerationOptions::repetition_penalty`].
                repetition_penalty: f32;
                /// Sets [`GenerationOptions::frequency_penalty`].
                frequency_penalty: f32;
                /// Sets [`GenerationOptions::presence_penalty`].
                presence_penalty: f32;
                /// Sets [`GenerationOptions::seed`].
                seed: u64;
                /// Sets [`GenerationOptions::n`].
                n: u32;
                /// Sets [`GenerationOptions::prompt_lookup_tokens`].
                prompt_lookup_tokens: u32;
            }

            /// Sets [`GenerationOptions::adapter`].
            #[must_use]
            pub fn adapter(mut self, name: impl Into<String>) -> Self {
                self.options.adapter = Some(name.into());
                self
            }

            /// Adds a stop string.
            #[must_use]
            pub fn stop(mut self, text: impl Into<String>) -> Self {
                self.options.stop.push(text.into());
                self
            }
        }
    };
}

pub(crate) use {generation_builders, option_builders};
