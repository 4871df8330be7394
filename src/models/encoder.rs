//! Encoder models: which architecture a checkpoint has, what serving it would cost, and how it is loaded.

use std::ops::ControlFlow;

use serde_json::Value;

use super::causal::unsupported;
use super::tensors::{Loader, Survey, Tensors};
use super::{Bert, BertConfig, Gte, GteConfig, ModelError, config};
use crate::backend::{Activation, Backend, BackendError, Texts};
use crate::weights::{Checkpoint, Format, LoadProgress};

/// `model_type` values of `config.json` that are served as encoders.
pub const SUPPORTED_ENCODERS: &[&str] = &["bert", "new"];

/// `general.architecture` values of GGUF that are served as encoders.
pub const SUPPORTED_GGUF_ENCODERS: &[&str] = &["bert"];

/// A loaded encoder: weights on a backend, and how to compute whole texts with them.
pub trait EncoderModel<B: Backend>: Send + Sync {
    /// The number of values of a row.
    fn width(&self) -> usize;

    /// The number of tokens that it knows.
    fn vocab_size(&self) -> usize;

    /// The hidden states behind the last layer of some rows of the batch, ascending: `[rows.len(), width]`. Others are
    /// not computed to the end. A text's rows depend on nothing else in the batch.
    ///
    /// # Errors
    /// A text of more positions than the model has, or what the backend reports.
    fn forward(&self, backend: &B, texts: &Texts, rows: &[u32]) -> Result<B::Tensor, BackendError>;
}

/// What of an architecture decides what serving it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncoderShape {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Values of a row.
    pub width: usize,
    /// The longest text that the model was made for.
    pub max_positions: usize,
    /// Whether a longer one cannot be computed at all: the model has a table of positions.
    pub table_of_positions: bool,
    /// Values of one row that are alive at once in the widest place of a step.
    pub scratch_width: usize,
}

/// The configuration of an encoder.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum EncoderConfig {
    /// BERT: BGE, MiniLM and what is built like them.
    Bert(BertConfig),
    /// GTE v1.5.
    Gte(GteConfig),
}

impl EncoderConfig {
    /// Reads the configuration that belongs to the checkpoint.
    ///
    /// # Errors
    /// A missing or damaged configuration, an architecture that is not supported, or values that make no sense.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self, ModelError> {
        match checkpoint.format() {
            Format::HuggingFace => {
                let value = config::read_json(checkpoint)?;
                match config::model_type(&value) {
                    "bert" => Ok(Self::Bert(BertConfig::from_json(&value)?)),
                    "new" => Ok(Self::Gte(GteConfig::from_json(&value)?)),
                    other => Err(unsupported(other, SUPPORTED_ENCODERS)),
                }
            }
            Format::Gguf => match checkpoint.metadata().require_str("general.architecture")? {
                "bert" => Ok(Self::Bert(BertConfig::from_gguf(checkpoint)?)),
                other => Err(unsupported(other, SUPPORTED_GGUF_ENCODERS)),
            },
        }
    }

    fn shape(&self) -> EncoderShape {
        match self {
            Self::Bert(config) => config.shape(),
            Self::Gte(config) => config.shape(),
        }
    }
}

/// The tensors of an encoder, all found and of the right shape; nothing is read yet.
#[derive(Debug)]
pub struct EncoderSources<'a> {
    checkpoint: &'a Checkpoint,
    config: EncoderConfig,
    survey: Survey<'a>,
}

impl<'a> EncoderSources<'a> {
    /// Finds every tensor and checks its shape against the configuration.
    ///
    /// # Errors
    /// A configuration that is not supported, or a tensor that is missing or of another shape.
    pub fn resolve(checkpoint: &'a Checkpoint) -> Result<Self, ModelError> {
        let config = EncoderConfig::from_checkpoint(checkpoint)?;
        let mut survey = Survey::default();
        let mut tensors = Tensors::new(checkpoint, &mut survey);
        match &config {
            EncoderConfig::Bert(config) => drop(Bert::build(config, &mut tensors)?),
            EncoderConfig::Gte(config) => drop(Gte::build(config, &mut tensors)?),
        }
        Ok(Self { checkpoint, config, survey })
    }

    /// The configuration.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// What of it decides the costs.
    pub fn shape(&self) -> EncoderShape {
        self.config.shape()
    }

    /// Bytes of memory that the weights will take on this backend.
    ///
    /// # Errors
    /// What keeps the backend from loading a matrix and shows without reading it.
    pub fn weight_bytes<B: Backend>(&self, backend: &B) -> Result<u64, BackendError> {
        self.survey.weight_bytes(backend)
    }

    /// Bytes of activations that are alive at once in a batch of so many tokens.
    pub fn scratch_bytes(&self, rows: usize) -> u64 {
        (rows as u64).saturating_mul(4 * self.shape().scratch_width as u64)
    }

    /// Reads and packs all weights. `progress` hears of them many times, within large matrices too, and may stop the
    /// load.
    ///
    /// # Errors
    /// [`ModelError::Cancelled`] when `progress` says so, or what reading and packing report.
    pub fn load<B: Backend>(
        self,
        backend: &B,
        progress: &mut dyn FnMut(LoadProgress) -> ControlFlow<()>,
    ) -> Result<Box<dyn EncoderModel<B>>, ModelError> {
        let mut loader = Loader::new(backend, self.survey.file_bytes(), progress)?;
        let mut tensors = Tensors::new(self.checkpoint, &mut loader);
        Ok(match &self.config {
            EncoderConfig::Bert(config) => Box::new(Bert::<B>::build(config, &mut tensors)?),
            EncoderConfig::Gte(config) => Box::new(Gte::<B>::build(config, &mut tensors)?),
        })
    }
}

/// `hidden_act` as encoders spell it.
pub(super) fn activation(name: &str) -> Result<Activation, ModelError> {
    match name {
        "gelu" => Ok(Activation::GeluErf),
        "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        "silu" | "swish" => Ok(Activation::Silu),
        other => {
            let expected = "gelu, gelu_new, gelu_pytorch_tanh or silu";
            Err(config::unexpected(config::CONFIG, "hidden_act", other, expected))
        }
    }
}

/// Refuses fields whose value would make another model of it than is computed here.
pub(super) fn refuse(value: &Value, fields: &[(&str, Value)]) -> Result<(), ModelError> {
    for (key, accepted) in fields {
        match value.get(key) {
            None | Some(Value::Null) => {}
            Some(found) if found == accepted => {}
            Some(found) => {
                let (found, accepted) = (found.to_string(), accepted.to_string());
                return Err(config::unexpected(config::CONFIG, key, &found, &accepted));
            }
        }
    }
    Ok(())
}
