//! How an encoder's rows become embeddings: the sentence-transformers layout of a folder, the metadata of a GGUF file.

use std::collections::BTreeMap;

use serde_json::Value;

use super::config::{GGUF, unexpected};
use super::{EncoderShape, ModelError};
use crate::backend::Pooling;
use crate::weights::{Checkpoint, Format};

const MODULES: &str = "modules.json";
const TRANSFORMER: &str = "sentence_bert_config.json";
const PROMPTS: &str = "config_sentence_transformers.json";
const TOKENIZER: &str = "tokenizer_config.json";
const POOLING: &str = "1_Pooling/config.json";

/// The keys of a pooling configuration and what each asks for; `None` is not supported.
const POOLING_MODES: [(&str, Option<Pooling>); 6] = [
    ("pooling_mode_cls_token", Some(Pooling::First)),
    ("pooling_mode_mean_tokens", Some(Pooling::Mean)),
    ("pooling_mode_lasttoken", Some(Pooling::Last)),
    ("pooling_mode_max_tokens", None),
    ("pooling_mode_mean_sqrt_len_tokens", None),
    ("pooling_mode_weightedmean_tokens", None),
];
const SUPPORTED_POOLING: &str = "exactly one of cls, mean and last token";

/// What a model's authors say about its embeddings.
///
/// A folder without `modules.json` is a bare encoder, for which sentence-transformers takes the mean of all rows and
/// normalizes nothing; so does this. GGUF says how to pool and has no key for normalizing: programs that read the
/// format divide vectors by their length, and so does this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentenceConfig {
    /// How the rows of a text become its vector.
    pub pooling: Pooling,
    /// Whether vectors are divided by their length.
    pub normalize: bool,
    /// The most tokens of a text, special tokens included.
    pub max_tokens: usize,
    /// Prompts by name, each put before a text as it is.
    pub prompts: BTreeMap<String, String>,
    /// The name of the prompt that is put before texts when nobody names one.
    pub default_prompt: Option<String>,
}

impl SentenceConfig {
    /// Reads what belongs to the checkpoint, an encoder of this shape.
    ///
    /// # Errors
    /// Files that are damaged, contradict the model, or ask for what is not supported: another pooling, a layer behind
    /// it.
    pub fn from_checkpoint(checkpoint: &Checkpoint, shape: &EncoderShape) -> Result<Self, ModelError> {
        match checkpoint.format() {
            Format::HuggingFace => Self::from_folder(checkpoint, shape),
            Format::Gguf => Self::from_gguf(checkpoint, shape),
        }
    }

    fn from_folder(checkpoint: &Checkpoint, shape: &EncoderShape) -> Result<Self, ModelError> {
        let (pooling, normalize) = match json(checkpoint, MODULES)? {
            Some(modules) => modules_of(checkpoint, &modules, shape)?,
            None => (Pooling::Mean, false),
        };
        let (prompts, default_prompt) = match json(checkpoint, PROMPTS)? {
            Some(config) => prompts_of(&config)?,
            None => Default::default(),
        };
        let max_tokens = max_tokens(checkpoint, shape)?;
        Ok(Self { pooling, normalize, max_tokens, prompts, default_prompt })
    }

    fn from_gguf(checkpoint: &Checkpoint, shape: &EncoderShape) -> Result<Self, ModelError> {
        const KEY: &str = "bert.pooling_type";
        // The numbers are those of the format: 0 none, 1 mean, 2 cls, 3 last, 4 rank.
        let pooling = match checkpoint.metadata().u32(KEY)? {
            None | Some(1) => Pooling::Mean,
            Some(2) => Pooling::First,
            Some(3) => Pooling::Last,
            Some(other) => {
                return Err(unexpected(GGUF, KEY, &other.to_string(), "1 (mean), 2 (cls) or 3 (last)"));
            }
        };
        let max_tokens = shape.max_positions;
        Ok(Self { pooling, normalize: true, max_tokens, prompts: BTreeMap::new(), default_prompt: None })
    }
}

/// A file of the folder, if it is there.
fn json(checkpoint: &Checkpoint, file: &'static str) -> Result<Option<Value>, ModelError> {
    let Some(bytes) = checkpoint.read_small(file)? else { return Ok(None) };
    let parsed = serde_json::from_slice(&bytes);
    parsed.map(Some).map_err(|error| unexpected(file, "(file)", &error.to_string(), "JSON"))
}

