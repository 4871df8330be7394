//! What can be said on the command line.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use jiff::Timestamp;
use jiff::civil::Date;
use model_runtime::catalog::Catalog;
use model_runtime::{Clock, SystemClock};

/// Shows which models are offered and retired on any day.
#[derive(Debug, Parser)]
#[command(name = "catalog", version)]
pub(crate) struct Arguments {
    /// The day (2024-11-15) or instant (2024-11-15T12:00:00Z) to show; now, if none.
    #[arg(long, value_name = "DATE")]
    at: Option<String>,
    /// Only the card of the model with this name, alias or endpoint.
    #[arg(long, value_name = "NAME", conflicts_with = "markdown")]
    pub(crate) model: Option<String>,
    /// Entries of one's own, laid over the ones that are built in.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) catalog: Option<PathBuf>,
    /// Writes the tables in Markdown, as the documents have them.
    #[arg(long)]
    pub(crate) markdown: bool,
    /// Writes the cards as JSON.
    #[arg(long, conflicts_with = "markdown")]
    pub(crate) json: bool,
}

impl Arguments {
    /// The instant to show: of a day its first one, where the catalog counts days.
    pub(crate) fn at(&self, catalog: &Catalog) -> Result<Timestamp, super::Failure> {
        let Some(text) = &self.at else { return Ok(SystemClock::new().wall()) };
        // An instant parses as a day too.
        let day = text.parse::<Date>().ok().filter(|_| !text.contains(['T', ':']));
        if let Some(day) = day {
            return Ok(catalog.policy().zone.start_of(day)?);
        }
        let accepted = "accepted is a day such as 2024-11-15 or an instant such as 2024-11-15T12:00:00Z";
        Ok(text.parse().map_err(|_| format!("--at is {text:?}; {accepted}"))?)
    }
}

/// The arguments, or the exit code after saying in one line what is wrong with them.
pub(crate) fn parse() -> Result<Arguments, ExitCode> {
    Arguments::try_parse().map_err(|error| {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            return if error.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        let text = error.to_string();
        let line = text.lines().next().unwrap_or("error: the arguments cannot be read");
        // Nothing is left to do when the error stream is gone.
        let _ = writeln!(io::stderr(), "{line}; --help lists what is accepted");
        ExitCode::FAILURE
    })
}
