//! What a checkpoint's model does, by the architecture that its files name.

use serde::{Deserialize, Serialize};

use super::causal::{SUPPORTED, SUPPORTED_GGUF, unsupported};
use super::encoder::{SUPPORTED_ENCODERS, SUPPORTED_GGUF_ENCODERS};
use super::{ModelError, config};
use crate::weights::{Checkpoint, Format};

/// What a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Task {
    /// Continues texts: completions and, with a template, chat.
    Generation,
    /// Makes vectors of texts.
    Embedding,
}

impl Task {
    /// What the model of this checkpoint does.
    ///
    /// # Errors
    /// A missing or damaged configuration, or an architecture that is not supported: the error lists those that are.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self, ModelError> {
        match checkpoint.format() {
            Format::HuggingFace => {
                let value = config::read_json(checkpoint)?;
                Self::find(config::model_type(&value), SUPPORTED, SUPPORTED_ENCODERS)
            }
            Format::Gguf => {
                let name = checkpoint.metadata().require_str("general.architecture")?;
                Self::find(name, SUPPORTED_GGUF, SUPPORTED_GGUF_ENCODERS)
            }
        }
    }

    fn find(name: &str, causal: &[&str], encoders: &[&str]) -> Result<Self, ModelError> {
        if causal.contains(&name) {
            Ok(Self::Generation)
        } else if encoders.contains(&name) {
            Ok(Self::Embedding)
        } else {
            Err(unsupported(name, &[causal, encoders].concat()))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_unknown_architecture_hears_everything_that_is_supported() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("model.safetensors"), b"\x02\0\0\0\0\0\0\0{}").unwrap();
        let task = |name: &str| {
            let config = format!(r#"{{"model_type": "{name}"}}"#);
            std::fs::write(folder.path().join("config.json"), config).unwrap();
            Task::of(&Checkpoint::open(folder.path()).unwrap())
        };
        assert_eq!(task("llama").unwrap(), Task::Generation);
        assert_eq!(task("new").unwrap(), Task::Embedding);
        let message = task("gpt2").unwrap_err().to_string();
        for name in ["gpt2", "llama", "bert", "new"] {
            assert!(message.contains(name), "{message}");
        }
    }
}
