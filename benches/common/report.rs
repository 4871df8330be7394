//! The figures as a table and as JSON.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::Failure;

/// One figure: how it reads in the table and in JSON.
struct Row {
    what: String,
    value: f64,
    unit: &'static str,
    note: String,
}

/// Everything that was measured.
pub(crate) struct Report {
    bench: &'static str,
    /// What it was measured on: a model, or how many things there are.
    of: Value,
    figures: Map<String, Value>,
    rows: Vec<Row>,
}

impl Report {
    /// Of the benchmark `bench` on `of`, which is printed and written as it is.
    pub(crate) fn new(bench: &'static str, of: Value) -> Self {
        Self { bench, of, figures: Map::new(), rows: Vec::new() }
    }

    /// Adds a figure; `key` is its name in JSON.
    pub(crate) fn add(
        &mut self,
        key: &str,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
        note: String,
    ) {
        self.figures.insert(key.into(), value.into());
        self.rows.push(Row { what: what.into(), value, unit, note });
    }

    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}", self.of)?;
        let width = self.rows.iter().map(|row| row.what.len()).max().unwrap_or(0);
        for Row { what, value, unit, note } in &self.rows {
            writeln!(out, "{what:width$}  {value:>10.2} {unit:<9} {note}")?;
        }
        Ok(())
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let report = json!({
            "bench": self.bench,
            "version": env!("CARGO_PKG_VERSION"),
            "cores": std::thread::available_parallelism().map_or(0, usize::from),
            "of": self.of,
            "figures": self.figures,
        });
        let mut text = serde_json::to_string_pretty(&report)?;
        text.push('\n');
        Ok(fs::write(path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))?)
    }
}
