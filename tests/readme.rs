//! The C and C++ code of the README compiles against the committed header. (Its Rust code is compiled as doctests.)
#![allow(clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Command;

/// The fenced blocks of the README that are marked as `language`.
fn blocks(readme: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}");
    let mut found = Vec::new();
    let mut lines = readme.lines();
    while lines.by_ref().any(|line| line.trim_end() == fence) {
        found.push(
            lines
                .by_ref()
                .take_while(|line| line.trim_end() != "```")
                .map(|line| format!("{line}\n"))
                .collect(),
        );
    }
    found
}

fn compiles(language: &str, compiler: &str, standard: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).expect("README.md can be read");
    let blocks = blocks(&readme, language);
    assert!(!blocks.is_empty(), "README.md has no {language} code");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (index, code) in blocks.iter().enumerate() {
        let source = folder.path().join(format!("readme{index}.{language}"));
        std::fs::write(&source, code).expect("the temporary folder can be written to");
        let output = Command::new(compiler)
            .arg(format!("-std={standard}"))
            .args(["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", "-I"])
            .arg(root.join("include"))
            .arg(&source)
            .output()
            .unwrap_or_else(|error| panic!("{compiler} cannot be run: {error}"));
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{language} block {} of README.md does not compile:\n{messages}",
            index + 1
        );
    }
}

#[test]
fn c_code_compiles() {
    compiles("c", "gcc", "c11");
}

#[test]
fn cpp_code_compiles() {
    compiles("cpp", "g++", "c++17");
}
