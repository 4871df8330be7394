//! Registered models, versions, aliases and tags.

use std::ops::ControlFlow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::{give, read};
use crate::error::Result;
use crate::registry::{ModelChange, ModelName, ModelUri, NewModel, NewVersion, Tags, VersionId};
use crate::runtime::ModelRuntime;

pub(super) const OPERATIONS: &[&str] = &[
    "registry.create_model",
    "registry.update_model",
    "registry.delete_model",
    "registry.models",
    "registry.model",
    "registry.versions",
    "registry.register",
    "registry.resume",
    "registry.pending",
    "registry.resolve",
    "registry.copy",
    "registry.update_version",
    "registry.delete_version",
    "registry.set_alias",
    "registry.delete_alias",
    "registry.set_tag",
    "registry.delete_tag",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct None {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateModel {
    name: ModelName,
    owner: Option<String>,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    tags: Tags,
    #[serde(default)]
    by: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateModel {
    name: ModelName,
    owner: Option<String>,
    comment: Option<String>,
    #[serde(default)]
    by: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: ModelName,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedBy {
    name: ModelName,
    #[serde(default)]
    by: String,
}

#[derive(Deserialize)]
struct Register {
    name: ModelName,
    #[serde(default)]
    by: String,
    #[serde(flatten)]
    new: NewVersion,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfVersion {
    name: ModelName,
    version: u64,
    #[serde(default)]
    by: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateVersion {
    name: ModelName,
    version: u64,
    comment: String,
    #[serde(default)]
    by: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resolve {
    uri: ModelUri,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Copy {
    source: ModelUri,
    name: ModelName,
    #[serde(default)]
    by: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetAlias {
    name: ModelName,
    version: u64,
    alias: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteAlias {
    name: ModelName,
    alias: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetTag {
    name: ModelName,
    version: Option<u64>,
    key: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteTag {
    name: ModelName,
    version: Option<u64>,
    key: String,
}

pub(super) fn manage(runtime: &ModelRuntime, name: &str, request: &[u8]) -> Option<Result<Value>> {
    Some(match name {
        "create_model" | "update_model" | "delete_model" | "models" | "model" => {
            models(runtime, name, request)
        }
        "set_alias" | "delete_alias" | "set_tag" | "delete_tag" => names(runtime, name, request),
        "versions" | "register" | "resume" | "pending" | "resolve" | "copy" | "update_version"
        | "delete_version" => versions(runtime, name, request),
        _ => return Option::None,
    })
}

/// What stands behind counted references.
fn list<T>(items: &[Arc<T>]) -> Vec<&T> {
    items.iter().map(|item| &**item).collect()
}

fn models(runtime: &ModelRuntime, name: &str, request: &[u8]) -> Result<Value> {
    let registry = runtime.registry();
    match name {
        "create_model" => {
            let CreateModel { name, owner, comment, tags, by } = read(request)?;
            let new = NewModel { owner, comment, tags };
            registry.create_model(&name, &new, &by)?;
            give(&*registry.model(&name)?)
        }
        "update_model" => {
            let UpdateModel { name, owner, comment, by } = read(request)?;
            registry.update_model(&name, &ModelChange { owner, comment }, &by)?;
            give(&*registry.model(&name)?)
        }
        "delete_model" => {
            let NamedBy { name, by } = read(request)?;
            registry.delete_model(&name, &by)?;
            Ok(Value::Null)
        }
        "models" => {
            let None {} = read(request)?;
            give(list(&registry.models()?))
        }
        _ => give(&*registry.model(&read::<Named>(request)?.name)?),
    }
}

fn versions(runtime: &ModelRuntime, name: &str, request: &[u8]) -> Result<Value> {
    let registry = runtime.registry();
    let silent = &mut |_| ControlFlow::Continue(());
    match name {
        "versions" => give(list(&registry.versions(&read::<Named>(request)?.name)?)),
        "register" => {
            let Register { name, by, new } = read(request)?;
            give(&*registry.register(&name, &new, &by, silent)?)
        }
        "resume" => {
            let OfVersion { name, version, by } = read(request)?;
            let registration = registry.resume_version(&VersionId::new(name, version))?;
            give(&*registry.finish_version(registration, &by, silent)?)
        }
        "pending" => {
            let None {} = read(request)?;
            give(registry.pending_versions()?)
        }
        "resolve" => give(&*registry.resolve(&read::<Resolve>(request)?.uri)?),
        "copy" => {
            let Copy { source, name, by } = read(request)?;
            give(&*registry.copy_version(&source, &name, &by)?)
        }
        "update_version" => {
            let UpdateVersion { name, version, comment, by } = read(request)?;
            let id = VersionId::new(name, version);
            registry.update_version(&id, &comment, &by)?;
            give(&*registry.version(&id)?)
        }
        _ => {
            let OfVersion { name, version, by } = read(request)?;
            registry.delete_version(&VersionId::new(name, version), &by)?;
            Ok(Value::Null)
        }
    }
}

fn names(runtime: &ModelRuntime, name: &str, request: &[u8]) -> Result<Value> {
    let registry = runtime.registry();
    match name {
        "set_alias" => {
            let SetAlias { name, version, alias } = read(request)?;
            registry.set_alias(&VersionId::new(name, version), &alias)?;
            Ok(Value::Null)
        }
        "delete_alias" => {
            let DeleteAlias { name, alias } = read(request)?;
            give(registry.delete_alias(&name, &alias)?)
        }
        "set_tag" => {
            let SetTag { name, version, key, value } = read(request)?;
            match version {
                Some(version) => registry.set_version_tag(&VersionId::new(name, version), &key, &value)?,
                Option::None => registry.set_model_tag(&name, &key, &value)?,
            }
            Ok(Value::Null)
        }
        _ => {
            let DeleteTag { name, version, key } = read(request)?;
            give(match version {
                Some(version) => registry.delete_version_tag(&VersionId::new(name, version), &key)?,
                Option::None => registry.delete_model_tag(&name, &key)?,
            })
        }
    }
}
