//! The configuration of GTE v1.5 (`model_type` "new"), from Hugging Face's `config.json`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::backend::Activation;
use crate::models::config::{CONFIG, check_positive, check_sizes, fields, unexpected};
use crate::models::encoder::{activation, refuse};
use crate::models::{EncoderShape, ModelError};

/// A GTE v1.5 encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct GteConfig {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of a row.
    pub hidden_size: usize,
    /// Width of the feed-forward network.
    pub intermediate_size: usize,
    /// Layers.
    pub layers: usize,
    /// Heads; divides `hidden_size`.
    pub heads: usize,
    /// The longest text that the model was made for.
    pub max_positions: usize,
    /// Kinds of segments, of which a text is always the first; 0 when the model does not tell segments apart.
    pub token_types: usize,
    /// Added to the variance in the norms.
    pub norm_epsilon: f32,
    /// Of the gate of the feed-forward network.
    pub activation: Activation,
    /// The base of the rotary frequencies.
    pub rope_theta: f64,
    /// What stretches them.
    pub rope_scaling: Option<NtkScaling>,
    /// Log-n scaling of the queries, where the model has it.
    pub log_n: Option<LogN>,
}

/// NTK-aware scaling of rotary frequencies (bloc97, 2023), in the form of the reference code of GTE: it applies at every
/// length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NtkScaling {
    /// How many times the positions that the model was trained on.
    pub factor: f64,
    /// The exponent of the mixed form, in which the base stays and frequencies are divided one by one (Su, 2023).
    pub mixed_b: Option<f64>,
}

/// Log-n scaling (Su, 2021): queries are multiplied by `ln(n) / ln(max_positions)` for a text of n tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogN {
    /// Whether the factor is at least 1.
    pub at_least_one: bool,
}

/// `config.json` as the reference code writes it.
#[derive(Debug, Deserialize)]
struct HuggingFace {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    #[serde(default = "default_positions")]
    max_position_embeddings: usize,
    #[serde(default = "default_types")]
    type_vocab_size: usize,
    #[serde(default = "default_epsilon")]
    layer_norm_eps: f64,
    hidden_act: Option<String>,
    #[serde(default = "default_theta")]
    rope_theta: f64,
    rope_scaling: Option<Value>,
    #[serde(default)]
    logn_attention_scale: bool,
    #[serde(default)]
    logn_attention_clip1: bool,
}

fn default_positions() -> usize {
    2048
}

fn default_types() -> usize {
    1
}

fn default_epsilon() -> f64 {
    1e-12
}

fn default_theta() -> f64 {
    10_000.0
}

impl GteConfig {
    /// Reads `config.json` of model type `new`.
    ///
    /// # Errors
    /// Fields that are missing, or values that make no sense or another model.
    pub fn from_json(value: &Value) -> Result<Self, ModelError> {
        let raw: HuggingFace = fields(value)?;
        refuse(
            value,
            &[
                ("position_embedding_type", json!("rope")),
                ("layer_norm_type", json!("layer_norm")),
                ("pack_qkv", json!(true)),
            ],
        )?;
        Self {
            vocab_size: raw.vocab_size,
            hidden_size: raw.hidden_size,
            intermediate_size: raw.intermediate_size,
            layers: raw.num_hidden_layers,
            heads: raw.num_attention_heads,
            max_positions: raw.max_position_embeddings,
            token_types: raw.type_vocab_size,
            norm_epsilon: raw.layer_norm_eps as f32,
            activation: activation(raw.hidden_act.as_deref().unwrap_or("gelu"))?,
            rope_theta: raw.rope_theta,
            rope_scaling: raw.rope_scaling.as_ref().map(NtkScaling::from_json).transpose()?.flatten(),
            log_n: raw.logn_attention_scale.then_some(LogN { at_least_one: raw.logn_attention_clip1 }),
        }
        .validated()
    }

    fn validated(self) -> Result<Self, ModelError> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("max_position_embeddings", self.max_positions),
            ("type_vocab_size", self.token_types.max(1)),
        ];
        check_sizes(CONFIG, &sizes)?;
        if !self.hidden_size.is_multiple_of(2 * self.heads) {
            let expected =
                format!("a number that divides hidden_size, {}, into even heads", self.hidden_size);
            return Err(unexpected(CONFIG, "num_attention_heads", &self.heads.to_string(), &expected));
        }
        if self.log_n.is_some() && self.max_positions < 2 {
            // The logarithm that everything is divided by would be zero.
            return Err(unexpected(
                CONFIG,
                "max_position_embeddings",
                "1",
                "2 or more with logn_attention_scale",
            ));
        }
        let numbers = [("layer_norm_eps", f64::from(self.norm_epsilon)), ("rope_theta", self.rope_theta)];
        check_positive(CONFIG, &numbers)?;
        Ok(self)
    }

    /// Width of a head.
    pub(super) fn head_dim(&self) -> usize {
        self.hidden_size / self.heads
    }

    /// The `head_dim / 2` angular frequencies.
    pub(super) fn frequencies(&self) -> Vec<f32> {
        let (width, half) = (self.head_dim() as f64, self.head_dim() / 2);
        let frequency = |theta: f64, i: usize| theta.powf(-2.0 * i as f64 / width);
        let scaled = |i: usize| match self.rope_scaling {
            None => frequency(self.rope_theta, i),
            Some(NtkScaling { factor, mixed_b: None }) => {
                frequency(self.rope_theta * factor, i) / factor.powf(2.0 / width)
            }
            Some(NtkScaling { factor, mixed_b: Some(b) }) => {
                let a = factor.ln() / (half as f64).powf(b);
                frequency(self.rope_theta, i) / (a * ((i + 1) as f64).powf(b)).exp()
            }
        };
        (0..half).map(|i| scaled(i) as f32).collect()
    }

    /// By how much the queries of a text of so many tokens are multiplied; `None` when they stay as they are.
    pub(super) fn query_scale(&self, tokens: usize) -> Option<f32> {
        let LogN { at_least_one } = self.log_n?;
        let scale = (tokens as f64).ln() / (self.max_positions as f64).ln();
        Some(if at_least_one { scale.max(1.0) } else { scale } as f32)
    }

    /// What of it decides the costs of serving.
    pub(in crate::models) fn shape(&self) -> EncoderShape {
        let &Self { hidden_size, intermediate_size, .. } = self;
        EncoderShape {
            vocab_size: self.vocab_size,
            width: hidden_size,
            max_positions: self.max_positions,
            table_of_positions: false,
            // Queries, keys and values once more where they are rotated; gate and up beside their product.
            scratch_width: 4 * hidden_size + (6 * hidden_size).max(3 * intermediate_size),
        }
    }
}

