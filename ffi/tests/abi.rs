//! What the shared library shows to the linker, and that the header compiles everywhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod native;

use std::collections::BTreeSet;
use std::process::Command;

use native::{SONAME, library, manifest, run};

fn stdout(command: &mut Command) -> String {
    String::from_utf8(run(command).stdout).unwrap()
}

/// `MR_UPDATE_SYMBOLS=1` writes the list; within one 0.x it only gets longer.
#[test]
fn the_library_exports_the_listed_functions_and_nothing_else() {
    let listed = manifest("abi/symbols.txt");
    let table = stdout(Command::new("nm").args(["-D", "--defined-only"]).arg(library().shared()));
    let symbols: BTreeSet<&str> = table.lines().filter_map(|line| line.split_whitespace().last()).collect();
    let exported: String = symbols.iter().map(|symbol| format!("{symbol}\n")).collect();
    if std::env::var_os("MR_UPDATE_SYMBOLS").is_some() {
        std::fs::write(&listed, &exported).unwrap();
    }
    assert_eq!(std::fs::read_to_string(listed).unwrap(), exported);
    assert!(symbols.iter().all(|symbol| symbol.starts_with("mr_")));

    let header = std::fs::read_to_string(manifest("../include/model_runtime.h")).unwrap();
    for symbol in &symbols {
        assert!(header.contains(&format!("{symbol}(")), "{symbol} is exported but not in the header");
    }
}

#[test]
fn the_library_has_its_name() {
    let dynamic = stdout(Command::new("readelf").args(["--dynamic", "--wide"]).arg(library().shared()));
    assert!(dynamic.contains(&format!("[{SONAME}]")), "{dynamic}");
}

#[test]
fn the_header_compiles_in_every_c_and_cpp() {
    let check = |compiler: &str, language: &str, standard: &str| {
        let mut command = Command::new(compiler);
        command.args([
            "-x",
            language,
            &format!("-std={standard}"),
            "-Wall",
            "-Wextra",
            "-pedantic",
            "-Werror",
        ]);
        command.arg("-I").arg(manifest("../include")).arg("-c").arg(manifest("tests/c/header.c"));
        run(command.args(["-o", "/dev/null"]));
    };
    for standard in ["c99", "c11", "c17"] {
        check("cc", "c", standard);
    }
    for standard in ["c++11", "c++14", "c++17", "c++20"] {
        check("c++", "c++", standard);
    }
}
