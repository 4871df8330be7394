//! Options of a model that is to be loaded.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::backend::cpu::{Affinity, CacheType, Compute, CpuOptions, Quantize};
use crate::error::{Error, Result};
use crate::runtime::{BackendChoice, ServeOptions};
use crate::weights::DType;

/// [`ServeOptions`] and [`CpuOptions`] in one object; what is missing is the default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    context_length: Option<usize>,
    cache_tokens: Option<usize>,
    max_batch_tokens: Option<usize>,
    max_prefill_tokens: Option<usize>,
    max_sequences: Option<usize>,
    max_queue: Option<usize>,
    prefix_sharing: Option<bool>,
    version: Option<String>,
    base_id: Option<String>,
    chat_template: Option<String>,
    adapters: BTreeMap<String, PathBuf>,
    backend: Option<String>,
    threads: Option<usize>,
    affinity: Option<Vec<usize>>,
    compute: Option<String>,
    cache_type: Option<String>,
    quantize: Option<String>,
}

/// The value that a word stands for.
fn word<T: Copy>(option: &str, word: &str, accepted: &[(&str, T)]) -> Result<T> {
    let found = accepted.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let names: Vec<&str> = accepted.iter().map(|(name, _)| *name).collect();
        Error::invalid(option, format!("{option} is {word:?}; accepted are {}", names.join(", ")))
    })
}

impl Settings {
    pub(super) fn options(self) -> Result<ServeOptions> {
        let backend = self.backend()?;
        let mut options = ServeOptions::default().backend(backend);
        let default = ServeOptions::default();
        options.context_length = self.context_length;
        options.cache_tokens = self.cache_tokens;
        options.max_batch_tokens = self.max_batch_tokens.unwrap_or(default.max_batch_tokens);
        options.max_prefill_tokens = self.max_prefill_tokens.unwrap_or(default.max_prefill_tokens);
        options.max_sequences = self.max_sequences.unwrap_or(default.max_sequences);
        options.max_queue = self.max_queue.unwrap_or(default.max_queue);
        options.prefix_sharing = self.prefix_sharing.unwrap_or(default.prefix_sharing);
        options.version = self.version;
        options.base_id = self.base_id;
        options.chat_template = self.chat_template;
        options.adapters = self.adapters.into_iter().collect();
        Ok(options)
    }

    fn backend(&self) -> Result<BackendChoice> {
        let mut cpu = CpuOptions { threads: self.threads, ..CpuOptions::default() };
        if let Some(cores) = &self.affinity {
            cpu.affinity = Affinity::Cores(cores.clone());
        }
        if let Some(name) = &self.compute {
            let accepted = [
                ("auto", Compute::Auto),
                ("f32", Compute::F32),
                ("bf16", Compute::Bf16),
                ("int8", Compute::Int8),
            ];
            cpu.compute = word("compute", name, &accepted)?;
        }
        if let Some(name) = &self.cache_type {
            let accepted = [
                ("f16", CacheType::F16),
                ("bf16", CacheType::Bf16),
                ("f32", CacheType::F32),
                ("q8", CacheType::Q8),
            ];
            cpu.cache = word("cache_type", name, &accepted)?;
        }
        if let Some(name) = &self.quantize {
            let accepted = [
                ("none", Quantize::None),
                ("q8_0", Quantize::To(DType::Q8_0)),
                ("q6_k", Quantize::To(DType::Q6K)),
                ("q4_k", Quantize::To(DType::Q4K)),
            ];
            cpu.quantize = word("quantize", name, &accepted)?;
        }
        match self.backend.as_deref() {
            None | Some("cpu") => Ok(BackendChoice::Cpu(cpu)),
            #[cfg(feature = "candle")]
            Some("candle") if cpu == CpuOptions::default() => Ok(BackendChoice::Candle),
            #[cfg(feature = "candle")]
            Some("candle") => {
                let message =
                    "backend candle takes none of threads, affinity, compute, cache_type and quantize";
                Err(Error::invalid("backend", message))
            }
            Some(other) => {
                let built = if cfg!(feature = "candle") { "cpu, candle" } else { "cpu" };
                Err(Error::invalid("backend", format!("backend is {other:?}; accepted are {built}")))
            }
        }
    }
}
