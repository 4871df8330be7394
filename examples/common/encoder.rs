//! The encoder of the examples that embed.

use std::num::NonZeroUsize;
use std::path::Path;

use model_runtime::backend::cpu::CpuOptions;
use model_runtime::runtime::{BackendChoice, EndpointInfo};
use model_runtime::{ModelRuntime, ServeOptions};

use crate::common::serve::serve;

/// The encoder that comes with this repository.
pub(crate) const MINILM: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/examples/models/all-MiniLM-L6-v2/all-MiniLM-L6-v2.gguf");

/// The name under which it is served.
pub(crate) const ENCODER: &str = "encoder";

/// Serves an encoder on so many threads; on all cores without a number.
///
/// # Errors
/// What keeps the model from being loaded, or a model that makes no vectors.
pub(crate) fn load(
    runtime: &ModelRuntime,
    model: &Path,
    threads: Option<NonZeroUsize>,
) -> model_runtime::Result<EndpointInfo> {
    let mut cpu = CpuOptions::default();
    if let Some(threads) = threads {
        cpu = cpu.threads(threads.get());
    }
    let options = ServeOptions::default().backend(BackendChoice::Cpu(cpu));
    serve(runtime, ENCODER, model, options, true)
}