impl NtkScaling {
    /// Reads `rope_scaling`; `None` for the kind that changes nothing.
    fn from_json(value: &Value) -> Result<Option<Self>, ModelError> {
        let wrong = |expected: &str| unexpected(CONFIG, "rope_scaling", &value.to_string(), expected);
        let positive = |key: &str| -> Result<Option<f64>, ModelError> {
            match value.get(key) {
                None | Some(Value::Null) => Ok(None),
                Some(number) => match number.as_f64() {
                    Some(number) if number.is_finite() && number > 0.0 => Ok(Some(number)),
                    _ => Err(wrong(&format!("a positive `{key}`"))),
                },
            }
        };
        if value.is_null() {
            return Ok(None);
        }
        match value.get("rope_type").or_else(|| value.get("type")).and_then(Value::as_str) {
            Some("default") => Ok(None),
            Some("ntk") => {
                let factor = positive("factor")?.filter(|&factor| factor >= 1.0);
                let factor = factor.ok_or_else(|| wrong("a `factor` of at least 1"))?;
                Ok(Some(Self { factor, mixed_b: positive("mixed_b")? }))
            }
            _ => Err(wrong("`type` ntk")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(changes: Value) -> Result<GteConfig, ModelError> {
        let mut base = json!({
            "model_type": "new", "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96,
            "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 96,
            "position_embedding_type": "rope", "rope_theta": 160000.0, "rope_scaling": {"type": "ntk", "factor": 2.0}
        });
        for (key, value) in changes.as_object().unwrap() {
            base[key] = value.clone();
        }
        GteConfig::from_json(&base)
    }

    #[test]
    fn frequencies_are_those_of_the_reference_code() {
        // What the reference code says for these settings, printed in double precision.
        let expected = [
            0.9170040488243103,
            0.1880301535129547,
            0.03855527192354202,
            0.007905693724751472,
            0.0016210494795814157,
            0.00033239347976632416,
            6.815673259552568e-05,
            1.3975424735690467e-05,
        ];
        let found = config(json!({})).unwrap().frequencies();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) / expected - 1.0).abs() < 1e-6, "{found} {expected}");
        }
        let plain = config(json!({"rope_scaling": null})).unwrap().frequencies();
        assert_eq!((plain[0], plain[4]), (1.0, 0.0025));
        // The mixed form reaches the factor at the last frequency and leaves the base alone.
        let mixed = json!({"rope_scaling": {"type": "ntk", "factor": 2.0, "mixed_b": 0.5}});
        let mixed = config(mixed).unwrap().frequencies();
        assert!((mixed[7] * 2.0 / plain[7] - 1.0).abs() < 1e-6 && mixed[0] < plain[0]);
    }

    #[test]
    fn queries_are_scaled_by_the_texts_own_length() {
        let plain = config(json!({})).unwrap();
        assert_eq!(plain.query_scale(10), None);
        let scaled = config(json!({"logn_attention_scale": true})).unwrap();
        assert_eq!(scaled.query_scale(96), Some(1.0));
        assert_eq!(scaled.query_scale(1), Some(0.0));
        assert!(scaled.query_scale(9).unwrap() < 0.5 && scaled.query_scale(192).unwrap() > 1.1);
        let clipped = json!({"logn_attention_scale": true, "logn_attention_clip1": true});
        assert_eq!(config(clipped).unwrap().query_scale(9), Some(1.0));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (change, named) in [
            (json!({"num_attention_heads": 64}), "num_attention_heads"),
            (json!({"pack_qkv": false}), "pack_qkv"),
            (json!({"layer_norm_type": "rms_norm"}), "layer_norm_type"),
            (json!({"position_embedding_type": "absolute"}), "position_embedding_type"),
            (json!({"rope_scaling": {"type": "yarn", "factor": 2.0}}), "rope_scaling"),
            (json!({"rope_scaling": {"type": "ntk"}}), "factor"),
            (json!({"rope_scaling": {"type": "ntk", "factor": 0.5}}), "factor"),
            (json!({"rope_theta": -1.0}), "rope_theta"),
            (json!({"hidden_act": "relu"}), "hidden_act"),
            (json!({"logn_attention_scale": true, "max_position_embeddings": 1}), "max_position_embeddings"),
        ] {
            let message = config(change).unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
    }
}
