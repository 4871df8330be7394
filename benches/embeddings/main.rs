//! How fast texts become vectors: `cargo bench --bench embeddings -- --help`.
//!
//! Every precision runs in a process of its own, so that peaks of memory do not mix. `benches/README.md` says what each
//! figure means.

mod arguments;
mod deviation;
mod measure;
mod model;
#[path = "../common/process.rs"]
mod process;
mod report;
mod rivals;
#[path = "../common/weights.rs"]
mod weights;
mod workload;

use std::io;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use clap::Parser;

use arguments::{Arguments, Precision};
use measure::Measured;
use process::progress;
use report::Report;
use rivals::Rivals;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    process::exit(match arguments.one {
        Some(precision) => one(precision, &arguments),
        None => all(&arguments),
    })
}

/// In a process that another one started: one precision.
fn one(precision: Precision, a: &Arguments) -> Result<(), Failure> {
    let model = a.model.as_ref().ok_or("--one takes a --model")?;
    let measured = measure::measure(model, precision, a)?;
    Ok(serde_json::to_writer(io::stdout().lock(), &measured)?)
}

fn all(a: &Arguments) -> Result<(), Failure> {
    // Whatever is wrong with the rivals' figures shows before anything is measured.
    let rivals = Rivals::read(&a.rivals)?;
    let written = if a.model.is_none() { Some(model::write(a.shape.shape())?) } else { None };
    let path = match (&a.model, &written) {
        (Some(path), _) => path.as_path(),
        (None, Some(folder)) => folder.path(),
        (None, None) => return Err("there is no model".into()),
    };
    let mut measured = Vec::new();
    for &precision in &a.precisions {
        progress(&format!("{}\n", precision.name()));
        measured.push((precision, in_own_process(path, precision, a)?));
    }
    let deviations = deviation::measure(path, a)?;
    let report = Report { arguments: a, measured, deviations, rivals };
    report.print(&mut io::stdout().lock())?;
    match &a.json {
        Some(path) => report.write(path),
        None => Ok(()),
    }
}

/// Starts this program again, for one precision.
fn in_own_process(path: &Path, precision: Precision, a: &Arguments) -> Result<Measured, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--model").arg(path).args(["--one", &precision.name()]);
    command.args(["--threads", &a.threads().to_string(), "--seconds", &a.seconds.to_string()]);
    command.args(["--crowd", &a.crowd.to_string()]);
    if !a.only.is_empty() {
        command.args(["--only", &a.only.join(",")]);
    }
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{}: {}", precision.name(), output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
