//! Callers that do everything wrong, and many threads at once: C programs of `tests/c`, as they are, under sanitizers and
//! under valgrind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod native;

use native::manifest;
use native::program::{How, check};

fn program(name: &str, how: &How) {
    check(name, how, &manifest(".."), &[]);
}

#[test]
fn arguments() {
    program("hostile_arguments", &How::Plain);
}

#[test]
fn arguments_sanitized() {
    program("hostile_arguments", &How::Sanitized);
}

#[test]
#[ignore = "a minute or more: `.ci/run valgrind`"]
fn arguments_under_valgrind() {
    program("hostile_arguments", &How::Valgrind);
}

#[test]
fn handles() {
    program("hostile_handles", &How::Plain);
}

#[test]
fn handles_sanitized() {
    program("hostile_handles", &How::Sanitized);
}

#[test]
fn handles_under_valgrind() {
    program("hostile_handles", &How::Valgrind);
}

#[test]
fn options() {
    program("hostile_options", &How::Plain);
}

#[test]
fn options_sanitized() {
    program("hostile_options", &How::Sanitized);
}

#[test]
#[ignore = "a minute or more: `.ci/run valgrind`"]
fn options_under_valgrind() {
    program("hostile_options", &How::Valgrind);
}

#[test]
fn values() {
    program("hostile_values", &How::Plain);
}

#[test]
fn values_sanitized() {
    program("hostile_values", &How::Sanitized);
}

#[test]
#[ignore = "a minute or more: `.ci/run valgrind`"]
fn values_under_valgrind() {
    program("hostile_values", &How::Valgrind);
}

#[test]
fn threads() {
    program("threads", &How::Plain);
}

#[test]
fn threads_sanitized() {
    check("threads", &How::Sanitized, &manifest(".."), &["64", "40"]);
}

#[test]
fn threads_under_thread_sanitizer() {
    check("threads", &How::Threads, &manifest(".."), &["64", "40"]);
}

/// valgrind runs one thread at a time, so a few show as much as many.
#[test]
#[ignore = "a minute or more: `.ci/run valgrind`"]
fn threads_under_valgrind() {
    check("threads", &How::Valgrind, &manifest(".."), &["8", "12"]);
}

/// A new function is called wrongly too, or this fails: one with an error is in the table of those that can fail, every
/// other one is called by hand.
#[test]
fn every_function_is_in_a_hostile_program() {
    let read = |path: &str| std::fs::read_to_string(manifest(path)).unwrap();
    let header = read("../include/model_runtime.h");
    let calls = read("tests/c/hostile_functions.h");
    let table = read("tests/c/hostile_arguments.c");
    let by_hand = read("tests/c/hostile_handles.c") + &read("tests/c/hostile_options.c");
    let symbols = read("abi/symbols.txt");
    assert!(symbols.lines().count() > 50);
    for symbol in symbols.lines() {
        let call = format!("{symbol}(");
        let (_, declared) = header.split_once(&format!("{symbol}(")).expect(symbol);
        let parameters = &declared[..declared.find(';').unwrap()];
        // A handle takes one callback, so it cannot be called again and again.
        if symbol == "mr_embeddings_notify" {
            assert!(read("tests/c/embeddings.c").contains(&call), "{symbol} is in no program");
        } else if parameters.contains("mr_error **error") {
            assert!(calls.contains(&call), "{symbol} is not in hostile_functions.h");
            assert!(table.contains(&format!("{{\"{symbol}\", ")), "{symbol} is not in hostile_arguments.c");
        } else {
            assert!(by_hand.contains(&call), "{symbol} is in no hostile program");
        }
    }
}
