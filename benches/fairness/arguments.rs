//! What can be said on the command line.

use std::path::PathBuf;

use clap::Parser;

use super::model::Shape;
use super::shape::ShapeArguments;

/// Measures what a reserved endpoint attains while another one is flooded, what is left for the flood, and how long a
/// light caller waits for its first token beside a heavy one, on a synthetic model of the given shape.
#[derive(Debug, Parser)]
#[command(name = "fairness", bin_name = "cargo bench --bench fairness --")]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ShapeArguments,

    /// Callers of the reserved endpoint, and of the flooded one.
    #[arg(long, default_value_t = 32)]
    pub(crate) callers: usize,
    /// What is reserved, in percent of the measured capacity.
    #[arg(long, default_value_t = 50)]
    pub(crate) share: u64,
    /// Tokens of a prompt, and of an answer.
    #[arg(long, default_value_t = 32)]
    pub(crate) prompt: usize,
    #[arg(long, default_value_t = 64)]
    pub(crate) answer: u32,
    /// Tokens of the light caller's prompt.
    #[arg(long, default_value_t = 128)]
    pub(crate) light_prompt: usize,
    /// Requests that the heavy caller has at once.
    #[arg(long, default_value_t = 10)]
    pub(crate) heavy: usize,
    /// Requests of the light caller that are timed.
    #[arg(long, default_value_t = 40)]
    pub(crate) light: usize,
    /// Seconds that are measured, after as many tenths that are not.
    #[arg(long, default_value_t = 15.0)]
    pub(crate) seconds: f64,

    /// Write the same figures as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// What `cargo bench` passes to every benchmark.
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
}

impl Arguments {
    pub(crate) fn shape(&self) -> Shape {
        self.model.with_context(512)
    }
}

/// The command line, read; ends the process when it cannot be.
pub(crate) fn parse() -> Arguments {
    Arguments::parse()
}
