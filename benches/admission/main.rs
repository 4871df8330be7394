//! What admission, limits and the ledger cost a request: `cargo bench --bench admission -- --help`.
//!
//! `benches/README.md` says what each figure means.

mod arguments;
mod measure;
#[path = "../common/report.rs"]
mod report;
mod world;

use std::io::{self, Write};
use std::process::ExitCode;

use arguments::Arguments;
use report::Report;
use world::World;

type Failure = Box<dyn std::error::Error>;

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
    let folder = tempfile::tempdir()?;
    let world = World::new(&folder.path().join("usage.db"), arguments)?;
    let mut report = Report::new("admission", arguments.describe());
    measure::fill(&world, arguments, &mut report)?;
    measure::requests(&world, arguments, &mut report)?;
    measure::alone(&world, arguments, &mut report)?;
    measure::questions(&world, arguments, &mut report)?;
    report.print(&mut io::stdout().lock())?;
    if let Some(path) = &arguments.json {
        report.write(path)?;
    }
    Ok(())
}
