//! The committed header is the one that cbindgen makes of the sources. `MR_UPDATE_HEADER=1` writes it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;

/// In the order of the header.
const SOURCES: &[&str] = &[
    "version",
    "status",
    "error",
    "text",
    "event",
    "callback",
    "options",
    "runtime",
    "adapters",
    "manage",
    "generate",
    "request",
    "session",
    "embeddings",
    "batch",
];

fn generate() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml reads");
    let builder = SOURCES.iter().fold(cbindgen::Builder::new().with_config(config), |builder, name| {
        builder.with_src(root.join("src").join(name).with_extension("rs"))
    });
    let mut header = Vec::new();
    builder.generate().expect("the sources make a header").write(&mut header);
    String::from_utf8(header).unwrap()
}

fn committed() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../include/model_runtime.h");
    if std::env::var_os("MR_UPDATE_HEADER").is_some() {
        fs::write(&path, generate()).unwrap();
    }
    fs::read_to_string(path).expect("include/model_runtime.h is there")
}

#[test]
fn the_committed_header_is_the_generated_one() {
    let (committed, generated) = (committed(), generate());
    for (number, (old, new)) in committed.lines().zip(generated.lines()).enumerate() {
        assert_eq!(
            old,
            new,
            "line {} differs; MR_UPDATE_HEADER=1 cargo test -p model-runtime-ffi --test header",
            number + 1
        );
    }
    assert_eq!(committed.len(), generated.len());
}

/// Every function has the parts of a doc block, in their order.
#[test]
fn every_function_is_documented_in_full() {
    let header = generate();
    let mut functions = 0;
    for (index, _) in header.match_indices(" mr_").chain(header.match_indices("*mr_")) {
        let line = header[..index].rfind('\n').map_or(0, |start| start + 1);
        let rest = &header[index + 1..];
        let name = &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap()];
        let declares = header[line..].starts_with(|c: char| c.is_ascii_alphabetic())
            && rest[name.len()..].starts_with('(')
            && !header[line..].starts_with("typedef");
        if !declares {
            continue;
        }
        functions += 1;
        let comment = &header[header[..line].rfind("/**").unwrap()..line];
        let mut at = 0;
        for part in ["Thread safety:", "Blocking:", "@since 0."] {
            let found = comment[at..]
                .find(part)
                .unwrap_or_else(|| panic!("{name}: `{part}` is missing or misplaced"));
            at += found;
        }
        let parameters = &rest[name.len() + 1..rest.find(");").unwrap()];
        for parameter in parameters.split(',').filter(|parameter| *parameter != "void") {
            let parameter =
                parameter.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
            assert!(
                comment.contains(&format!("@param {parameter} (")),
                "{name}: `{parameter}` is not documented"
            );
        }
        if !header[line..].starts_with("void") {
            assert!(comment.contains("@return"), "{name}: what it returns is not documented");
        }
    }
    assert!(functions > 35, "only {functions} functions found");
}
