//! C++ programs against the built library, through the C++ header: as they are and under AddressSanitizer and
//! UndefinedBehaviorSanitizer, with exceptions and without, and what must not compile. They are in `tests/cpp`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod native;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use native::{library, manifest, run};

const WARNINGS: [&str; 6] = ["-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Wshadow", "-Werror"];
const WITHOUT_EXCEPTIONS: [&str; 2] = ["-fno-exceptions", "-fno-rtti"];
const SANITIZERS: [&str; 3] =
    ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"];

fn source(name: &str) -> PathBuf {
    manifest("tests/cpp").join(name).with_extension("cpp")
}

fn compiler(standard: &str, flags: &[&str]) -> Command {
    let mut compiler = Command::new("g++");
    compiler.arg(format!("-std={standard}")).arg("-g").args(WARNINGS).args(flags);
    compiler.arg("-I").arg(manifest("../include"));
    compiler
}

/// Links with the shared library.
fn link(mut compiler: Command, folder: &Path) -> PathBuf {
    let program = folder.join("program");
    let shared = library().shared();
    let libraries = shared.parent().unwrap();
    compiler.arg("-o").arg(&program).arg("-L").arg(libraries).args(["-lmodel_runtime", "-pthread"]);
    run(compiler.arg(format!("-Wl,-rpath,{}", libraries.display())));
    program
}

/// Links and runs, with the repository and an empty folder.
fn link_and_run(compiler: Command, folder: &Path) {
    let program = link(compiler, folder);
    let scratch = folder.join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let output =
        run(Command::new(program).arg(manifest("..")).arg(scratch).env("ASAN_OPTIONS", "detect_leaks=1"));
    // The library prints nothing, and neither do sanitizers that find nothing.
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

fn program(name: &str, standard: &str, flags: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let version = format!("-DCARGO_VERSION=\"{}\"", env!("CARGO_PKG_VERSION"));
    let mut compiler = compiler(standard, flags);
    compiler.arg(version).arg(source(name));
    link_and_run(compiler, folder.path());
}

#[test]
fn the_header_compiles_alone_in_every_standard() {
    for standard in ["c++17", "c++20", "c++23"] {
        for mode in [&[][..], &WITHOUT_EXCEPTIONS, &["-DMODEL_RUNTIME_NO_EXCEPTIONS"]] {
            run(compiler(standard, mode).arg("-fsyntax-only").arg(source("header")));
        }
    }
}

/// Nothing of the C header is missing; options are initialized by its macros.
#[test]
fn every_function_is_used() {
    let read = |name: &str| std::fs::read_to_string(manifest("../include").join(name)).unwrap();
    let (c, cpp) = (read("model_runtime.h"), read("model_runtime.hpp"));
    let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let used: BTreeSet<&str> = cpp.split(word).collect();
    let symbols = std::fs::read_to_string(manifest("abi/symbols.txt")).unwrap();
    let missing: Vec<&str> = symbols
        .lines()
        .filter(|symbol| !symbol.ends_with("_options_init") && !used.contains(symbol))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    // So are its constants.
    let constants: Vec<&str> = c
        .lines()
        .filter_map(|line| line.strip_prefix("#define MR_")?.split(word).next())
        .filter(|name| !name.starts_with("VERSION_") && !used.contains(format!("MR_{name}").as_str()))
        .collect();
    assert!(constants.is_empty(), "{constants:?}");
}

/// Each mistake that `refused.cpp` can make is an error of the compiler, and without them it has none.
#[test]
fn mistakes_do_not_compile() {
    let refused = source("refused");
    run(compiler("c++17", &["-fsyntax-only"]).arg(&refused));
    let text = std::fs::read_to_string(&refused).unwrap();
    let mistakes: Vec<&str> =
        text.split("defined(").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(mistakes.len() > 10, "{mistakes:?}");
    for mistake in mistakes {
        let define = format!("-D{mistake}");
        let output = compiler("c++17", &["-fsyntax-only", &define]).arg(&refused).output().unwrap();
        assert!(!output.status.success(), "{mistake} compiles");
    }
}

#[test]
fn units_with_and_without_exceptions_make_one_program() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("part.o");
    run(compiler("c++17", &WITHOUT_EXCEPTIONS)
        .args(["-DPART_WITHOUT", "-c"])
        .arg(source("mixed"))
        .arg("-o")
        .arg(&part));
    let mut whole = compiler("c++17", &[]);
    whole.arg(source("mixed")).arg(part);
    link_and_run(whole, folder.path());
}

/// The README shows the example as it is, and it runs.
#[test]
fn the_quickstart_is_in_the_readme_and_runs() {
    let quickstart = manifest("../examples/cpp/quickstart.cpp");
    let readme = std::fs::read_to_string(manifest("../README.md")).unwrap();
    assert!(readme.contains(&std::fs::read_to_string(&quickstart).unwrap()));
    let folder = tempfile::tempdir().unwrap();
    let mut compiler = compiler("c++17", &[]);
    compiler.arg(quickstart);
    let program = link(compiler, folder.path());
    let output = run(Command::new(program).current_dir(manifest("..")));
    let text = String::from_utf8(output.stdout).unwrap();
    let (story, version) = text.rsplit_once("\nserved by ").unwrap();
    assert!(
        story.starts_with(", there was a little girl named Lily.") && version.starts_with("stories260K@"),
        "{text}"
    );
}

#[test]
fn streams() {
    program("streams", "c++17", &[]);
}

#[test]
fn streams_sanitized() {
    program("streams", "c++20", &SANITIZERS);
}

#[test]
fn callbacks() {
    program("callbacks", "c++17", &[]);
}

#[test]
fn callbacks_sanitized() {
    program("callbacks", "c++20", &SANITIZERS);
}

#[test]
fn embeddings() {
    program("embeddings", "c++17", &[]);
}

#[test]
fn embeddings_sanitized() {
    program("embeddings", "c++20", &SANITIZERS);
}

#[test]
fn values() {
    program("values", "c++17", &[]);
}

#[test]
fn values_sanitized() {
    program("values", "c++20", &SANITIZERS);
}

#[test]
fn without_exceptions() {
    program("without_exceptions", "c++17", &WITHOUT_EXCEPTIONS);
}

#[test]
fn without_exceptions_sanitized() {
    program("without_exceptions", "c++20", &[&WITHOUT_EXCEPTIONS[..], &SANITIZERS].concat());
}
