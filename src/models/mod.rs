//! The architectures: one short file each, generic over a backend.

mod causal;
mod config;
mod dbrx;
mod error;
mod llama;
mod mpt;
mod rope;
mod stop;
mod tensors;

pub use causal::{CausalConfig, CausalModel, CausalShape, CausalSources, SUPPORTED, SUPPORTED_GGUF};
use dbrx::Dbrx;
pub use dbrx::DbrxConfig;
pub use error::ModelError;
use llama::Llama;
pub use llama::{ExpertsConfig, LlamaConfig};
use mpt::Mpt;
pub use mpt::MptConfig;
pub use rope::{RopeScaling, RopeSettings};
pub use stop::stop_tokens;
use tensors::Weights;
