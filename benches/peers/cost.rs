//! What a step of a model reads and computes, and how fast the machine's limits allow it to be.

use std::collections::BTreeMap;
use std::path::Path;

use model_runtime::backend::cpu::{CacheType, Compute, CpuOptions};
use model_runtime::models::CausalConfig;
use model_runtime::weights::{Checkpoint, DType};

use super::Failure;
use super::limits::Limits;
use super::workload::Kind;

/// A model as far as its limits depend on it.
#[derive(Debug, Clone)]
pub(crate) struct Cost {
    /// The longest context it was made for.
    pub(crate) max_positions: usize,
    /// Weights of all formats, the output head's left out: what every row of a step is multiplied with.
    layers: BTreeMap<&'static str, Weights>,
    /// The output head's, for rows whose logits are wanted.
    head: BTreeMap<&'static str, Weights>,
    /// Bytes of keys and values of one token.
    cache_bytes: f64,
    window: usize,
}

/// The numbers that weights are multiplied as.
#[derive(Debug, Clone, Copy)]
enum Numbers {
    Single,
    Bf16,
    Int8,
}

#[derive(Debug, Clone, Copy)]
struct Weights {
    /// What multiplies them.
    numbers: Numbers,
    parameters: f64,
    bytes: f64,
}

/// The most that the machine allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    /// Tokens per second.
    pub(crate) rate: f64,
    /// Whether the memory sets it, not the arithmetic.
    pub(crate) memory: bool,
    /// Bytes that a step reads.
    pub(crate) bytes: f64,
    /// Multiplications and additions of a step.
    pub(crate) operations: f64,
}

impl Cost {
    /// Reads headers only. `quantize` is what F32, F16 and BF16 weights become.
    pub(crate) fn of(path: &Path, options: &CpuOptions, quantize: Option<DType>) -> Result<Self, Failure> {
        let checkpoint = Checkpoint::open(path)?;
        let CausalConfig::Llama(config) = CausalConfig::from_checkpoint(&checkpoint)? else {
            return Err(format!("{}: only Llama-like models are measured", path.display()).into());
        };
        let (mut layers, mut head) = (BTreeMap::new(), BTreeMap::new());
        for tensor in checkpoint.tensors().filter(|tensor| tensor.shape().len() == 2) {
            let embedding = matches!(tensor.name(), "token_embd.weight" | "model.embed_tokens.weight");
            let own_head = matches!(tensor.name(), "output.weight" | "lm_head.weight");
            // A tied head is the embedding; a file that has both says the same twice.
            if (embedding && !config.tied_embeddings) || (own_head && config.tied_embeddings) {
                continue;
            }
            let dtype = packed(tensor.dtype(), tensor.cols(), quantize);
            let parameters = tensor.elements() as u64;
            let float = matches!(dtype, DType::F32 | DType::F16 | DType::BF16);
            let (name, bytes) = if float && options.compute == Compute::Int8 {
                // A byte for each, and a scale for each row.
                ("int8", parameters + 4 * tensor.rows() as u64)
            } else {
                (dtype.name(), dtype.bytes_for(parameters).unwrap_or_else(|| tensor.bytes()))
            };
            let numbers = match (options.compute, dtype) {
                (Compute::F32, _) => Numbers::Single,
                (Compute::Int8, _) => Numbers::Int8,
                (_, DType::F32 | DType::F16) => Numbers::Single,
                (_, DType::BF16) => Numbers::Bf16,
                _ => Numbers::Int8,
            };
            let of = if embedding || own_head { &mut head } else { &mut layers };
            let sum = of.entry(name).or_insert(Weights { numbers, parameters: 0.0, bytes: 0.0 });
            sum.parameters += parameters as f64;
            sum.bytes += bytes as f64;
        }
        let heads = (2 * config.layers * config.kv_heads) as f64;
        let cache_bytes = heads
            * match options.cache {
                CacheType::F32 => 4.0 * config.head_dim as f64,
                // One scale for the values of a head.
                CacheType::Q8 => config.head_dim as f64 + 4.0,
                _ => 2.0 * config.head_dim as f64,
            };
        Ok(Self {
            max_positions: config.max_positions,
            layers,
            head,
            cache_bytes,
            window: config.sliding_window.unwrap_or(usize::MAX),
        })
    }

    /// Parameters that take part in products.
    pub(crate) fn parameters(&self) -> f64 {
        self.weights().map(|weights| weights.parameters).sum()
    }

    /// Bytes of these.
    pub(crate) fn bytes(&self) -> f64 {
        self.weights().map(|weights| weights.bytes).sum()
    }

    /// The formats, the one with the most bytes first.
    pub(crate) fn formats(&self) -> String {
        let mut formats = BTreeMap::new();
        self.layers
            .iter()
            .chain(&self.head)
            .for_each(|(name, weights)| *formats.entry(*name).or_insert(0.0) += weights.bytes);
        let mut formats: Vec<(&str, f64)> = formats.into_iter().collect();
        formats.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        formats.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" + ")
    }

    fn weights(&self) -> impl Iterator<Item = &Weights> {
        self.layers.values().chain(self.head.values())
    }

    /// The limit of one workload: a step takes as long as it takes to read what it reads, or to multiply what it
    /// multiplies, whichever is longer.
    pub(crate) fn bound(&self, kind: Kind, limits: &Limits) -> Bound {
        let (rows, sampled, cached) = match kind {
            Kind::Prefill { prompt } => (prompt as f64, 1.0, 0.0),
            Kind::Decode { sequences, prompt, tokens } => {
                // The steps after the first token read `prompt + 1` to `prompt + tokens - 1` positions.
                let positions = prompt + 1..prompt + tokens as usize;
                let steps = positions.len().max(1) as f64;
                let seen: usize = positions.map(|position| position.min(self.window)).sum();
                (sequences as f64, sequences as f64, sequences as f64 * seen as f64 / steps)
            }
        };
        let bytes = self.bytes() + cached * self.cache_bytes;
        let (mut operations, mut arithmetic) = (0.0, 0.0);
        for (of, rows) in [(&self.layers, rows), (&self.head, sampled)] {
            for weights in of.values() {
                let products = 2.0 * weights.parameters * rows;
                operations += products;
                arithmetic += peak(weights.numbers, limits).map_or(0.0, |peak| products / (peak * 1e9));
            }
        }
        let reading = bytes / (limits.bandwidth * 1e9);
        let rate = rows / reading.max(arithmetic);
        Bound { rate, memory: reading >= arithmetic, bytes, operations }
    }
}

/// GOP/s of the fastest instruction that may multiply weights as such numbers; `None` when none is measured.
fn peak(numbers: Numbers, limits: &Limits) -> Option<f64> {
    let peaks = limits.peaks;
    let best = |other: Option<f64>| other.into_iter().chain(peaks.f32).reduce(f64::max);
    match numbers {
        Numbers::Single => peaks.f32,
        Numbers::Bf16 => best(peaks.bf16),
        Numbers::Int8 => best(peaks.int8),
    }
}

/// The format that a file's becomes.
fn packed(stored: DType, cols: usize, quantize: Option<DType>) -> DType {
    match quantize {
        Some(wanted) if matches!(stored, DType::F32 | DType::F16 | DType::BF16) => {
            if cols.is_multiple_of(wanted.block_elements()) { wanted } else { DType::Q8_0 }
        }
        _ => stored,
    }
}
