//! The architectures: one short file each, generic over a backend.

mod causal;
mod config;
mod error;
mod llama;
mod rope;
mod stop;
mod tensors;

pub use causal::{CausalConfig, CausalModel, CausalShape, CausalSources, SUPPORTED, SUPPORTED_GGUF};
pub use error::ModelError;
use llama::Llama;
pub use llama::LlamaConfig;
pub use rope::{RopeScaling, RopeSettings};
pub use stop::stop_tokens;
use tensors::Weights;
