//! Programs of `tests/c`: compiled with every warning, run against the built library.
#![allow(dead_code, reason = "each test file uses a part of this")]

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{library, manifest, run};

/// How a program is compiled and run.
pub(crate) enum How {
    Plain,
    /// Under AddressSanitizer and UndefinedBehaviorSanitizer.
    Sanitized,
    /// Under ThreadSanitizer, which sees the program's own accesses and not those of the library.
    Threads,
    Valgrind,
}

impl How {
    fn flags(&self) -> &'static [&'static str] {
        match self {
            How::Plain | How::Valgrind => &[],
            How::Sanitized => {
                &["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
            }
            How::Threads => &["-fsanitize=thread"],
        }
    }

    fn command(&self, program: &Path) -> Command {
        let How::Valgrind = self else { return Command::new(program) };
        let mut valgrind = Command::new("valgrind");
        valgrind.args([
            "--quiet",
            "--error-exitcode=99",
            "--leak-check=full",
            "--errors-for-leak-kinds=definite",
            "--show-leak-kinds=definite",
            "--fair-sched=yes",
        ]);
        valgrind.arg(format!("--suppressions={}", manifest("tests/valgrind.supp").display())).arg(program);
        valgrind
    }
}

/// A C program and what it is compiled with.
pub(crate) struct Program<'a> {
    /// The folder of its source and of what that includes.
    pub(crate) folder: PathBuf,
    /// The folder of the header.
    pub(crate) include: PathBuf,
    pub(crate) name: &'a str,
    /// More flags for the compiler.
    pub(crate) flags: Vec<&'a str>,
}

impl<'a> Program<'a> {
    /// A program of `tests/c`.
    pub(crate) fn new(name: &'a str) -> Self {
        Self { folder: manifest("tests/c"), include: manifest("../include"), name, flags: Vec::new() }
    }

    /// Runs it with `first`, an empty folder and `more` as its arguments. It must end well and print nothing: the library
    /// prints nothing, and neither do sanitizers that find nothing.
    pub(crate) fn check(&self, how: &How, first: &Path, more: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join(self.name);
        let version = format!("-DCARGO_VERSION=\"{}\"", env!("CARGO_PKG_VERSION"));
        let mut flags = vec![version.as_str()];
        flags.extend(how.flags().iter().chain(&self.flags));
        let source = self.folder.join(self.name).with_extension("c");
        library().compile(&self.include, &source, &program, &flags);
        let scratch = folder.path().join("scratch");
        std::fs::create_dir(&scratch).unwrap();
        let mut command = how.command(&program);
        command.arg(first).arg(&scratch).args(more).current_dir(&scratch);
        command.env("ASAN_OPTIONS", "detect_leaks=1");
        command.env("TSAN_OPTIONS", "ignore_noninstrumented_modules=1 halt_on_error=1");
        let output = run(&mut command);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}

/// Runs a program of `tests/c`.
pub(crate) fn check(name: &str, how: &How, first: &Path, more: &[&str]) {
    Program::new(name).check(how, first, more);
}
