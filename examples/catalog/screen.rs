//! Cards and tables for people, in colour where a terminal shows them.

use std::io::{self, Write};

use model_runtime::lifecycle::{FineTuningListing, ModelCard, State, Table};

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// Where cards and tables are written to.
pub(crate) struct Screen<W> {
    out: W,
    colours: bool,
}

impl<W: Write> Screen<W> {
    pub(crate) fn new(out: W, colours: bool) -> Self {
        Self { out, colours }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn state(&self, state: State) -> String {
        let colour = match state {
            State::Active | State::Preview => GREEN,
            State::Planned => DIM,
            state if state.is_retired() => RED,
            _ => YELLOW,
        };
        self.paint(colour, state.as_str())
    }

    /// A card, with what is to be heeded last.
    pub(crate) fn card(&mut self, card: &ModelCard) -> io::Result<()> {
        let title = self.paint(BOLD, &card.name);
        let state = self.state(card.status.state);
        writeln!(self.out, "{title}  {state}")?;
        self.line("task", card.task.as_str())?;
        if let Some(endpoint) = &card.endpoint {
            self.line("endpoint", endpoint)?;
        }
        if let Some(description) = &card.description {
            self.line("about", description)?;
        }
        if let Some(license) = &card.license {
            self.line("licence", &license.name)?;
            let policy = license.acceptable_use_policy.iter().chain(&license.acceptable_use_url).cloned();
            let policy: Vec<_> = policy.collect();
            if !policy.is_empty() {
                self.line("use policy", &policy.join(", "))?;
            }
        }
        if !card.provisioned_as.is_empty() {
            self.line("provisioned", &card.provisioned_as.join(", "))?;
        }
        for note in &card.notes {
            self.line("note", note)?;
        }
        for warning in &card.warnings {
            let warning = self.paint(YELLOW, warning);
            self.line("warning", &warning)?;
        }
        writeln!(self.out)
    }

    /// The models that can be trained further.
    pub(crate) fn listings(&mut self, listings: &[FineTuningListing]) -> io::Result<()> {
        let title = self.paint(BOLD, "Models to train further");
        writeln!(self.out, "{title}")?;
        let width = listings.iter().map(|listing| listing.name.chars().count()).max().unwrap_or(0);
        for listing in listings {
            let warning = self.paint(YELLOW, &listing.warnings.join(" "));
            let line = format!("  {:width$}  {:>6}  {warning}", listing.name, listing.max_context_length);
            writeln!(self.out, "{}", line.trim_end())?;
        }
        writeln!(self.out)
    }

    /// A table with aligned columns.
    pub(crate) fn table(&mut self, table: &Table) -> io::Result<()> {
        let title = self.paint(BOLD, &table.title);
        writeln!(self.out, "{title}")?;
        let length = |cell: &str| cell.chars().count();
        let width = |column: usize, heading: &str| {
            let cells = table.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| length(cell)).chain([length(heading)]).max().unwrap_or(0)
        };
        let widths: Vec<_> =
            table.columns.iter().enumerate().map(|(at, heading)| width(at, heading)).collect();
        let aligned = |cells: Vec<&str>| {
            let cells = cells.into_iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let heading = self.paint(DIM, &aligned(table.columns.clone()));
        writeln!(self.out, "  {heading}")?;
        for row in &table.rows {
            writeln!(self.out, "  {}", aligned(row.iter().map(String::as_str).collect()))?;
        }
        for footnote in &table.footnotes {
            writeln!(self.out, "  {footnote}")?;
        }
        writeln!(self.out)
    }

    fn line(&mut self, key: &str, value: &str) -> io::Result<()> {
        let key = self.paint(DIM, &format!("{key:12}"));
        writeln!(self.out, "  {key}{value}")
    }
}
