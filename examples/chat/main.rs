//! Writes text as a model generates it: `cargo run --release --example chat`.
//!
//! Without arguments it continues a story with the model in this repository. With a model that has a chat template,
//! in a terminal, it holds a conversation. `--parallel N` asks N times at once; all of them share one batch.

mod arguments;
#[path = "../common/mod.rs"]
mod common;
mod conversation;
mod generate;
mod load;
mod parallel;
mod report;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use arguments::Arguments;
use common::Failure;
use generate::Prompt;

fn main() -> ExitCode {
    match common::parse() {
        Ok(arguments) => common::exit_code(run(&arguments)),
        Err(code) => code,
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let model = load::load(arguments)?;
    if arguments.parallel > 1 {
        return parallel::run(&model, arguments);
    }
    let talk =
        model.has_template && arguments.prompt.is_none() && !arguments.json && io::stdin().is_terminal();
    if talk {
        return conversation::run(&model, arguments, io::stdin().lock(), io::stdout().lock());
    }
    let prompt = Prompt::of(arguments, model.has_template);
    let mut out = io::stdout().lock();
    let quiet = arguments.json;
    // Shown with the first piece: a request that is refused shows its error and nothing else.
    let mut before = prompt.text().unwrap_or_default();
    let generation = generate::run(&model, arguments, &prompt, arguments.seed, |piece| {
        if quiet {
            return Ok(());
        }
        write!(out, "{}{piece}", std::mem::take(&mut before))?;
        out.flush()
    })?;
    if quiet {
        return report::json(&mut out, &model, &[generation]);
    }
    writeln!(out)?;
    report::summary(&mut out, &model, &[generation])
}
