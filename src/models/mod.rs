//! The architectures: one short file each, generic over a backend.

mod architecture;
mod bert;
mod causal;
mod config;
mod dbrx;
mod encoder;
mod error;
mod gte;
mod llama;
mod mpt;
mod rope;
mod sentence;
mod stop;
mod tensors;

pub use architecture::Task;
use bert::Bert;
pub use bert::BertConfig;
pub use causal::{CausalConfig, CausalModel, CausalShape, CausalSources, SUPPORTED, SUPPORTED_GGUF};
use dbrx::Dbrx;
pub use dbrx::DbrxConfig;
pub use encoder::{
    EncoderConfig, EncoderModel, EncoderShape, EncoderSources, SUPPORTED_ENCODERS, SUPPORTED_GGUF_ENCODERS,
};
pub use error::ModelError;
use gte::Gte;
pub use gte::{GteConfig, LogN, NtkScaling};
use llama::Llama;
pub use llama::{ExpertsConfig, LlamaConfig};
use mpt::Mpt;
pub use mpt::MptConfig;
pub use rope::{RopeScaling, RopeSettings};
pub use sentence::SentenceConfig;
pub use stop::stop_tokens;
use tensors::Weights;
