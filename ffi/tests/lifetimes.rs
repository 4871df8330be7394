//! The ends of handles and of the library itself: freed in every order, left behind by a fork, unloaded, twice in a process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod native;

use native::program::{How, Program, check};
use native::{library, manifest};

/// One order of freeing in five, of 720.
#[test]
fn lifetimes() {
    check("lifetimes", &How::Plain, &manifest(".."), &["5"]);
}

#[test]
fn lifetimes_sanitized() {
    check("lifetimes", &How::Sanitized, &manifest(".."), &["31"]);
}

#[test]
fn lifetimes_under_valgrind() {
    check("lifetimes", &How::Valgrind, &manifest(".."), &["143", "without forks"]);
}

/// Not under sanitizers: what a library keeps in its statics is a leak to them once it is unloaded.
#[test]
fn reload() {
    let shared = library().shared();
    let program = Program { flags: vec!["-Wl,--as-needed"], ..Program::new("reload") };
    program.check(&How::Plain, &manifest(".."), &[shared.to_str().unwrap()]);
}
