//! The architectures: one short file each, generic over a backend.

mod architecture;
mod bert;
mod causal;
mod config;
mod dbrx;
mod deepseek;
mod encoder;
mod error;
mod fp8;
mod gte;
mod llama;
mod lora;
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
use deepseek::Deepseek;
pub use deepseek::DeepseekConfig;
pub use encoder::{
    EncoderConfig, EncoderModel, EncoderShape, EncoderSources, SUPPORTED_ENCODERS, SUPPORTED_GGUF_ENCODERS,
};
pub use error::ModelError;
pub use fp8::Fp8Blocks;
use gte::Gte;
pub use gte::{GteConfig, LogN, NtkScaling};
use llama::Llama;
pub use llama::{ExpertsConfig, LlamaConfig};
pub use lora::{Adaptable, Adapter, AdapterSources, LoraConfig, StepAdapters};
use mpt::Mpt;
pub use mpt::MptConfig;
pub use rope::{RopeScaling, RopeSettings, Yarn};
pub use sentence::SentenceConfig;
pub use stop::stop_tokens;
use tensors::Weights;
