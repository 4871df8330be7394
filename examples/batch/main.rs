//! Answers a file of requests:
//! `cargo run --release --example batch -- --input requests.jsonl --output results.jsonl --model stories=examples/models/stories260K`.
//!
//! Requests and results are lines in the shape of the OpenAI batch API. The run may be ended at any time, by Ctrl-C too: run again, it
//! leaves out what has its result.

mod arguments;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/named.rs"]
mod named;
mod report;

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;

use arguments::Arguments;
use common::Failure;
use model_runtime::batch::{Batch, BatchOrder};
use report::Report;

fn main() -> ExitCode {
    match common::parse() {
        Ok(arguments) => common::exit_code(run(&arguments)),
        Err(code) => code,
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = named::load(&arguments.models, arguments.context)?;
    let report = Report::start();
    let order = if arguments.as_ready { BatchOrder::AsReady } else { BatchOrder::InOrder };
    let batch = Batch::new(&runtime).concurrency(arguments.concurrency).order(order).progress(|now| {
        report.show(now);
        ControlFlow::Continue(())
    });
    let summary = batch.run_files(&arguments.input, &arguments.output);
    report.finish();
    writeln!(io::stderr(), "{}", report.summary(&summary?.progress))?;
    Ok(())
}
