//! Programs of the last release run with today's library: its header and its test programs lie in `abi/0.1`.
//!
//! The Rust library tells libabigail nothing about C types, so each header is made into a C library of empty functions, and those are
//! compared. `MR_UPDATE_BASELINE=1` freezes the present header and programs, which a release does and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod native;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use native::program::{How, Program};
use native::{manifest, model, run};

const BASELINE: &str = "abi/0.1";

/// What a program of that release relies on. Programs that expect a refusal of what later releases bring are not among them.
const PROGRAMS: &[&str] = &["adapters", "callbacks", "embeddings", "management", "sessions", "streams"];

fn frozen_header() -> String {
    if std::env::var_os("MR_UPDATE_BASELINE").is_some() {
        fs::copy(manifest("../include/model_runtime.h"), manifest(BASELINE).join("model_runtime.h")).unwrap();
        let sources = PROGRAMS.iter().map(|name| format!("{name}.c")).chain(["check.h".to_owned()]);
        for source in sources {
            let frozen = manifest(BASELINE).join("programs").join(&source);
            fs::copy(manifest("tests/c").join(&source), frozen).unwrap();
        }
    }
    fs::read_to_string(manifest(BASELINE).join("model_runtime.h")).unwrap()
}

fn present_header() -> String {
    fs::read_to_string(manifest("../include/model_runtime.h")).unwrap()
}

/// A header without its comments.
fn code(header: &str) -> String {
    let mut code = String::new();
    let mut rest = header;
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").expect("the comment ends").1;
    }
    code + rest
}

/// The declarations of all functions.
fn functions(header: &str) -> Vec<String> {
    let code = code(header);
    let lines =
        code.lines().filter(|line| !line.starts_with('#')).map(|line| line.split("//").next().unwrap());
    let plain = lines.collect::<Vec<_>>().join(" ");
    let statements = plain.split(';').map(str::trim);
    let declared = statements.filter(|statement| {
        statement.ends_with(')')
            && (statement.contains(" mr_") || statement.contains(" *mr_"))
            && !statement.starts_with("typedef")
    });
    // The first one stands behind the opening brace of `extern "C"`.
    declared.map(|statement| statement.rsplit('{').next().unwrap().trim().to_owned()).collect()
}

/// The constants and what stands for each.
fn constants(header: &str) -> BTreeMap<String, String> {
    let code = code(header).replace("\\\n", " ");
    let defined = code.lines().filter_map(|line| line.strip_prefix("#define MR_")?.split_once(' '));
    let constants =
        defined.filter(|(name, _)| !name.starts_with("VERSION_") && !name.ends_with("_OPTIONS_INIT"));
    constants.map(|(name, value)| (format!("MR_{name}"), value.trim().to_owned())).collect()
}

/// The bodies of the option structs, which say their size and may grow at their end.
fn option_structs(code: &str) -> BTreeMap<String, String> {
    let mut structs = BTreeMap::new();
    for definition in code.split("typedef struct ").skip(1) {
        if let Some((name, rest)) = definition.split_once(" {")
            && name.ends_with("_options")
        {
            structs.insert(name.to_owned(), rest[..rest.find('}').unwrap()].to_owned());
        }
    }
    structs
}

/// The new header without the fields that were appended to option structs of the old one.
fn without_appended_fields(old: &str, new: &str) -> String {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (old, mut code) = (option_structs(&code(old)), code(new));
    for (name, body) in option_structs(&code) {
        if let Some(before) = old.get(&name).filter(|before| words(&body).starts_with(&words(before))) {
            code = code.replace(&body, before);
        }
    }
    code
}

/// A shared library with the types and functions of a header.
fn stub(folder: &Path, name: &str, header: &str) -> std::path::PathBuf {
    let include = folder.join(name);
    fs::create_dir(&include).unwrap();
    fs::write(include.join("model_runtime.h"), header).unwrap();
    let mut source = String::from("#include \"model_runtime.h\"\n");
    for function in functions(header) {
        let body = if function.starts_with("void ") { "{}" } else { "{ return 0; }" };
        source.push_str(&format!("{function} {body}\n"));
    }
    let (c, shared) = (include.join("stub.c"), include.join("libstub.so"));
    fs::write(&c, source).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c11", "-g", "-shared", "-fPIC", "-Wall", "-Werror", "-I"]).arg(&include);
    run(compiler.arg(&c).arg("-o").arg(&shared));
    shared
}

