//! The figures as tables and as JSON.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::Failure;
use super::choices::Choice;
use super::compare::Figures;

/// What there is to say of a choice.
pub(crate) enum Row {
    Figures(Figures),
    /// Why there are none.
    NotPossible(String),
}

/// Everything that was measured of one model.
pub(crate) struct Report {
    model: String,
    tokens: usize,
    window: usize,
    rows: Vec<(Choice, Row)>,
}

impl Report {
    /// A report that begins with the reference.
    pub(crate) fn new(
        model: &Path,
        text: &[Vec<u32>],
        window: usize,
        reference: Choice,
        figures: Figures,
    ) -> Self {
        let model = model.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let tokens = text.iter().map(|window| window.len().saturating_sub(1)).sum();
        Self { model, tokens, window, rows: vec![(reference, Row::Figures(figures))] }
    }

    pub(crate) fn add(&mut self, choice: Choice, row: Row) {
        self.rows.push((choice, row));
    }

    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { model, tokens, window, .. } = self;
        writeln!(out, "{model}: {tokens} tokens in windows of {window}; the first row is the reference\n")?;
        writeln!(
            out,
            "{:8} {:8} {:5} {:>11} {:>10} {:>10} {:>11}",
            "quantize", "compute", "cache", "perplexity", "mean KL", "most KL", "same argmax"
        )?;
        let mut said = None;
        for (choice, row) in &self.rows {
            let Choice { compute: (compute, _), quantize: (quantize, _), cache: (cache, _) } = choice;
            match row {
                Row::Figures(figures) => {
                    let Figures { perplexity, divergence, greatest, agreed } = figures;
                    writeln!(
                        out,
                        "{quantize:8} {compute:8} {cache:5} {perplexity:>11.4} {divergence:>10.2e} {greatest:>10.2e} \
                         {:>9.2} %",
                        100.0 * agreed
                    )?;
                }
                // It does not depend on the rest of the choice.
                Row::NotPossible(obstacle) if said != Some(*quantize) => {
                    writeln!(out, "{quantize:8} not possible: {obstacle}")?;
                    said = Some(*quantize);
                }
                Row::NotPossible(_) => {}
            }
        }
        writeln!(out)
    }

    fn json(&self) -> Value {
        let row = |(choice, row): &(Choice, Row)| {
            let mut value = json!({
                "quantize": choice.quantize.0,
                "compute": choice.compute.0,
                "cache": choice.cache.0,
            });
            match row {
                Row::Figures(figures) => {
                    value["perplexity"] = figures.perplexity.into();
                    value["mean_kl_nats"] = figures.divergence.into();
                    value["greatest_kl_nats"] = figures.greatest.into();
                    value["same_argmax"] = figures.agreed.into();
                }
                Row::NotPossible(obstacle) => value["not_possible"] = obstacle.as_str().into(),
            }
            value
        };
        json!({
            "model": self.model,
            "tokens": self.tokens,
            "window": self.window,
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

/// Writes all reports to a file.
pub(crate) fn write(reports: &[Report], path: &Path) -> Result<(), Failure> {
    let models: Vec<Value> = reports.iter().map(Report::json).collect();
    let report = json!({ "bench": "quality", "version": env!("CARGO_PKG_VERSION"), "models": models });
    let mut text = serde_json::to_string_pretty(&report)?;
    text.push('\n');
    Ok(fs::write(path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))?)
}
