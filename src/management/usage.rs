//! Who used what.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{give, read};
use crate::error::Result;
use crate::metering::ledger::{GroupBy, Page, UsageFilter};
use crate::runtime::ModelRuntime;

pub(super) const OPERATIONS: &[&str] = &["usage.records", "usage.groups", "usage.retiring", "usage.flush"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Records {
    #[serde(default)]
    filter: UsageFilter,
    #[serde(default)]
    page: Page,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Groups {
    #[serde(default)]
    filter: UsageFilter,
    by: Vec<GroupBy>,
    #[serde(default)]
    page: Page,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Between {
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

pub(super) fn manage(runtime: &ModelRuntime, name: &str, request: &[u8]) -> Option<Result<Value>> {
    let operation = match name {
        "records" => |runtime: &ModelRuntime, request: &[u8]| {
            let Records { filter, page } = read(request)?;
            give(runtime.usage(&filter, page)?)
        },
        "groups" => |runtime: &ModelRuntime, request: &[u8]| {
            let Groups { filter, by, page } = read(request)?;
            give(runtime.usage_by(&filter, &by, page)?)
        },
        "retiring" => |runtime: &ModelRuntime, request: &[u8]| {
            let Between { from, until } = read(request)?;
            give(runtime.retiring_usage(from, until)?)
        },
        "flush" => |runtime: &ModelRuntime, request: &[u8]| {
            let Nothing {} = read(request)?;
            runtime.flush_usage()?;
            Ok(Value::Null)
        },
        _ => return None,
    };
    Some(operation(runtime, request))
}
