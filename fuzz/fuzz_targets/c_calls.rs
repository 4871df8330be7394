//! Calls of the C interface in any order, on handles and texts of any kind. What is promised of each call is checked, and leaks and
//! misuse of memory are what the sanitizer sees.
#![no_main]

use std::sync::LazyLock;

use capi::sequences::Bench;
use libfuzzer_sys::fuzz_target;

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let path = |name: &str| format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"));
    Bench::new(&path("examples/models/stories260K"), &path("tests/data/tiny/new_gte"))
});

fuzz_target!(|bytes: &[u8]| {
    BENCH.run(bytes);
    assert!(BENCH.is_even(), "user data is given back when its request is freed");
});
