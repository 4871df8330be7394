//! `find_package(model-runtime)` in a prefix as `cargo cinstall` makes it, which was moved after that: the examples are built with the
//! shared and the static library and run, and the right versions are accepted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod native;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use native::{SONAME, library, manifest, run};
use tempfile::TempDir;

/// What `[package.metadata.capi]` of Cargo.toml installs, with libraries as this build has made them.
fn install(prefix: &Path, libraries: &str) {
    let (lib, cmake) = (prefix.join(libraries), prefix.join("share/cmake/model-runtime"));
    for folder in [&prefix.join("include"), &lib, &cmake] {
        fs::create_dir_all(folder).unwrap();
    }
    for header in ["model_runtime.h", "model_runtime.hpp"] {
        fs::copy(manifest("../include").join(header), prefix.join("include").join(header)).unwrap();
    }
    for file in ["config", "config-version", "targets"] {
        let name = format!("model-runtime-{file}.cmake");
        fs::copy(manifest("cmake").join(&name), cmake.join(&name)).unwrap();
    }
    symlink(library().archive(), lib.join("libmodel_runtime.a")).unwrap();
    let full = format!("libmodel_runtime.so.{}", env!("CARGO_PKG_VERSION"));
    symlink(fs::canonicalize(library().shared()).unwrap(), lib.join(&full)).unwrap();
    symlink(&full, lib.join(SONAME)).unwrap();
    symlink(&full, lib.join("libmodel_runtime.so")).unwrap();
}

/// Installed in one place, then moved to another.
fn moved(libraries: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (first, prefix) = (folder.path().join("first"), folder.path().join("prefix"));
    install(&first, libraries);
    fs::rename(first, &prefix).unwrap();
    (folder, prefix)
}

fn configure(source: &Path, build: &Path, prefix: &Path) -> Command {
    let mut cmake = Command::new("cmake");
    cmake.arg("-S").arg(source).arg("-B").arg(build);
    cmake.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
    cmake
}

fn quickstart(libraries: &str, target: &str) {
    let (folder, prefix) = moved(libraries);
    let build = folder.path().join("build");
    run(configure(&manifest("../examples/cpp"), &build, &prefix)
        .arg(format!("-DMODEL_RUNTIME=model-runtime::{target}")));
    run(Command::new("cmake").arg("--build").arg(&build).args(["--target", "quickstart"]));
    let output = run(Command::new(build.join("quickstart")).current_dir(manifest("..")));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with(", there was a little girl named Lily."), "{text}");
    assert!(text.contains("\nserved by stories260K@"), "{text}");
}

#[test]
fn the_shared_library() {
    quickstart("lib", "model-runtime");
}

#[test]
fn the_static_library() {
    quickstart("lib", "static");
}

#[test]
fn the_shared_library_where_debian_puts_it() {
    quickstart(&format!("lib/{}-linux-gnu", std::env::consts::ARCH), "model-runtime");
}

#[test]
fn versions() {
    let (folder, prefix) = moved("lib");
    let source = folder.path().join("source");
    fs::create_dir(&source).unwrap();
    let (major, minor, patch) = (
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
        env!("CARGO_PKG_VERSION_PATCH").parse::<u32>().unwrap(),
    );
    let later = minor.parse::<u32>().unwrap() + 1;
    let mut lines = "cmake_minimum_required(VERSION 3.16)\nproject(versions LANGUAGES CXX)\n".to_owned();
    for (version, found) in [
        (String::new(), true),
        (format!("{major}.{minor}"), true),
        (format!("{major}.{minor}.{patch}"), true),
        (format!("{major}.{minor}.{patch} EXACT"), true),
        (format!("{major}.{minor}.{}", patch + 1), false),
        (format!("{major}.{later}"), false),
        ("99.0".to_owned(), false),
    ] {
        let wrong = if found { "NOT model-runtime_FOUND" } else { "model-runtime_FOUND" };
        lines += &format!("find_package(model-runtime {version} QUIET)\n");
        lines += &format!("if({wrong})\n  message(FATAL_ERROR \"{version}\")\nendif()\n");
    }
    fs::write(source.join("CMakeLists.txt"), &lines).unwrap();
    run(&mut configure(&source, &folder.path().join("build"), &prefix));

    // What is missing is said by name.
    fs::remove_dir_all(prefix.join("lib")).unwrap();
    let output =
        configure(&manifest("../examples/cpp"), &folder.path().join("none"), &prefix).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("libmodel_runtime is missing"), "{said}");
}
