//! Whether reserved capacity is there under load, and what a flood does to others: `cargo bench --bench fairness -- --help`.
//!
//! Serves a synthetic model through the public interface. `benches/README.md` says what each figure means.

mod arguments;
mod measure;
#[path = "../common/model.rs"]
mod model;
#[path = "../common/report.rs"]
mod report;
#[path = "../common/shape.rs"]
mod shape;
mod traffic;
#[path = "../common/weights.rs"]
mod weights;

use std::io::{self, Write};
use std::process::ExitCode;

use arguments::Arguments;
use report::Report;
use serde_json::json;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    match run(&arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when the error stream is gone too.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let folder = model::write(&arguments.shape())?;
    let shape = arguments.shape();
    let of = json!({ "shape": shape, "parameters": model::parameters(&shape), "weights": "F32" });
    let mut report = Report::new("fairness", of);
    measure::reservation(folder.path(), arguments, &mut report)?;
    measure::callers(folder.path(), arguments, &mut report)?;
    report.print(&mut io::stdout().lock())?;
    if let Some(path) = &arguments.json {
        report.write(path)?;
    }
    Ok(())
}
