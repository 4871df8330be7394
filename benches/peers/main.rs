//! Our figures for the workloads that other engines are measured with: `cargo bench --bench peers -- --help`.
//!
//! Every part of every model runs in a process of its own, so that peaks of memory do not mix; what the machine allows
//! is measured between them. `benches/README.md` says what each figure means.

mod arguments;
mod cost;
mod limits;
mod measure;
#[path = "../common/model.rs"]
mod model;
#[path = "../common/peak.rs"]
mod peak;
#[path = "../common/process.rs"]
mod process;
mod report;
#[path = "../common/weights.rs"]
mod weights;
mod workload;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Parser;
use model_runtime::backend::cpu::Level;
use model_runtime::models::CausalSources;
use model_runtime::weights::Checkpoint;

use arguments::{Arguments, Part, name};
use cost::Cost;
use limits::Limits;
use measure::Measured;
use model::Shape;
use process::progress;
use report::{Model, Report};
use workload::workloads;

type Failure = Box<dyn std::error::Error>;

/// The model of a run without `--model`: the benchmark `engine` has the same.
const SMALL: Shape =
    Shape { hidden: 512, layers: 8, heads: 8, kv_heads: 4, intermediate: 1408, vocab: 8192, context: 8192 };

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    process::exit(match arguments.one {
        Some(part) => one(part, &arguments),
        None => all(&arguments),
    })
}

/// In a process that another one started: one part of one model.
fn one(part: Part, a: &Arguments) -> Result<(), Failure> {
    let [model] = a.models.as_slice() else { return Err("--one takes one --model".into()) };
    let checkpoint = Checkpoint::open(model)?;
    let max_positions = CausalSources::resolve(&checkpoint)?.shape().max_positions;
    let (workloads, _) = workloads(part, a, max_positions);
    let measured = measure::measure(model, part, &workloads, max_positions, a)?;
    Ok(serde_json::to_writer(io::stdout().lock(), &measured)?)
}

fn all(a: &Arguments) -> Result<(), Failure> {
    let small = if a.models.is_empty() { Some(model::write(&SMALL)?) } else { None };
    let models: Vec<(String, PathBuf)> = match &small {
        Some(folder) => {
            let name = format!("{:.0}M random weights", model::parameters(&SMALL) as f64 / 1e6);
            vec![(name, folder.path().to_owned())]
        }
        None => a.models.iter().map(|path| (file_name(path), path.clone())).collect(),
    };
    // Whatever is wrong with a model shows before anything is measured.
    let costs = models.iter().map(|(_, path)| Cost::of(path, &a.cpu()?, a.quantize_to()?));
    let costs = costs.collect::<Result<Vec<Cost>, Failure>>()?;
    let level = Level::detect();
    let measure_limits = || {
        progress("limits of the machine\n");
        Limits::measure(level, a.threads(), a.memory)
    };
    let mut limits = measure_limits();
    let mut measured = Vec::new();
    for ((name, path), cost) in models.into_iter().zip(costs) {
        measured.push(measure_model(name, cost, &path, a));
        // Again after every model: one slow moment of the machine must not pass for its limit.
        limits = limits.better(measure_limits());
    }
    let report = Report { arguments: a, level: level.name(), limits, models: measured };
    report.print(&mut io::stdout().lock())?;
    if let Some(path) = &a.json {
        report.write(path)?;
    }
    match report.models.iter().flat_map(|model| &model.failed).count() {
        0 => Ok(()),
        count => Err(format!("measurements that failed: {count}").into()),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// All parts of one model.
fn measure_model(label: String, cost: Cost, path: &Path, a: &Arguments) -> Model {
    let mut model = Model { name: label, cost, parts: Vec::new(), left_out: Vec::new(), failed: Vec::new() };
    for &part in &a.only {
        let (workloads, left_out) = workloads(part, a, model.cost.max_positions);
        model.left_out.extend(left_out);
        if workloads.is_empty() {
            continue;
        }
        progress(&format!("{}, {}\n", model.name, name(part)));
        match in_own_process(path, part, workloads.len(), a) {
            Ok(measured) => model.parts.push((workloads, measured)),
            // What else was measured shall not be lost.
            Err(error) => {
                progress(&format!("error: {error}\n"));
                model.failed.push(name(part));
            }
        }
    }
    model
}

/// Starts this program again, for one part of one model.
fn in_own_process(path: &Path, part: Part, figures: usize, a: &Arguments) -> Result<Measured, Failure> {
    let numbers = |numbers: &[usize]| numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--model").arg(path).args(["--one", &name(part)]);
    command.args(["--threads", &a.threads().to_string(), "--repeat", &a.repeat.to_string()]);
    command.args(["--tokens", &a.tokens.to_string(), "--batches", &numbers(&a.batches)]);
    command.args(["--contexts", &numbers(&a.contexts)]);
    command.args(["--compute", &name(a.compute), "--cache", &name(a.cache)]);
    if let Some(format) = &a.quantize {
        command.args(["--quantize", format]);
    }
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{}, {}: {}", file_name(path), name(part), output.status).into());
    }
    let measured: Measured = serde_json::from_slice(&output.stdout)?;
    if measured.runs.len() != figures {
        let found = measured.runs.len();
        return Err(
            format!("{}, {}: {found} figures instead of {figures}", file_name(path), name(part)).into()
        );
    }
    Ok(measured)
}
