//! The figures as a table and as JSON.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::Failure;
use super::arguments::{Arguments, name};
use super::cost::{Bound, Cost};
use super::limits::Limits;
use super::measure::Measured;
use super::workload::Workload;

/// What was measured of one model.
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) cost: Cost,
    /// Each part's workloads and what its process found.
    pub(crate) parts: Vec<(Vec<Workload>, Measured)>,
    /// Workloads that do not fit the model's context.
    pub(crate) left_out: Vec<Workload>,
    /// Parts that could not be measured.
    pub(crate) failed: Vec<String>,
}

/// Everything that was measured.
pub(crate) struct Report<'a> {
    pub(crate) arguments: &'a Arguments,
    pub(crate) level: &'static str,
    pub(crate) limits: Limits,
    pub(crate) models: Vec<Model>,
}

/// One line of the table.
struct Row<'a> {
    workload: &'a Workload,
    best: f64,
    runs: &'a [f64],
    bound: Bound,
    measured: &'a Measured,
}

impl Model {
    fn rows<'a>(&'a self, limits: &'a Limits) -> impl Iterator<Item = Row<'a>> {
        self.parts.iter().flat_map(move |(workloads, measured)| {
            workloads.iter().zip(&measured.runs).map(move |(workload, runs)| Row {
                workload,
                best: runs.iter().copied().fold(0.0, f64::max),
                runs,
                bound: self.cost.bound(workload.kind, limits),
                measured,
            })
        })
    }

    /// The shortest load of all its processes: the first one may have read the file from the disk.
    fn load_seconds(&self) -> f64 {
        self.parts.iter().map(|(_, measured)| measured.load_seconds).fold(f64::INFINITY, f64::min)
    }
}

impl Report<'_> {
    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let names = self.models.iter().map(|model| model.name.len());
        let width = names.max().unwrap_or(0).max("model".len());
        writeln!(
            out,
            "{:width$}  {:<13} {:>10} {:<9} {:>9} {:>6}  {:<10} {:>9}",
            "model", "workload", "figure", "unit", "limit", "share", "bound by", "peak MB"
        )?;
        for model in &self.models {
            let mut biased = false;
            for row in model.rows(&self.limits) {
                biased |= row.measured.biased;
                let megabytes =
                    row.measured.peak_bytes.map_or("-".into(), |bytes| (bytes / 1_000_000).to_string());
                writeln!(
                    out,
                    "{:width$}  {:<13} {:>10.1} {:<9} {:>9.1} {:>5.0}%  {:<10} {megabytes:>9}",
                    model.name,
                    row.workload.name,
                    row.best,
                    "tokens/s",
                    row.bound.rate,
                    100.0 * row.best / row.bound.rate,
                    bound_by(&row.bound),
                )?;
            }
            for workload in &model.left_out {
                let positions = model.cost.max_positions;
                writeln!(
                    out,
                    "{:width$}  {:<13} left out: the context is {positions}",
                    model.name, workload.name
                )?;
            }
            for part in &model.failed {
                writeln!(out, "{:width$}  {part:<13} failed", model.name)?;
            }
            if !model.parts.is_empty() {
                let seconds = model.load_seconds();
                writeln!(out, "{:width$}  {:<13} {seconds:>10.2} {:<9}", model.name, "load", "s")?;
            }
            if biased {
                writeln!(out, "{:width$}  a logit bias kept answers from ending early", model.name)?;
            }
        }
        self.print_limits(out)
    }

    fn print_limits(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\nlimits, threads: {}, level: {}", self.arguments.threads(), self.level)?;
        let Limits { bandwidth, peaks } = &self.limits;
        writeln!(out, "memory read      {bandwidth:>8.1} GB/s")?;
        for (what, peak) in
            [("f32 multiply-add", peaks.f32), ("BF16 dot", peaks.bf16), ("int8 dot", peaks.int8)]
        {
            if let Some(peak) = peak {
                writeln!(out, "{what:<16} {peak:>8.1} GOP/s")?;
            }
        }
        let names = self.models.iter().map(|model| model.name.len());
        let width = names.max().unwrap_or(0).max("model".len());
        writeln!(out, "\n{:width$}  {:>12} {:>10}  formats", "model", "M parameters", "MB a step")?;
        for Model { name, cost, .. } in &self.models {
            let (parameters, bytes) = (cost.parameters() / 1e6, cost.bytes() / 1e6);
            writeln!(out, "{name:width$}  {parameters:>12.1} {bytes:>10.1}  {}", cost.formats())?;
        }
        Ok(())
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let models: Vec<Value> = self.models.iter().map(|model| self.model_json(model)).collect();
        let Limits { bandwidth, peaks } = &self.limits;
        let a = self.arguments;
        let report = json!({
            "bench": "peers",
            "version": env!("CARGO_PKG_VERSION"),
            "threads": a.threads(),
            "level": self.level,
            "compute": name(a.compute),
            "cache": name(a.cache),
            "quantize": a.quantize,
            "limits": {
                "memory_read_gbps": bandwidth,
                "f32_gops": peaks.f32,
                "bf16_gops": peaks.bf16,
                "int8_gops": peaks.int8,
            },
            "models": models,
        });
        let mut text = serde_json::to_string_pretty(&report)?;
        text.push('\n');
        Ok(fs::write(path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))?)
    }

    fn model_json(&self, model: &Model) -> Value {
        let figures = model.rows(&self.limits).map(|row| {
            json!({
                "workload": row.workload.name,
                "sequences": row.workload.kind.sequences(),
                "prompt": row.workload.kind.prompt(),
                "tokens": row.workload.kind.tokens(),
                "tokens_per_second": row.best,
                "runs": row.runs,
                "limit": row.bound.rate,
                "share": row.best / row.bound.rate,
                "bound_by": bound_by(&row.bound),
                "bytes_per_step": row.bound.bytes,
                "operations_per_step": row.bound.operations,
                "peak_bytes": row.measured.peak_bytes,
                "biased": row.measured.biased,
            })
        });
        json!({
            "model": model.name,
            "parameters": model.cost.parameters(),
            "weight_bytes": model.cost.bytes(),
            "formats": model.cost.formats(),
            "load_seconds": model.load_seconds(),
            "figures": figures.collect::<Vec<Value>>(),
            "left_out": model.left_out.iter().map(|workload| &workload.name).collect::<Vec<_>>(),
        })
    }
}

fn bound_by(bound: &Bound) -> &'static str {
    if bound.memory { "memory" } else { "arithmetic" }
}
