//! What a host does beside asking models, as JSON: registering, serving, retiring, looking up usage.
//!
//! Each operation has a name, takes an object and gives JSON. Fields are those of the types of the Rust interface; one that is
//! not known is refused by name.
//!
//! | operation | takes | gives |
//! |---|---|---|
//! | `registry.create_model` | `name`, `owner`, `comment`, `tags`, `by` | the model |
//! | `registry.update_model` | `name`, `owner`, `comment`, `by` | the model |
//! | `registry.delete_model` | `name`, `by` | |
//! | `registry.models` | | all models |
//! | `registry.model` | `name` | the model |
//! | `registry.versions` | `name` | its versions |
//! | `registry.register` | `name`, `source`, `layout`, `run_id`, `parent`, `comment`, `tags`, `by` | the version |
//! | `registry.resume` | `name`, `version`, `by` | the version, whose registration is taken up again |
//! | `registry.pending` | | versions that are being registered, or whose process died |
//! | `registry.resolve` | `uri` | the version |
//! | `registry.copy` | `source` (a URI), `name`, `by` | the copy |
//! | `registry.update_version` | `name`, `version`, `comment`, `by` | the version |
//! | `registry.delete_version` | `name`, `version`, `by` | |
//! | `registry.set_alias` | `name`, `version`, `alias` | |
//! | `registry.delete_alias` | `name`, `alias` | whether there was one |
//! | `registry.set_tag` | `name`, `version` or none, `key`, `value` | |
//! | `registry.delete_tag` | `name`, `version` or none, `key` | whether there was one |
//! | `endpoint.serve` | `name`, `offering`, `subject`, `upgrade`, `traffic_seed`, `limits`, `entities` | the endpoint |
//! | `endpoint.configure` | `name`, `entities` | the endpoint |
//! | `endpoint.publish_update` | `name`, `model`, `options`, `notes` | the record of the update |
//! | `endpoint.roll_back` | `name` | the endpoint |
//! | `endpoint.updates` | `id` | base id and updates, oldest first |
//! | `endpoint.history` | `name` | all that was ever configured, oldest first |
//! | `endpoint.measure` | `name` | how fast it is, and what it could be promised |
//! | `endpoint.provision` | `name`, `min_provisioned_throughput`, `max_provisioned_throughput` | |
//! | `endpoint.release` | `name` | |
//! | `endpoint.attainment` | `name` | what became of its reservation, or null |
//! | `endpoint.set_limits` | `name`, `limits` | |
//! | `endpoint.limit_use` | `name`, `principal` or none | each limit, and what is used and reserved of it |
//! | `lifecycle.revise` | `subject`, `offering`, `change`, `who`, `reason`, `override` | the revision |
//! | `lifecycle.revisions` | | all revisions that hosts made |
//! | `lifecycle.status` | `endpoint`, `principal` | what holds for it now, with its header strings |
//! | `lifecycle.model_card` | `name`, `principal` | the card, or null |
//! | `lifecycle.fine_tuning_models` | `principal` | models to train further |
//! | `lifecycle.documents` | `at` or none | `{"markdown"}` |
//! | `lifecycle.tell` | `principal` | tells the listener what is new |
//! | `usage.records` | `filter`, `page` | `{"records", "next"}` |
//! | `usage.groups` | `filter`, `by`, `page` | `{"groups", "next"}` |
//! | `usage.retiring` | `from`, `until` | who still uses what retires |
//! | `usage.flush` | | once everything that has ended is recorded |
//!
//! An entity of `endpoint.serve` and `endpoint.configure` is `{"keep": NAME, "traffic": 40}` or `{"model": PATH_OR_URI, "name",
//! "traffic", "options"}`, where `options` are those of [`ServeOptions`](crate::ServeOptions).

mod endpoint;
mod lifecycle;
mod registry;
mod serve_options;
mod usage;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::runtime::ModelRuntime;

impl ModelRuntime {
    /// Does the [operation](crate::management) of this name: an object of JSON goes in (none stands for an empty one), JSON
    /// comes out, `null` where there is nothing to say.
    ///
    /// ```
    /// let runtime = model_runtime::ModelRuntime::builder().build()?;
    /// runtime.manage("registry.create_model", br#"{"name": "main.chat.assistant", "comment": "answers"}"#)?;
    /// let models = runtime.manage("registry.models", b"")?;
    /// assert!(String::from_utf8_lossy(&models).contains("main.chat.assistant"));
    /// # Ok::<(), model_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    /// An operation that does not exist, JSON that is none, fields that are missing, unknown or wrong, and what the
    /// operation itself may fail with.
    pub fn manage(&self, operation: &str, request: &[u8]) -> Result<Vec<u8>> {
        let request: &[u8] = if request.trim_ascii().is_empty() { b"{}" } else { request };
        let (room, name) = operation.split_once('.').unwrap_or_default();
        let done = match room {
            "registry" => registry::manage(self, name, request),
            "endpoint" => endpoint::manage(self, name, request),
            "lifecycle" => lifecycle::manage(self, name, request),
            "usage" => usage::manage(self, name, request),
            _ => None,
        };
        let unknown = || {
            let rooms =
                [registry::OPERATIONS, endpoint::OPERATIONS, lifecycle::OPERATIONS, usage::OPERATIONS];
            let known: Vec<&str> = rooms.concat();
            let message = format!("there is no operation {operation:?}; accepted are {}", known.join(", "));
            Err(Error::new(ErrorKind::NotFound, message).with_param("operation"))
        };
        let value = done.unwrap_or_else(unknown)?;
        serde_json::to_vec(&value).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
    }
}

/// Reads the request of an operation.
fn read<T: DeserializeOwned>(request: &[u8]) -> Result<T> {
    serde_json::from_slice(request)
        .map_err(|error| Error::invalid("request", format!("the request is not accepted: {error}")))
}

/// What an operation gives.
fn give<T: Serialize>(value: T) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
}