/// What a program built with the old header could not rely on with the new one; empty if that is nothing.
fn broken(old: &str, new: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let before = stub(folder.path(), "old", old);
    let after = stub(folder.path(), "new", &without_appended_fields(old, new));
    let mut abidiff = Command::new("abidiff");
    // Every change counts, whatever libabigail thinks of its harm, but additions.
    abidiff.args(["--no-added-syms", "--harmless"]);
    let output = abidiff.arg(before).arg(after).output().expect("abidiff runs (Debian: abigail-tools)");
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        said.clear();
    }
    let (old, new) = (constants(old), constants(new));
    for (name, value) in &old {
        if new.get(name) != Some(value) {
            said.push_str(&format!("{name} was {value} and is {:?}\n", new.get(name)));
        }
    }
    said
}

#[test]
fn the_header_has_only_grown() {
    let (old, new) = (frozen_header(), present_header());
    let symbols = fs::read_to_string(manifest("abi/symbols.txt")).unwrap();
    assert_eq!(functions(&new).len(), symbols.lines().count(), "a function was not recognised");
    assert!(functions(&old).len() > 50 && constants(&old).len() > 50);
    assert_eq!(broken(&old, &new), "");
}

/// A header with one thing replaced.
fn with(header: &str, what: &str, by: &str) -> String {
    assert_eq!(header.matches(what).count(), 1, "`{what}` is not there once");
    header.replace(what, by)
}

#[test]
fn additions_pass() {
    let old = frozen_header();
    let version = "const char *mr_version(void);";
    let function =
        format!("{version}\nmr_status mr_new_thing(const struct mr_runtime *runtime, int64_t *count);");
    assert_eq!(broken(&old, &with(&old, version, &function)), "");
    let constant = "#define MR_E_RATE_LIMITED 304";
    let added = with(&old, constant, &format!("{constant}\n#define MR_E_NEW 305"));
    assert_eq!(broken(&old, &added), "");
    let appended = with(&old, "} mr_request_options;", "  uint64_t added;\n} mr_request_options;");
    assert_eq!(broken(&old, &appended), "");
}

#[test]
fn changes_are_found() {
    let old = frozen_header();
    let changes = [
        ("a function is gone", "const char *mr_version(void);", ""),
        ("it gives another type", "uint32_t mr_abi_version(void);", "uint64_t mr_abi_version(void);"),
        (
            "a parameter has another size",
            "size_t row);\n\n/**\n * Whether",
            "uint32_t row);\n\n/**\n * Whether",
        ),
        ("a sign changed", "int32_t mr_event_get_kind(", "uint32_t mr_event_get_kind("),
        (
            "a parameter became const",
            "void mr_text_free(struct mr_text *text);",
            "void mr_text_free(const struct mr_text *text);",
        ),
        (
            "a parameter more",
            "void mr_event_free(struct mr_event *event);",
            "void mr_event_free(struct mr_event *event, int32_t how);",
        ),
        ("a field in the middle", "  int32_t priority;\n", "  int64_t added;\n  int32_t priority;\n"),
        ("a field of another type", "  uint64_t timeout_ms;\n", "  int64_t timeout_ms;\n"),
        ("a field is gone", "  int32_t lifecycle;\n", ""),
        ("a field of another size", "  uint32_t max_sequences;\n", "  uint64_t max_sequences;\n"),
        (
            "a callback gives something else",
            "typedef int32_t (*mr_event_callback)(",
            "typedef int64_t (*mr_event_callback)(",
        ),
        ("a status has another number", "#define MR_E_NOT_FOUND 103", "#define MR_E_NOT_FOUND 113"),
        ("a constant is gone", "#define MR_CACHE_TYPE_Q8 4", ""),
    ];
    for (change, what, by) in changes {
        let found = broken(&old, &with(&old, what, by));
        assert_ne!(found, "", "{change}, and nothing was found");
    }
}

fn frozen_program(name: &str, how: &How) {
    let program = Program {
        folder: manifest(BASELINE).join("programs"),
        include: manifest(BASELINE),
        ..Program::new(name)
    };
    let first = match name {
        "adapters" | "management" | "sessions" => manifest(".."),
        "embeddings" => manifest("../tests/data/tiny"),
        _ => model(),
    };
    program.check(how, &first, &[]);
}

#[test]
fn programs_of_the_release_run() {
    for name in PROGRAMS {
        frozen_program(name, &How::Plain);
    }
}

#[test]
fn programs_of_the_release_run_sanitized() {
    for name in PROGRAMS {
        frozen_program(name, &How::Sanitized);
    }
}
