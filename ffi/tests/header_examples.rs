//! Every example in the header's comments compiles as C11 without a warning, and runs if it is a whole program.
//!
//! An example begins behind a line ` * EXAMPLE: what it shows` and goes on while lines are empty or indented by two more blanks.
//! Those with a `main` are run in the repository's folder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod native;

use std::path::Path;
use std::process::Command;

use native::{library, manifest};

const MARK: &str = " * EXAMPLE";

/// What each example shows, and its code.
fn examples(header: &str) -> Vec<(String, String)> {
    let mut examples: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in header.lines() {
        if let Some(title) = line.strip_prefix(MARK) {
            examples.push((title.trim_start_matches([':', ' ']).to_owned(), String::new()));
            inside = true;
        } else if let (true, Some((_, code))) = (inside, examples.last_mut()) {
            let part = if line.trim_end() == " *" { Some("") } else { line.strip_prefix(" *   ") };
            match part {
                Some(part) => code.extend([part, "\n"]),
                None => inside = false,
            }
        }
    }
    examples
}

/// What is wrong with an example: a warning, or that it does not run.
fn try_out(folder: &Path, name: &str, code: &str) -> Result<(), String> {
    let (source, program) = (folder.join(format!("{name}.c")), folder.join(name));
    std::fs::write(&source, code).unwrap();
    let whole = code.contains("int main(");
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-I"]).arg(manifest("../include"));
    compiler.arg(&source).arg("-o").arg(&program);
    if whole {
        let libraries = library().shared().parent().unwrap().to_path_buf();
        compiler.arg("-L").arg(&libraries).arg("-lmodel_runtime");
        compiler.arg(format!("-Wl,-rpath,{}", libraries.display()));
    } else {
        compiler.arg("-c");
    }
    succeeds(&mut compiler)?;
    if whole {
        succeeds(Command::new(&program).current_dir(manifest("..")))?;
    }
    Ok(())
}

fn succeeds(command: &mut Command) -> Result<(), String> {
    let output = command.output().unwrap();
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn the_examples_of_the_header_compile_and_run() {
    let header = std::fs::read_to_string(manifest("../include/model_runtime.h")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let examples = examples(&header);
    assert_eq!(examples.len(), header.matches("EXAMPLE").count(), "an example is marked otherwise");
    for (number, (title, code)) in examples.iter().enumerate() {
        assert!(code.contains("mr_"), "`{title}` has no code");
        if let Err(wrong) = try_out(folder.path(), &format!("example{number}"), code) {
            panic!("`{title}`: {wrong}");
        }
    }
}

#[test]
fn an_example_ends_where_its_indentation_ends() {
    let header = "/*\n * EXAMPLE: one\n *   int a;\n *\n *     int b;\n * THREADS\n *   Text.\n * EXAMPLE: two\n *   int c;\n */\n";
    let expected = [("one", "int a;\n\n  int b;\n"), ("two", "int c;\n")];
    let expected = expected.map(|(title, code)| (title.to_owned(), code.to_owned()));
    assert_eq!(examples(header), expected);
}

#[test]
fn a_wrong_example_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let include = "#include \"model_runtime.h\"\n";
    let try_out = |name: &str, code: &str| try_out(folder.path(), name, &format!("{include}{code}"));
    try_out("right", "int main(void) { return mr_abi_version() == MR_ABI_VERSION ? 0 : 1; }").unwrap();
    try_out(
        "part",
        "void end(mr_runtime *runtime);\nvoid end(mr_runtime *runtime) { mr_runtime_release(runtime); }",
    )
    .unwrap();
    assert!(
        try_out(
            "warns",
            "void end(mr_text *text);\nvoid end(mr_text *text) { int unused; mr_text_free(text); }"
        )
        .is_err()
    );
    assert!(try_out("unknown", "int main(void) { return mr_no_such_thing(); }").is_err());
    assert!(try_out("fails", "int main(void) { return mr_abi_version() == 0 ? 0 : 1; }").is_err());
}
