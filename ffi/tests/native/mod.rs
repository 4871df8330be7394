//! The built library and the C compiler, for the tests that look at the one through the other.
#![allow(dead_code, reason = "each test file uses a part of this")]

pub(crate) mod program;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

/// The name that the dynamic linker looks for.
pub(crate) const SONAME: &str = "libmodel_runtime.so.0.1";

pub(crate) fn manifest(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub(crate) fn model() -> PathBuf {
    manifest("../examples/models/stories260K")
}

/// A folder with the shared library under both its names, and the static one in a folder of its own.
pub(crate) struct Library {
    folder: TempDir,
    profile: PathBuf,
}

/// Cargo builds no shared library for the tests of its package, so the first test does. The whole workspace with
/// its tests is named so that features are those of `cargo test --workspace` and nothing else is built again.
pub(crate) fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap().to_path_buf();
        let name = match profile.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            name => name,
        };
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(manifest("..")).args([
            "build",
            "--workspace",
            "--lib",
            "--tests",
            "--profile",
            name,
        ]);
        run(cargo.arg("--target-dir").arg(profile.parent().unwrap()));
        let folder = tempfile::tempdir().unwrap();
        let shared = folder.path().join("libmodel_runtime.so");
        std::os::unix::fs::symlink(profile.join("libmodel_runtime.so"), &shared).unwrap();
        std::os::unix::fs::symlink(&shared, folder.path().join(SONAME)).unwrap();
        Library { folder, profile }
    })
}

impl Library {
    pub(crate) fn shared(&self) -> PathBuf {
        self.folder.path().join("libmodel_runtime.so")
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.profile.join("libmodel_runtime.a")
    }

    /// Compiles a C program with every warning against the header in `include` and links it to the shared library.
    pub(crate) fn compile(&self, include: &Path, source: &Path, program: &Path, flags: &[&str]) {
        let mut compiler = Command::new("cc");
        compiler.args([
            "-std=c11",
            "-D_POSIX_C_SOURCE=200809L",
            "-g",
            "-Wall",
            "-Wextra",
            "-pedantic",
            "-Werror",
        ]);
        compiler.args(flags).arg("-I").arg(include).arg(source).arg("-o").arg(program);
        compiler.arg("-L").arg(self.folder.path()).args(["-lmodel_runtime", "-lm", "-pthread"]);
        run(compiler.arg(format!("-Wl,-rpath,{}", self.folder.path().display())));
    }
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
