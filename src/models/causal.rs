//! Causal language models: which architecture a checkpoint has, what serving it would cost, and how it is loaded.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::tensors::{Loader, Survey, Tensors};
use super::{
    Adaptable, Dbrx, DbrxConfig, Deepseek, DeepseekConfig, Llama, LlamaConfig, ModelError, Mpt, MptConfig,
    StepAdapters, config,
};
use crate::backend::{Backend, BackendError, Batch, CacheShape};
use crate::weights::{Checkpoint, Format, LoadProgress};

/// `model_type` values of `config.json` that this library serves.
pub const SUPPORTED: &[&str] = &["llama", "mistral", "mixtral", "mpt", "dbrx", "deepseek_v3"];

/// `general.architecture` values of GGUF that this library serves; Mistral's and Mixtral's files say `llama` too.
pub const SUPPORTED_GGUF: &[&str] = &["llama", "mpt", "dbrx"];

/// A loaded causal model: weights on a backend, and how to compute a step with them.
pub trait CausalModel<B: Backend>: Send + Sync {
    /// The number of logits per row.
    fn vocab_size(&self) -> usize;

    /// Computes one step over the ragged batch: keys and values go to the cache, and the logits of
    /// [`Batch::logit_rows`] come back, `[logit_rows, vocab_size]`. `adapters` was filled for this batch.
    ///
    /// # Errors
    /// What the backend reports.
    fn forward(
        &self,
        backend: &B,
        batch: &Batch,
        adapters: &StepAdapters<B>,
        cache: &mut B::Cache,
    ) -> Result<B::Tensor, BackendError>;
}

/// What of an architecture decides what serving it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CausalShape {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// The longest context the model was made for.
    pub max_positions: usize,
    /// The cache, without blocks.
    pub cache: CacheShape,
    /// Values of one row that are alive at once in the widest place of a step, logits left out.
    pub scratch_width: usize,
}

/// The configuration of a causal model.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum CausalConfig {
    /// Llama and what is built like it.
    Llama(LlamaConfig),
    /// MPT.
    Mpt(MptConfig),
    /// DBRX.
    Dbrx(DbrxConfig),
    /// DeepSeek V3 and R1.
    Deepseek(DeepseekConfig),
}

impl CausalConfig {
    /// Reads the configuration that belongs to the checkpoint.
    ///
    /// # Errors
    /// A missing or damaged configuration, an architecture that is not supported, or values that make no sense.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self, ModelError> {
        match checkpoint.format() {
            Format::HuggingFace => {
                let value = config::read_json(checkpoint)?;
                match config::model_type(&value) {
                    "llama" | "mistral" | "mixtral" => Ok(Self::Llama(LlamaConfig::from_json(&value)?)),
                    "mpt" => Ok(Self::Mpt(MptConfig::from_json(&value)?)),
                    "dbrx" => Ok(Self::Dbrx(DbrxConfig::from_json(&value)?)),
                    "deepseek_v3" => Ok(Self::Deepseek(DeepseekConfig::from_json(&value)?)),
                    other => Err(unsupported(other, SUPPORTED)),
                }
            }
            Format::Gguf => match checkpoint.metadata().require_str("general.architecture")? {
                "llama" => Ok(Self::Llama(LlamaConfig::from_gguf(checkpoint)?)),
                "mpt" => Ok(Self::Mpt(MptConfig::from_gguf(checkpoint)?)),
                "dbrx" => Ok(Self::Dbrx(DbrxConfig::from_gguf(checkpoint)?)),
                other => Err(unsupported(other, SUPPORTED_GGUF)),
            },
        }
    }

    fn shape(&self) -> CausalShape {
        match self {
            Self::Llama(config) => config.shape(),
            Self::Mpt(config) => config.shape(),
            Self::Dbrx(config) => config.shape(),
            Self::Deepseek(config) => config.shape(),
        }
    }
}

