//! What every benchmark program does as a process: end, report progress, look at its own memory.

use std::io::{self, Write};
use std::process::ExitCode;

use super::Failure;

/// The exit status of what was done; an error is told on the error stream.
pub(crate) fn exit(done: Result<(), Failure>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Tells whoever waits.
pub(crate) fn progress(text: &str) {
    // Nothing is left to do when the error stream is gone.
    let _ = write!(io::stderr(), "{text}");
}

/// The most memory that this process ever had, in bytes, where the system tells.
pub(crate) fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}
