//! Sequences of management operations, each a line `OPERATION JSON`, on a runtime of their own: whatever they say, each gives
//! JSON or an error of one line, and the registry keeps its numbers.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use model_runtime::{ManualClock, ModelRuntime};

/// Operations that read no file and hash none.
const OPERATIONS: [&str; 25] = [
    "registry.create_model",
    "registry.update_model",
    "registry.delete_model",
    "registry.models",
    "registry.model",
    "registry.versions",
    "registry.pending",
    "registry.resolve",
    "registry.copy",
    "registry.set_alias",
    "registry.delete_alias",
    "registry.set_tag",
    "registry.delete_tag",
    "endpoint.updates",
    "endpoint.history",
    "endpoint.set_limits",
    "endpoint.limit_use",
    "lifecycle.revise",
    "lifecycle.revisions",
    "lifecycle.status",
    "lifecycle.model_card",
    "lifecycle.documents",
    "usage.records",
    "usage.groups",
    "usage.retiring",
];

fuzz_target!(|bytes: &[u8]| {
    let start = "2024-11-15T00:00:00Z".parse().expect("a time");
    let clock = Arc::new(ManualClock::at(start));
    let runtime = ModelRuntime::builder().clock(clock).build().expect("a runtime in memory");
    for line in bytes.split(|byte| *byte == b'\n').take(16) {
        let at = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let (operation, request) = line.split_at(at);
        let Ok(operation) = std::str::from_utf8(operation) else { continue };
        let known = OPERATIONS.contains(&operation);
        if !known && operation.contains('.') {
            continue;
        }
        match runtime.manage(operation, request) {
            Ok(json) => drop(serde_json::from_slice::<serde_json::Value>(&json).expect("JSON comes out")),
            Err(error) => assert!(!error.message().contains('\n'), "{}", error.message()),
        }
    }
});