/// The error for an architecture that is not among those.
pub(super) fn unsupported(found: &str, supported: &[&str]) -> ModelError {
    ModelError::Architecture { found: found.into(), supported: supported.join(", ") }
}

/// The tensors of a causal model, all found and of the right shape; nothing is read yet.
#[derive(Debug)]
pub struct CausalSources<'a> {
    checkpoint: &'a Checkpoint,
    config: CausalConfig,
    survey: Survey<'a>,
    adaptable: Arc<Adaptable>,
}

impl<'a> CausalSources<'a> {
    /// Finds every tensor and checks its shape against the configuration.
    ///
    /// # Errors
    /// A configuration that is not supported, or a tensor that is missing or of another shape.
    pub fn resolve(checkpoint: &'a Checkpoint) -> Result<Self, ModelError> {
        let config = CausalConfig::from_checkpoint(checkpoint)?;
        let mut survey = Survey::default();
        let mut tensors = Tensors::new(checkpoint, &mut survey);
        match &config {
            CausalConfig::Llama(config) => drop(Llama::build(config, &mut tensors)?),
            CausalConfig::Mpt(config) => drop(Mpt::build(config, &mut tensors)?),
            CausalConfig::Dbrx(config) => drop(Dbrx::build(config, &mut tensors)?),
            CausalConfig::Deepseek(config) => {
                tensors = tensors.fp8(config.fp8_blocks);
                drop(Deepseek::build(config, &mut tensors)?);
            }
        }
        let adaptable = Arc::new(Adaptable::new(tensors.into_sites()));
        Ok(Self { checkpoint, config, survey, adaptable })
    }

    /// The configuration.
    pub fn config(&self) -> &CausalConfig {
        &self.config
    }

    /// What of it decides the costs.
    pub fn shape(&self) -> CausalShape {
        self.config.shape()
    }

    /// What of the model adapters may change.
    pub fn adaptable(&self) -> Arc<Adaptable> {
        Arc::clone(&self.adaptable)
    }

    /// Bytes of memory that the weights will take on this backend.
    ///
    /// # Errors
    /// What keeps the backend from loading a matrix and shows without reading it.
    pub fn weight_bytes<B: Backend>(&self, backend: &B) -> Result<u64, BackendError> {
        self.survey.weight_bytes(backend)
    }

    /// The shape of a cache of so many blocks.
    pub fn cache_shape(&self, blocks: usize) -> CacheShape {
        CacheShape { blocks, ..self.shape().cache }
    }

    /// Bytes of activations that are alive at once in a step of so many rows, of which `logit_rows` want logits.
    pub fn scratch_bytes(&self, rows: usize, logit_rows: usize) -> u64 {
        let CausalShape { vocab_size, scratch_width, .. } = self.shape();
        4 * (rows as u64 * scratch_width as u64 + 2 * logit_rows as u64 * vocab_size as u64)
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
    ) -> Result<Box<dyn CausalModel<B>>, ModelError> {
        let mut loader = Loader::new(backend, self.survey.file_bytes(), progress)?;
        let mut tensors = Tensors::new(self.checkpoint, &mut loader);
        Ok(match &self.config {
            CausalConfig::Llama(config) => Box::new(Llama::<B>::build(config, &mut tensors)?),
            CausalConfig::Mpt(config) => Box::new(Mpt::<B>::build(config, &mut tensors)?),
            CausalConfig::Dbrx(config) => Box::new(Dbrx::<B>::build(config, &mut tensors)?),
            CausalConfig::Deepseek(config) => {
                Box::new(Deepseek::<B>::build(config, &mut tensors.fp8(config.fp8_blocks))?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_unknown_architecture_hears_what_is_supported() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), r#"{"model_type": "gpt2"}"#).unwrap();
        std::fs::write(folder.path().join("model.safetensors"), b"\x02\0\0\0\0\0\0\0{}").unwrap();
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        let message = CausalSources::resolve(&checkpoint).unwrap_err().to_string();
        assert!(message.contains("gpt2") && message.contains(&SUPPORTED.join(", ")), "{message}");
    }
}
