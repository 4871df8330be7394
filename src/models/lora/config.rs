//! `adapter_config.json` as PEFT writes it.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::models::ModelError;
use crate::models::config::{check_positive, check_sizes, unexpected};

/// The file's name.
pub(super) const FILE: &str = "adapter_config.json";

/// Keys that say how an adapter was made or where it goes, not what it computes.
const DESCRIPTIVE: &[&str] = &[
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "exclude_modules",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
];

/// Ways to begin that change the model's own weights: such an adapter is one of a model that nobody has saved.
const CHANGES_THE_BASE: &[&str] = &["corda", "loftq", "lora_ga", "olora", "pissa"];

/// What decides how the factors of an adapter are used.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraConfig {
    /// Rank of the factors, where no pattern says another.
    pub r: usize,
    /// Multiplies the change, divided by the rank, where no pattern says another.
    pub lora_alpha: f64,
    /// Whether it is divided by the root of the rank instead (Kalajdzievski, 2023, arXiv 2312.03732).
    pub use_rslora: bool,
    /// Ranks of single modules: the first of these names that a module's name is or ends with, after a dot.
    pub rank_pattern: Vec<(String, usize)>,
    /// The same for `lora_alpha`.
    pub alpha_pattern: Vec<(String, f64)>,
}

impl LoraConfig {
    /// Reads the bytes of an `adapter_config.json`.
    ///
    /// # Errors
    /// Bytes that are not JSON, another method than LoRA, a key that asks for what is not LoRA as Hu et al. define it,
    /// or numbers that make no sense.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ModelError> {
        let mut keys: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|error| damaged("(file)", &error))?;
        let missing = |key: &str| ModelError::Missing { file: FILE, key: key.into() };
        let refused = |key: &str, value: &Value, expected: &str| {
            Err(unexpected(FILE, key, &value.to_string(), expected))
        };
        match keys.remove("peft_type").ok_or_else(|| missing("peft_type"))? {
            Value::String(method) if method == "LORA" => {}
            other => return refused("peft_type", &other, "\"LORA\""),
        }
        let config = Self {
            r: field(&mut keys, "r")?.ok_or_else(|| missing("r"))?,
            lora_alpha: field(&mut keys, "lora_alpha")?.ok_or_else(|| missing("lora_alpha"))?,
            use_rslora: field(&mut keys, "use_rslora")?.unwrap_or(false),
            rank_pattern: patterns(&mut keys, "rank_pattern")?,
            alpha_pattern: patterns(&mut keys, "alpha_pattern")?,
        };
        for (key, value) in &keys {
            match (key.as_str(), value) {
                ("bias", Value::String(bias)) if bias == "none" => {}
                ("bias", other) => return refused(key, other, "\"none\""),
                ("init_lora_weights", Value::String(way))
                    if CHANGES_THE_BASE.iter().any(|start| way.starts_with(start)) =>
                {
                    let expected = "an adapter that was converted to one of the unchanged model (true)";
                    return refused(key, value, expected);
                }
                ("init_lora_weights", _) => {}
                (key, _) if DESCRIPTIVE.contains(&key) => {}
                // What a newer PEFT adds counts too: it is refused as soon as it asks for something.
                (key, other) if !asks_for_nothing(other) => {
                    return refused(key, other, "nothing (null, false or empty): it is not supported");
                }
                _ => {}
            }
        }
        config.validated()
    }

    fn validated(self) -> Result<Self, ModelError> {
        let ranks = self.rank_pattern.iter().map(|(_, rank)| ("rank_pattern", *rank));
        check_sizes(FILE, &ranks.chain([("r", self.r)]).collect::<Vec<_>>())?;
        let alphas = self.alpha_pattern.iter().map(|(_, alpha)| ("alpha_pattern", *alpha));
        check_positive(FILE, &alphas.chain([("lora_alpha", self.lora_alpha)]).collect::<Vec<_>>())?;
        let ranks = self.rank_pattern.iter().map(|(name, _)| ("rank_pattern", name));
        let alphas = self.alpha_pattern.iter().map(|(name, _)| ("alpha_pattern", name));
        // PEFT takes them for regular expressions, which a dot is in too: a name with dots means itself.
        let literal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        match ranks.chain(alphas).find(|(_, name)| !name.trim_start_matches('^').chars().all(literal)) {
            Some((key, name)) => {
                let expected =
                    "names of modules or their ends (letters, digits, `_`, `-`, `.`, a `^` in front)";
                Err(unexpected(FILE, key, &format!("{name:?}"), expected))
            }
            None => Ok(self),
        }
    }

    /// The rank of a module's factors.
    pub fn rank(&self, module: &str) -> usize {
        of_module(&self.rank_pattern, module).unwrap_or(self.r)
    }

    /// What a module's change is multiplied with.
    pub fn scale(&self, module: &str) -> f32 {
        let alpha = of_module(&self.alpha_pattern, module).unwrap_or(self.lora_alpha);
        let rank = self.rank(module) as f64;
        (alpha / if self.use_rslora { rank.sqrt() } else { rank }) as f32
    }
}

/// The value of the first pattern that fits a module.
fn of_module<T: Copy>(patterns: &[(String, T)], module: &str) -> Option<T> {
    let fits = |pattern: &str| match pattern.strip_prefix('^') {
        Some(whole) => module == whole,
        None => module.strip_suffix(pattern).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
    };
    patterns.iter().find(|(pattern, _)| fits(pattern)).map(|(_, value)| *value)
}

fn asks_for_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) => false,
    }
}

fn field<T: DeserializeOwned>(keys: &mut Map<String, Value>, key: &str) -> Result<Option<T>, ModelError> {
    let value = keys.remove(key).filter(|value| !value.is_null());
    value.map(serde_json::from_value).transpose().map_err(|error| damaged(key, &error))
}

/// The entries of an object, in their order: of several patterns that fit, the first counts.
fn patterns<T: DeserializeOwned>(
    keys: &mut Map<String, Value>,
    key: &str,
) -> Result<Vec<(String, T)>, ModelError> {
    let map: Map<String, Value> = field(keys, key)?.unwrap_or_default();
    let entry =
        |(name, value)| Ok((name, serde_json::from_value(value).map_err(|error| damaged(key, &error))?));
    map.into_iter().map(entry).collect()
}

fn damaged(key: &str, error: &serde_json::Error) -> ModelError {
    unexpected(FILE, key, &error.to_string(), "the configuration of a LoRA adapter")
}
