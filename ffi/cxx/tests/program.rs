//! A C++ program, compiled against the bridge and linked with the library, as CMake or a build script would.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Command;

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}\n{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn a_program_streams_embeds_and_catches() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let name = match profile.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        name => name,
    };
    // Cargo builds no archive for the tests of its package. The whole workspace is named, so that nothing is built twice.
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(here.join("../..")).args([
        "build",
        "--workspace",
        "--lib",
        "--tests",
        "--profile",
        name,
    ]);
    run(cargo.arg("--target-dir").arg(profile.parent().unwrap()));

    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    let mut compiler = Command::new("c++");
    compiler.args(["-std=c++17", "-Wall", "-Wextra", "-pedantic", "-Werror"]);
    compiler.arg("-I").arg(profile.parent().unwrap().join("cxxbridge")).arg(here.join("tests/program.cpp"));
    compiler
        .arg(profile.join("libmodel_runtime_cxx.a"))
        .args(["-lpthread", "-ldl", "-lm", "-o"])
        .arg(&program);
    run(&mut compiler);
    assert_eq!(run(Command::new(&program).arg(here.join("../.."))), "all is well\n");
}