/// Pooling, and whether normalization follows.
fn modules_of(
    checkpoint: &Checkpoint,
    modules: &Value,
    shape: &EncoderShape,
) -> Result<(Pooling, bool), ModelError> {
    let wrong =
        |key: &str, value: &Value, expected: &str| unexpected(MODULES, key, &value.to_string(), expected);
    let list = modules.as_array().ok_or_else(|| wrong("(file)", modules, "a list of modules"))?;
    let (mut pooling, mut normalize) = (None, false);
    for (at, module) in list.iter().enumerate() {
        // Its last part is the class; where the class lives differs between releases.
        let class = module["type"].as_str().and_then(|name| name.rsplit('.').next()).unwrap_or_default();
        let path = module["path"].as_str().unwrap_or_default();
        match (at, class) {
            (0, "Transformer") if path.is_empty() => {}
            (0, "Transformer") => return Err(wrong("[0].path", &module["path"], "\"\", the folder itself")),
            (1, "Pooling") => pooling = Some(pooling_of(checkpoint, path, shape)?),
            (2.., "Normalize") => normalize = true,
            _ => {
                let key = format!("[{at}].type");
                return Err(wrong(
                    &key,
                    &module["type"],
                    "Transformer, Pooling and perhaps Normalize, in this order",
                ));
            }
        }
    }
    let pooling = pooling.ok_or_else(|| wrong("(file)", modules, "Transformer and Pooling"))?;
    Ok((pooling, normalize))
}

fn pooling_of(checkpoint: &Checkpoint, path: &str, shape: &EncoderShape) -> Result<Pooling, ModelError> {
    let bytes = checkpoint.read_small(&format!("{path}/config.json"))?;
    let bytes =
        bytes.ok_or_else(|| ModelError::Missing { file: MODULES, key: format!("{path}/config.json") })?;
    let config: Value = serde_json::from_slice(&bytes)
        .map_err(|error| unexpected(POOLING, "(file)", &error.to_string(), "JSON"))?;
    if let Some(width) =
        config["word_embedding_dimension"].as_u64().filter(|&width| width != shape.width as u64)
    {
        let expected = format!("the model's width, {}", shape.width);
        return Err(unexpected(POOLING, "word_embedding_dimension", &width.to_string(), &expected));
    }
    if config["include_prompt"] == Value::Bool(false) {
        return Err(unexpected(
            POOLING,
            "include_prompt",
            "false",
            "true: a prompt is pooled like all tokens",
        ));
    }
    // Newer files name the mode; older ones have a flag for each.
    if let Some(mode) = config.get("pooling_mode").filter(|mode| !mode.is_null()) {
        return match mode.as_str() {
            Some("cls") => Ok(Pooling::First),
            Some("mean") => Ok(Pooling::Mean),
            Some("lasttoken") => Ok(Pooling::Last),
            _ => Err(unexpected(POOLING, "pooling_mode", &mode.to_string(), SUPPORTED_POOLING)),
        };
    }
    let asked: Vec<_> = POOLING_MODES.iter().filter(|(key, _)| config[*key] == Value::Bool(true)).collect();
    match asked.as_slice() {
        [(_, Some(pooling))] => Ok(*pooling),
        [(key, None)] => Err(unexpected(POOLING, key, "true", SUPPORTED_POOLING)),
        several => {
            let keys: Vec<&str> = several.iter().map(|(key, _)| *key).collect();
            let found = if keys.is_empty() { "no mode".into() } else { keys.join(" and ") };
            Err(unexpected(POOLING, "pooling_mode", &found, SUPPORTED_POOLING))
        }
    }
}

/// What the layout says, else what the tokenizer and the model were made for; never more than the model has positions.
fn max_tokens(checkpoint: &Checkpoint, shape: &EncoderShape) -> Result<usize, ModelError> {
    let stated = match json(checkpoint, TRANSFORMER)?.map(|config| config["max_seq_length"].clone()) {
        None | Some(Value::Null) => None,
        Some(value) => match value.as_u64().filter(|&tokens| (1..=1 << 24).contains(&tokens)) {
            Some(tokens) => Some(tokens as usize),
            None => {
                let expected = "a number of tokens, 1 or more";
                return Err(unexpected(TRANSFORMER, "max_seq_length", &value.to_string(), expected));
            }
        },
    };
    let stated = match stated {
        Some(tokens) => tokens,
        None => {
            // Without a limit the tokenizer's file has 1e30.
            let tokenizer =
                json(checkpoint, TOKENIZER)?.and_then(|config| config["model_max_length"].as_f64());
            let tokens =
                tokenizer.filter(|&tokens| tokens >= 1.0).map_or(usize::MAX, |tokens| tokens as usize);
            tokens.min(shape.max_positions)
        }
    };
    Ok(if shape.table_of_positions { stated.min(shape.max_positions) } else { stated })
}

type Prompts = (BTreeMap<String, String>, Option<String>);

