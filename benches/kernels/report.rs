//! The figures as a table and as JSON.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use model_runtime::backend::cpu::bench::Kind;
use serde_json::{Map, Value, json};

use super::Failure;
use super::peak::Peaks;

/// Everything that was measured.
pub(crate) struct Report {
    level: &'static str,
    cols: usize,
    outputs: usize,
    rows: Vec<usize>,
    peaks: Peaks,
    /// Format, its peak, GOP/s for each number of rows.
    rates: Vec<(String, Option<f64>, Vec<f64>)>,
    /// Format, GB/s of the kernel, GB/s of a plain loop.
    memory: Vec<(String, f64, f64)>,
}

impl Report {
    pub(crate) fn new(
        level: &'static str,
        cols: usize,
        outputs: usize,
        rows: &[usize],
        peaks: &Peaks,
    ) -> Self {
        let (rates, memory) = (Vec::new(), Vec::new());
        Self { level, cols, outputs, rows: rows.to_vec(), peaks: *peaks, rates, memory }
    }

    pub(crate) fn rates(&mut self, format: &str, kind: Kind, rates: Vec<f64>) {
        let peak = match kind {
            Kind::Int8 | Kind::PerChannel => self.peaks.int8,
            Kind::Float => self.peaks.f32,
            Kind::Bf16Dot => self.peaks.bf16,
        };
        self.rates.push((format.to_owned(), peak, rates));
    }

    pub(crate) fn memory(&mut self, format: &str, kernel: f64, plain: f64) {
        self.memory.push((format.to_owned(), kernel, plain));
    }

    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "level {}, one thread, {} inputs, {} outputs", self.level, self.cols, self.outputs)?;
        let peaks = [("f32", self.peaks.f32), ("BF16", self.peaks.bf16), ("int8", self.peaks.int8)];
        for (name, peak) in peaks {
            if let Some(peak) = peak {
                writeln!(out, "peak {name:4} {peak:8.1} GOP/s")?;
            }
        }
        write!(out, "\nGOP/s, %  ")?;
        self.rows.iter().try_for_each(|rows| write!(out, " {rows:>12}"))?;
        writeln!(out)?;
        for (format, peak, rates) in &self.rates {
            write!(out, "{format:10}")?;
            for rate in rates {
                match peak {
                    Some(peak) => write!(out, " {rate:>6.1} {:>4.0}%", 100.0 * rate / peak)?,
                    None => write!(out, " {rate:>12.1}")?,
                }
            }
            writeln!(out)?;
        }
        if !self.memory.is_empty() {
            writeln!(out, "\none row, weights from memory: GB/s, a plain loop's, share")?;
        }
        for (format, kernel, plain) in &self.memory {
            writeln!(out, "{format:10} {kernel:>6.1} {plain:>6.1} {:>4.0}%", 100.0 * kernel / plain)?;
        }
        Ok(())
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let mut rates = Map::new();
        for (format, peak, values) in &self.rates {
            let by_rows = self.rows.iter().zip(values);
            let by_rows = by_rows.map(|(rows, rate)| {
                (rows.to_string(), json!({ "gops": rate, "share": peak.map(|peak| rate / peak) }))
            });
            rates.insert(format.clone(), Value::Object(by_rows.collect()));
        }
        let memory = self.memory.iter().map(|(format, kernel, plain)| {
            (format.clone(), json!({ "gbps": kernel, "plain_gbps": plain, "share": kernel / plain }))
        });
        let report = json!({
            "bench": "kernels",
            "version": env!("CARGO_PKG_VERSION"),
            "level": self.level,
            "cols": self.cols,
            "outputs": self.outputs,
            "peaks_gops": { "f32": self.peaks.f32, "bf16": self.peaks.bf16, "int8": self.peaks.int8 },
            "rates": rates,
            "one_row_from_memory": memory.collect::<Map<String, Value>>(),
        });
        let mut text = serde_json::to_string_pretty(&report)?;
        text.push('\n');
        Ok(fs::write(path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))?)
    }
}
