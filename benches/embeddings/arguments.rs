//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use model_runtime::ServeOptions;
use model_runtime::backend::cpu::{Compute, CpuOptions};
use model_runtime::runtime::BackendChoice;

use super::model::Shape;
use super::workload::Workload;

/// Measures an encoder: batches of texts of one length, texts of mixed lengths, and many callers at once, in each
/// precision; and how far each precision is from single precision.
#[derive(Debug, Parser)]
#[command(name = "embeddings", bin_name = "cargo bench --bench embeddings --")]
pub(crate) struct Arguments {
    /// A folder of sentence-transformers or a GGUF file. Without it: random weights of --shape.
    #[arg(long, value_name = "PATH")]
    pub(crate) model: Option<PathBuf>,
    /// Whose shape the random weights have.
    #[arg(long, value_enum, default_value_t = ShapeName::Minilm)]
    pub(crate) shape: ShapeName,
    /// What products are computed with.
    #[arg(long, value_delimiter = ',', value_enum, default_value = "f32,bf16,int8")]
    pub(crate) precisions: Vec<Precision>,
    /// Threads; as many as the process may use when left out.
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// How long each figure is repeated; the best counts, because other programs only ever make it worse.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// Only workloads whose name contains one of these, as the table has them.
    #[arg(long, value_delimiter = ',', value_name = "TEXT")]
    pub(crate) only: Vec<String>,
    /// Callers with one text each, against one caller with as many texts.
    #[arg(long, default_value_t = 1000)]
    pub(crate) crowd: usize,
    /// A file with figures of other engines on this machine, one line each: `NAME len=16 batch=8: … N tok/s`,
    /// `NAME mixed(…): … N tok/s` or `NAME peakRSS N MB`, where NAME ends in f32, bf16 or int8. May be given several
    /// times.
    #[arg(long = "rivals", value_name = "FILE")]
    pub(crate) rivals: Vec<PathBuf>,
    /// Write the same figures as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Measure one precision and print what came of it as JSON: what the processes that this one starts are told.
    #[arg(long, hide = true, value_enum)]
    pub(crate) one: Option<Precision>,
    /// What `cargo bench` passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What products are computed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Precision {
    F32,
    Bf16,
    Int8,
}

/// A shape by the name of a model that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShapeName {
    /// all-MiniLM-L6: 6 layers, 384 wide.
    Minilm,
    /// BGE base: 12 layers, 768 wide.
    Base,
    /// BGE large: 24 layers, 1024 wide.
    Large,
}

impl ShapeName {
    pub(crate) fn shape(self) -> Shape {
        let (layers, hidden, heads) = match self {
            Self::Minilm => (6, 384, 12),
            Self::Base => (12, 768, 12),
            Self::Large => (24, 1024, 16),
        };
        Shape { layers, hidden, heads, intermediate: 4 * hidden }
    }
}

impl Precision {
    /// As the command line takes it.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Serves an encoder so.
    pub(crate) fn options(self, a: &Arguments) -> ServeOptions {
        let compute = match self {
            Self::F32 => Compute::F32,
            Self::Bf16 => Compute::Bf16,
            Self::Int8 => Compute::Int8,
        };
        let cpu = CpuOptions::default().threads(a.threads()).compute(compute);
        ServeOptions::default().backend(BackendChoice::Cpu(cpu)).version("bench").max_queue(a.crowd.max(64))
    }
}

impl Arguments {
    /// What is measured.
    pub(crate) fn workloads(&self) -> Vec<Workload> {
        let mut workloads = Workload::all(self.crowd);
        if !self.only.is_empty() {
            workloads.retain(|of| self.only.iter().any(|part| of.name().contains(part.as_str())));
        }
        workloads
    }

    /// How many threads compute.
    pub(crate) fn threads(&self) -> usize {
        let available = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(available).max(1)
    }
}
