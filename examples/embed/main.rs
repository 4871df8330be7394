//! Makes a vector of every line of a text: `cargo run --release --example embed -- FILE`.
//!
//! Without a file it reads the standard input. Vectors go out as JSON lines, or into a `.npy` file that NumPy reads.
//! Lines stream through: a file of a million lines takes no more memory than one of a thousand.

mod arguments;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/encoder.rs"]
mod encoder;
mod input;
mod npy;
mod output;
mod progress;
mod stream;

use std::io::{self, Write};
use std::process::ExitCode;

use arguments::Arguments;
use common::Failure;
use input::Lines;
use model_runtime::ModelRuntime;
use output::Output;
use progress::Progress;

fn main() -> ExitCode {
    match common::parse() {
        Ok(arguments) => common::exit_code(run(&arguments)),
        Err(code) => code,
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (lines, bytes) = Lines::open(arguments.file.as_deref(), arguments.skip_empty)?;
    let runtime = ModelRuntime::builder().build()?;
    let served = encoder::load(&runtime, &arguments.model, arguments.threads)?;
    let output = Output::open(arguments.output.as_deref())?;
    let progress = Progress::start(bytes);
    let totals = stream::run(&runtime, arguments, lines, output, &progress)?;
    progress.finish();
    writeln!(io::stderr(), "{totals}, {}", served.version)?;
    Ok(())
}
