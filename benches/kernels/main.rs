//! How close the matrix kernels come to what the processor can do: `cargo bench --bench kernels -- --help`.
//!
//! Everything runs on one thread. Peaks and kernels are measured in turns, as the best of many short runs, because
//! other programs only ever make a run longer. `benches/README.md` says what each figure means.

#[path = "../common/peak.rs"]
mod peak;
mod report;

use std::hint::black_box;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use model_runtime::backend::cpu::Level;
use model_runtime::backend::cpu::bench::{Case, Kind, panel_bytes};
use model_runtime::weights::DType;
use report::Report;

type Failure = Box<dyn std::error::Error>;

/// Measures single matrix kernels on one thread: GOP/s by rows of activations and format, as shares of the peak of
/// the instruction they are made of, and the rate at which a single row reads weights from memory.
#[derive(Debug, Parser)]
#[command(name = "kernels", bin_name = "cargo bench --bench kernels --")]
struct Arguments {
    /// Inputs; a multiple of 256.
    #[arg(long, default_value_t = 2048)]
    cols: usize,
    /// Outputs, a multiple of 16, of the matrix that stays in the caches.
    #[arg(long, default_value_t = 128)]
    outputs: usize,
    /// Rows of activations.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16,32,64,128,512")]
    rows: Vec<usize>,
    /// Formats, as GGUF names them; BF16_dot has BF16 activations too, INT8 is one scale per output.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "F32,F16,BF16,BF16_dot,INT8,Q8_0,Q4_0,Q4_1,Q5_0,Q5_1,Q2_K,Q3_K,Q4_K,Q5_K,Q6_K"
    )]
    formats: Vec<String>,
    /// Megabytes of the matrix that is read from memory; 0 leaves that measurement out.
    #[arg(long, default_value_t = 512)]
    memory: usize,
    /// Panels of 16 outputs in one call.
    #[arg(long, default_value_t = 8)]
    panels: usize,
    /// Milliseconds for each figure.
    #[arg(long, default_value_t = 200)]
    time: u64,
    /// Write the same figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// What `cargo bench` passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when the error stream is gone too.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A format and what its kernel computes with.
fn format(name: &str) -> Option<(DType, Kind)> {
    Some(match name {
        "F32" => (DType::F32, Kind::Float),
        "F16" => (DType::F16, Kind::Float),
        "BF16" => (DType::BF16, Kind::Float),
        "BF16_dot" => (DType::BF16, Kind::Bf16Dot),
        "INT8" => (DType::F32, Kind::PerChannel),
        "Q8_0" => (DType::Q8_0, Kind::Int8),
        "Q4_0" => (DType::Q4_0, Kind::Int8),
        "Q4_1" => (DType::Q4_1, Kind::Int8),
        "Q5_0" => (DType::Q5_0, Kind::Int8),
        "Q5_1" => (DType::Q5_1, Kind::Int8),
        "Q2_K" => (DType::Q2K, Kind::Int8),
        "Q3_K" => (DType::Q3K, Kind::Int8),
        "Q4_K" => (DType::Q4K, Kind::Int8),
        "Q5_K" => (DType::Q5K, Kind::Int8),
        "Q6_K" => (DType::Q6K, Kind::Int8),
        _ => return None,
    })
}

/// The shortest of many runs, in seconds.
fn shortest(time: Duration, mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut best = f64::INFINITY;
    // Twice at least: the first run may meet cold caches.
    for round in 0.. {
        let from = Instant::now();
        run();
        best = best.min(from.elapsed().as_secs_f64());
        if round > 0 && start.elapsed() >= time {
            break;
        }
    }
    best
}

fn run(a: &Arguments) -> Result<(), Failure> {
    if a.cols == 0 || !a.cols.is_multiple_of(256) || a.outputs == 0 || !a.outputs.is_multiple_of(16) {
        let (cols, outputs) = (a.cols, a.outputs);
        return Err(format!("--cols {cols} must be a multiple of 256, --outputs {outputs} one of 16").into());
    }
    let level = Level::detect();
    let time = Duration::from_millis(a.time);
    let measure = || {
        peak::Peaks::measure(level, |instruction| {
            instruction.operations() / shortest(time, || instruction.run()) / 1e9
        })
    };
    let mut peaks = measure();
    let mut measured = Vec::new();
    for name in &a.formats {
        let (dtype, kind) = format(name).ok_or_else(|| format!("--formats: {name} is not a format"))?;
        let mut rates = Vec::new();
        for &rows in &a.rows {
            let case = Case::new(level, dtype, kind, a.cols, a.outputs / 16, rows)?;
            let Some(mut case) = case else { break };
            rates.push(case.operations() / shortest(time, || case.run(a.panels)) / 1e9);
        }
        if rates.len() == a.rows.len() {
            measured.push((name, kind, rates));
        }
        // Again after every format: one slow moment of the machine must not pass for its peak.
        peaks = peaks.better(measure());
    }
    let mut report = Report::new(level.name(), a.cols, a.outputs, &a.rows, &peaks);
    for (name, kind, rates) in measured {
        report.rates(name, kind, rates);
    }
    for name in a.formats.iter().filter(|_| a.memory > 0) {
        let Some((dtype, kind)) = format(name) else { continue };
        let Some(panel) = panel_bytes(dtype, kind, a.cols) else { continue };
        let panels = (a.memory << 20).div_ceil(panel);
        let Some(mut case) = Case::new(level, dtype, kind, a.cols, panels, 1)? else { continue };
        // In turns, so that both meet the same neighbours.
        let (mut kernel, mut plain) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..4 {
            kernel = kernel.min(shortest(time / 4, || case.run(a.panels)));
            plain = plain.min(shortest(time / 4, || {
                black_box(peak::read::<2>(level, case.weights()));
            }));
        }
        let bytes = case.weights().len() as f64 / 1e9;
        report.memory(name, bytes / kernel, bytes / plain);
    }
    report.print(&mut io::stdout().lock())?;
    if let Some(path) = &a.json {
        report.write(path)?;
    }
    Ok(())
}
