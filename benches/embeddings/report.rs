//! The figures as a table and as JSON.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::Failure;
use super::arguments::{Arguments, Precision};
use super::deviation::Deviation;
use super::measure::Measured;
use super::rivals::Rivals;
use super::workload::Workload;

/// Everything that was measured.
pub(crate) struct Report<'a> {
    pub(crate) arguments: &'a Arguments,
    pub(crate) measured: Vec<(Precision, Measured)>,
    pub(crate) deviations: Vec<(Precision, Deviation)>,
    pub(crate) rivals: Rivals,
}

/// One line of the table.
struct Row<'a> {
    workload: Workload,
    best: f64,
    runs: &'a [f64],
    rival: Option<(&'a str, f64)>,
}

impl Report<'_> {
    fn rows<'a>(&'a self, precision: Precision, measured: &'a Measured) -> impl Iterator<Item = Row<'a>> {
        self.arguments.workloads().into_iter().zip(&measured.runs).map(move |(workload, runs)| Row {
            best: runs.iter().copied().fold(0.0, f64::max),
            runs,
            rival: workload.rivals().and_then(|workload| self.rivals.fastest(precision, &workload)),
            workload,
        })
    }

    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{:<6} {:<18} {:>10}  {:>6}  fastest rival", "", "workload", "tokens/s", "ratio")?;
        for (precision, measured) in &self.measured {
            let name = precision.name();
            for Row { workload, best, rival, .. } in self.rows(*precision, measured) {
                write!(out, "{name:<6} {:<18} {best:>10.0}", workload.name())?;
                match rival {
                    Some((rival, rate)) => writeln!(out, "  {:>6.2}  {rival} {rate:.0}", best / rate)?,
                    None => writeln!(out)?,
                }
            }
            if let Some(peak) = measured.peak_bytes {
                write!(out, "{name:<6} {:<18} {:>7} MB", "peak memory", peak / 1_000_000)?;
                // Of the rival that is fastest at most work.
                let fastest = self.rivals.fastest(*precision, &Workload::Batch { texts: 8, length: 128 });
                match fastest.and_then(|(rival, _)| Some((rival, self.rivals.peak(rival)?))) {
                    Some((rival, megabytes)) => {
                        writeln!(out, "  {:>6.2}  {rival} {megabytes:.0}", peak as f64 / 1e6 / megabytes)?;
                    }
                    None => writeln!(out)?,
                }
            }
            writeln!(out, "{name:<6} {:<18} {:>9.2}s", "load", measured.load_seconds)?;
        }
        for (precision, Deviation { texts, cosine, norm }) in &self.deviations {
            let (name, percent) = (precision.name(), norm * 100.0);
            writeln!(
                out,
                "{name:<6} against f32, worst of {texts} texts: cosine {cosine:.6}, norm {percent:.3} %"
            )?;
        }
        Ok(())
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let precisions = self.measured.iter().map(|(precision, measured)| {
            let figures = self.rows(*precision, measured).map(|row| {
                json!({
                    "workload": row.workload.name(),
                    "tokens_per_second": row.best,
                    "runs": row.runs,
                    "rival": row.rival.map(|(name, _)| name),
                    "rival_tokens_per_second": row.rival.map(|(_, rate)| rate),
                })
            });
            let deviation = self.deviations.iter().find(|(of, _)| of == precision);
            json!({
                "precision": precision.name(),
                "load_seconds": measured.load_seconds,
                "peak_bytes": measured.peak_bytes,
                "figures": figures.collect::<Vec<Value>>(),
                "least_cosine_to_f32": deviation.map(|(_, of)| of.cosine),
                "largest_relative_norm_difference_to_f32": deviation.map(|(_, of)| of.norm),
            })
        });
        let report = json!({
            "bench": "embeddings",
            "version": env!("CARGO_PKG_VERSION"),
            "threads": self.arguments.threads(),
            "precisions": precisions.collect::<Vec<Value>>(),
        });
        let mut text = serde_json::to_string_pretty(&report)?;
        text.push('\n');
        Ok(fs::write(path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))?)
    }
}
