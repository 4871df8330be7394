//! C programs against the built library: as they are, under AddressSanitizer and UndefinedBehaviorSanitizer, and under
//! valgrind. What they check is in `tests/c`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod native;

use std::path::Path;
use std::process::Command;

use native::program::{How, check};
use native::{library, manifest, model, run};

fn program(name: &str, how: &How) {
    let first = match name {
        "adapters" | "management" | "sessions" => manifest(".."),
        "embeddings" => manifest("../tests/data/tiny"),
        _ => model(),
    };
    check(name, how, &first, &[]);
}

#[test]
fn the_versions_agree() {
    program("version", &How::Plain);
}

#[test]
fn errors() {
    program("errors", &How::Plain);
}

#[test]
fn streams() {
    program("streams", &How::Plain);
}

#[test]
fn callbacks() {
    program("callbacks", &How::Plain);
}

#[test]
fn adapters() {
    program("adapters", &How::Plain);
}

#[test]
fn adapters_sanitized() {
    program("adapters", &How::Sanitized);
}

#[test]
fn adapters_under_valgrind() {
    program("adapters", &How::Valgrind);
}

#[test]
fn embeddings() {
    program("embeddings", &How::Plain);
}

#[test]
fn embeddings_sanitized() {
    program("embeddings", &How::Sanitized);
}

#[test]
fn embeddings_under_valgrind() {
    program("embeddings", &How::Valgrind);
}

#[test]
fn sessions() {
    program("sessions", &How::Plain);
}

#[test]
fn sessions_sanitized() {
    program("sessions", &How::Sanitized);
}

#[test]
fn sessions_under_valgrind() {
    program("sessions", &How::Valgrind);
}

#[test]
fn errors_sanitized() {
    program("errors", &How::Sanitized);
}

#[test]
fn streams_sanitized() {
    program("streams", &How::Sanitized);
}

#[test]
fn callbacks_sanitized() {
    program("callbacks", &How::Sanitized);
}

#[test]
fn errors_under_valgrind() {
    program("errors", &How::Valgrind);
}

#[test]
fn streams_under_valgrind() {
    program("streams", &How::Valgrind);
}

#[test]
fn callbacks_under_valgrind() {
    program("callbacks", &How::Valgrind);
}

#[test]
fn the_example_streams_from_two_threads() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("chat");
    library().compile(&manifest("../include"), &manifest("../examples/c/chat.c"), &program, &[]);
    let output = run(Command::new(&program).arg(model()));
    let text = String::from_utf8(output.stdout).unwrap();
    for part in ["1>", "2>", "served by"] {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
}

/// The archive links with what the platform offers; nothing of ours is missing.
#[test]
fn the_static_library_links() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("version");
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c11", &format!("-DCARGO_VERSION=\"{}\"", env!("CARGO_PKG_VERSION"))]);
    compiler
        .arg("-I")
        .arg(manifest("../include"))
        .arg(manifest("tests/c/version.c"))
        .arg(library().archive());
    run(compiler.args(["-lpthread", "-ldl", "-lm", "-lgcc_s", "-o"]).arg(&program));
    run(Command::new(Path::new(&program)).env_clear());
}

#[test]
fn management() {
    program("management", &How::Plain);
}

#[test]
fn management_sanitized() {
    program("management", &How::Sanitized);
}

#[test]
fn management_under_valgrind() {
    program("management", &How::Valgrind);
}

#[test]
fn batch() {
    program("batch", &How::Plain);
}

#[test]
fn batch_sanitized() {
    program("batch", &How::Sanitized);
}

/// Not under sanitizers, which have their own allocators. `MR_EVERY_ALLOCATION=1` has each one fail instead of some hundreds, for an
/// hour.
#[test]
fn memory_that_ends() {
    let every = std::env::var_os("MR_EVERY_ALLOCATION").is_some();
    check("memory", &How::Plain, &manifest(".."), if every { &["every"] } else { &[] });
}
