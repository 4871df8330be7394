//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use model_runtime::backend::cpu::{CacheType, Compute, CpuOptions, Quantize};
use model_runtime::weights::DType;

use super::Failure;

/// Measures prefill, decode, several sequences at once, long contexts, load time and memory of the given models, each
/// figure as a share of what the machine allows, which is measured in the same run.
#[derive(Debug, Parser)]
#[command(name = "peers", bin_name = "cargo bench --bench peers --")]
pub(crate) struct Arguments {
    /// A GGUF file or a Hugging Face folder; may be given several times. Without it: a small Llama of random weights.
    #[arg(long = "model", value_name = "FILE")]
    pub(crate) models: Vec<PathBuf>,
    /// Threads; as many as the process may use when left out.
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// How often each figure is taken; the best counts, because other programs only ever make it worse.
    #[arg(long, default_value_t = 2)]
    pub(crate) repeat: usize,
    /// What to measure.
    #[arg(long, value_delimiter = ',', value_enum, default_value = "prefill,decode,batch,long")]
    pub(crate) only: Vec<Part>,
    /// Sequences at once.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16,32")]
    pub(crate) batches: Vec<usize>,
    /// Tokens that each answer of `decode` and `batch` has.
    #[arg(long, default_value_t = 128)]
    pub(crate) tokens: u32,
    /// The contexts of `long`.
    #[arg(long, value_delimiter = ',', default_value = "128,8192")]
    pub(crate) contexts: Vec<usize>,
    /// Quantize F32, F16 and BF16 weights while loading: Q8_0, Q6_K or Q4_K.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) quantize: Option<String>,
    /// The numbers that products are computed with.
    #[arg(long, value_enum, default_value_t = ComputeName::Auto)]
    pub(crate) compute: ComputeName,
    /// What the cache of keys and values holds.
    #[arg(long, value_enum, default_value_t = CacheName::F16)]
    pub(crate) cache: CacheName,
    /// Megabytes that the bandwidth is measured with; far more than the caches hold.
    #[arg(long, default_value_t = 2048)]
    pub(crate) memory: usize,
    /// Write the same figures as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Measure one part of one model and print the runs as JSON: what the processes that this one starts are told.
    #[arg(long, hide = true, value_enum)]
    pub(crate) one: Option<Part>,
    /// What `cargo bench` passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// A prompt of 512 tokens.
    Prefill,
    /// One sequence after a prompt of 8 tokens.
    Decode,
    /// Several sequences at once, prompts of 128 tokens.
    Batch,
    /// One sequence at short and long contexts.
    Long,
}

/// [`Compute`] by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ComputeName {
    Auto,
    F32,
}

/// [`CacheType`] by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CacheName {
    F16,
    Bf16,
    F32,
    Q8,
}

/// The name of a value, as the command line takes it.
pub(crate) fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

impl Arguments {
    /// How many threads compute.
    pub(crate) fn threads(&self) -> usize {
        let available = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(available).max(1)
    }

    /// What F32, F16 and BF16 weights become.
    pub(crate) fn quantize_to(&self) -> Result<Option<DType>, Failure> {
        let Some(name) = &self.quantize else { return Ok(None) };
        let formats = [DType::Q8_0, DType::Q6K, DType::Q4K];
        match formats.into_iter().find(|format| format.name() == name) {
            Some(format) => Ok(Some(format)),
            None => Err(format!("--quantize is {name}; Q8_0, Q6_K and Q4_K are accepted").into()),
        }
    }

    /// The options of the backend.
    pub(crate) fn cpu(&self) -> Result<CpuOptions, Failure> {
        let compute = match self.compute {
            ComputeName::Auto => Compute::Auto,
            ComputeName::F32 => Compute::F32,
        };
        let cache = match self.cache {
            CacheName::F16 => CacheType::F16,
            CacheName::Bf16 => CacheType::Bf16,
            CacheName::F32 => CacheType::F32,
            CacheName::Q8 => CacheType::Q8,
        };
        let quantize = self.quantize_to()?.map_or(Quantize::None, Quantize::To);
        let options = CpuOptions::default().threads(self.threads());
        Ok(options.compute(compute).cache(cache).quantize(quantize))
    }
}