fn prompts_of(config: &Value) -> Result<Prompts, ModelError> {
    let wrong =
        |key: &str, value: &Value, expected: &str| unexpected(PROMPTS, key, &value.to_string(), expected);
    let mut prompts = BTreeMap::new();
    match &config["prompts"] {
        Value::Null => {}
        Value::Object(entries) => {
            for (name, prompt) in entries {
                let text =
                    prompt.as_str().ok_or_else(|| wrong(&format!("prompts.{name}"), prompt, "a text"))?;
                prompts.insert(name.clone(), text.to_owned());
            }
        }
        other => return Err(wrong("prompts", other, "an object of texts")),
    }
    let default = match &config["default_prompt_name"] {
        Value::Null => None,
        Value::String(name) if prompts.contains_key(name) => Some(name.clone()),
        other => return Err(wrong("default_prompt_name", other, "the name of one of the prompts")),
    };
    Ok((prompts, default))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    const SHAPE: EncoderShape = EncoderShape {
        vocab_size: 100,
        width: 64,
        max_positions: 96,
        table_of_positions: true,
        scratch_width: 0,
    };

    /// A folder with these files beside empty weights.
    fn read(shape: &EncoderShape, files: &[(&str, Value)]) -> Result<SentenceConfig, ModelError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("model.safetensors"), b"\x02\0\0\0\0\0\0\0{}").unwrap();
        for (name, value) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, value.to_string()).unwrap();
        }
        SentenceConfig::from_checkpoint(&Checkpoint::open(folder.path()).unwrap(), shape)
    }

    fn modules(last: &[&str]) -> (&'static str, Value) {
        let names = ["Transformer", "Pooling"].iter().chain(last);
        let entry = |(at, name): (usize, &&str)| {
            let path = if at == 0 { String::new() } else { format!("{at}_{name}") };
            json!({"idx": at, "name": at.to_string(), "path": path,
                "type": format!("sentence_transformers.models.{name}")})
        };
        (MODULES, names.enumerate().map(entry).collect())
    }

    fn pooling(modes: Value) -> (&'static str, Value) {
        (POOLING, modes)
    }

    #[test]
    fn the_layout_says_how_to_pool_and_whether_to_normalize() {
        let cls = pooling(json!({"word_embedding_dimension": 64, "pooling_mode_cls_token": true,
            "pooling_mode_mean_tokens": false}));
        let config = read(&SHAPE, &[modules(&["Normalize"]), cls.clone()]).unwrap();
        assert_eq!((config.pooling, config.normalize, config.max_tokens), (Pooling::First, true, 96));
        assert!(!read(&SHAPE, &[modules(&[]), cls]).unwrap().normalize);
        let last = pooling(json!({"pooling_mode": "lasttoken"}));
        assert_eq!(read(&SHAPE, &[modules(&[]), last]).unwrap().pooling, Pooling::Last);
        let bare = read(&SHAPE, &[]).unwrap();
        assert_eq!((bare.pooling, bare.normalize), (Pooling::Mean, false));
    }

    #[test]
    fn the_limit_is_what_the_layout_says_within_the_models_positions() {
        let stated = |tokens: u64| (TRANSFORMER, json!({"max_seq_length": tokens, "do_lower_case": false}));
        let rotary = EncoderShape { table_of_positions: false, ..SHAPE };
        let limit = |shape: &EncoderShape, files: &[(&str, Value)]| read(shape, files).unwrap().max_tokens;
        assert_eq!(limit(&SHAPE, &[stated(40)]), 40);
        assert_eq!((limit(&SHAPE, &[stated(512)]), limit(&rotary, &[stated(512)])), (96, 512));
        assert_eq!(limit(&rotary, &[(TOKENIZER, json!({"model_max_length": 50}))]), 50);
        assert_eq!(limit(&rotary, &[(TOKENIZER, json!({"model_max_length": 1e30}))]), 96);
        assert!(read(&SHAPE, &[stated(0)]).is_err());
    }

    #[test]
    fn prompts_have_names() {
        let config = json!({"prompts": {"query": "find: ", "document": ""}, "default_prompt_name": "query"});
        let config = read(&SHAPE, &[(PROMPTS, config)]).unwrap();
        assert_eq!(config.prompts["query"], "find: ");
        assert_eq!(config.default_prompt.as_deref(), Some("query"));
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let mean = || pooling(json!({"pooling_mode_mean_tokens": true}));
        let at = |path: &str| (MODULES, json!([{"path": path, "type": "a.Transformer"}]));
        for (files, named) in [
            (
                vec![modules(&[]), pooling(json!({"pooling_mode_max_tokens": true}))],
                "pooling_mode_max_tokens",
            ),
            (vec![modules(&[]), pooling(json!({"pooling_mode": "weightedmean"}))], "weightedmean"),
            (vec![modules(&[]), pooling(json!({}))], "no mode"),
            (
                vec![
                    modules(&[]),
                    pooling(json!({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true})),
                ],
                "pooling_mode_cls_token and pooling_mode_mean_tokens",
            ),
            (
                vec![modules(&[]), pooling(json!({"word_embedding_dimension": 65}))],
                "word_embedding_dimension",
            ),
            (vec![modules(&[])], "1_Pooling/config.json"),
            (vec![modules(&["Dense"]), mean()], "Dense"),
            (vec![at("")], "Pooling"),
            (vec![at("0_Transformer")], "0_Transformer"),
            (vec![(MODULES, json!({}))], MODULES),
            (vec![(PROMPTS, json!({"prompts": {"query": 3}}))], "prompts.query"),
            (vec![(PROMPTS, json!({"default_prompt_name": "query"}))], "default_prompt_name"),
        ] {
            let message = read(&SHAPE, &files).unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
    }
}
