//! Any text as a host's catalog: an error of one line, or a catalog that takes the same text again unchanged and whose
//! documents can be written.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use model_runtime::Clock;
use model_runtime::ManualClock;
use model_runtime::catalog::Catalog;
use model_runtime::lifecycle::{Documents, Timeline};

static BUILTIN: LazyLock<Catalog> = LazyLock::new(|| Catalog::builtin().expect("the builtin catalog reads"));

fuzz_target!(|text: &str| {
    let catalog = match BUILTIN.with_toml(text) {
        Ok(catalog) => catalog,
        Err(error) => return assert_eq!(error.to_string().lines().count(), 1, "{error}"),
    };
    assert_eq!(catalog.with_toml(text).expect("the same text again"), catalog);
    match Timeline::from_catalog(&catalog) {
        Ok(timeline) => {
            let clock = ManualClock::at("2025-02-01T00:00:00Z".parse().expect("an instant"));
            let document = Documents::at(&catalog, &timeline, clock.wall()).to_markdown();
            let written = serde_json::to_string(&timeline).expect("a timeline prints");
            let read: Timeline = serde_json::from_str(&written).expect("what was printed reads");
            assert_eq!(Documents::at(&catalog, &read, clock.wall()).to_markdown(), document);
        }
        Err(error) => assert_eq!(error.to_string().lines().count(), 1, "{error}"),
    }
});
