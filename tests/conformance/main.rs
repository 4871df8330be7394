//! The suite that every language runs, natively, and the comparison of what they answer. See the README of this folder.
//!
//!   cargo test --test conformance                                   runs the cases and checks what is expected of them
//!   cargo test --test conformance -- --write FILE                   ... and writes the results
//!   cargo test --test conformance -- --compare c=FILE java=FILE     ... and compares others with them

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod case;
mod compare;
mod expect;
mod run;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::process::ExitCode;

use serde_json::{Value, json};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match suite() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn suite() -> Outcome<bool> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let root = env!("CARGO_MANIFEST_DIR");
    let scratch = tempfile::tempdir()?;
    let written = fs::read_to_string(format!("{root}/tests/conformance/cases.json"))?;
    let cases = case::read(&written, root, scratch.path().to_str().ok_or("a folder that is no text")?)?;
    let mut good = true;
    let mut native = BTreeMap::new();
    let mut lines = String::new();
    for case in &cases {
        let results = run::case(case).map_err(|error| format!("{}: {error}", case.name))?;
        for (index, (step, result)) in case.steps.iter().zip(&results).enumerate() {
            let earlier = &results[..index];
            if let Some(what) =
                step.expect.as_ref().and_then(|expected| expect::differs(expected, result, earlier))
            {
                eprintln!("{}, step {index}: {what}", case.name);
                good = false;
            }
        }
        writeln!(lines, "{}", json!({ "case": case.name, "results": results }))?;
        if native.insert(case.name.clone(), results).is_some() {
            return Err(format!("two cases are named {}", case.name).into());
        }
    }
    let steps: usize = native.values().map(Vec::len).sum();
    println!("{} cases, {steps} steps", cases.len());
    match arguments.split_first() {
        Some((flag, files)) if flag == "--write" => {
            fs::write(files.first().ok_or("--write takes a file")?, lines)?;
        }
        Some((flag, files)) if flag == "--compare" => good &= compared(&cases, &native, files)?,
        _ => {}
    }
    Ok(good)
}

fn compared(cases: &[case::Case], native: &BTreeMap<String, Vec<Value>>, files: &[String]) -> Outcome<bool> {
    let mut languages = Vec::new();
    for file in files {
        let (language, path) = file.split_once('=').ok_or("--compare takes LANGUAGE=FILE")?;
        let results = compare::read(&fs::read_to_string(path)?)?;
        languages.push((language.to_owned(), results));
    }
    compare::table(cases, native, &languages)
}
