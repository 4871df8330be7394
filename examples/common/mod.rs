//! What the examples have in common: arguments, loading with a progress bar, how a program ends.

pub(crate) mod serve;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

/// What went wrong, as one line.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// The arguments, or the exit code after saying in one line what is wrong with them.
pub(crate) fn parse<A: Parser>() -> Result<A, ExitCode> {
    A::try_parse().map_err(|error| {
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

/// Says what went wrong, if anything did.
pub(crate) fn exit_code(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output has seen enough.
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when the error stream is gone too.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
