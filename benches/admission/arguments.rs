//! What can be said on the command line.

use std::path::PathBuf;

use clap::Parser;
use serde_json::{Value, json};

/// Measures what a request costs besides its model: retirement, limits and the ledger, with many models and a long ledger.
#[derive(Debug, Parser)]
#[command(name = "admission", bin_name = "cargo bench --bench admission --")]
pub(crate) struct Arguments {
    /// Models in the timeline of retirements, each behind an endpoint with limits.
    #[arg(long, default_value_t = 1000)]
    pub(crate) models: usize,
    /// Principals that send requests.
    #[arg(long, default_value_t = 1000)]
    pub(crate) principals: usize,
    /// Rows that the ledger has before anything is measured.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) rows: usize,
    /// Requests of each measurement.
    #[arg(long, default_value_t = 50_000)]
    pub(crate) requests: usize,
    /// Models that each principal uses.
    #[arg(long, default_value_t = 10)]
    pub(crate) models_per_principal: usize,
    /// Names of requests that come in no order, which the index of names pays for.
    #[arg(long)]
    pub(crate) random_names: bool,
    /// How often each figure is taken; the best counts, because other programs only ever make it worse.
    #[arg(long, default_value_t = 3)]
    pub(crate) repeat: usize,

    /// Write the same figures as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// What `cargo bench` passes to every benchmark.
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
}

impl Arguments {
    /// What there is in the world that is measured.
    pub(crate) fn describe(&self) -> Value {
        json!({
            "models": self.models,
            "principals": self.principals,
            "models_per_principal": self.models_per_principal,
            "rows": self.rows,
            "random_names": self.random_names,
        })
    }
}

/// The command line, read; ends the process when it cannot be.
pub(crate) fn parse() -> Arguments {
    Arguments::parse()
}
