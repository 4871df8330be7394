//! Endpoints and what they serve.

use serde::Deserialize;
use serde_json::Value;

use super::serve_options::Settings;
use super::{give, read};
use crate::catalog::{Offering, Subject};
use crate::error::{Error, Result};
use crate::lifecycle::UpgradeOption;
use crate::metering::capacity::ProvisionedThroughput;
use crate::metering::limits::EndpointLimits;
use crate::runtime::{EndpointOptions, ModelRuntime, ServedModel};

pub(super) const OPERATIONS: &[&str] = &[
    "endpoint.serve",
    "endpoint.configure",
    "endpoint.publish_update",
    "endpoint.roll_back",
    "endpoint.updates",
    "endpoint.history",
    "endpoint.measure",
    "endpoint.provision",
    "endpoint.release",
    "endpoint.attainment",
    "endpoint.set_limits",
    "endpoint.limit_use",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entity {
    keep: Option<String>,
    model: Option<String>,
    name: Option<String>,
    #[serde(default = "all")]
    traffic: u8,
    options: Option<Settings>,
}

fn all() -> u8 {
    100
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Serve {
    name: String,
    offering: Option<Offering>,
    subject: Option<Subject>,
    #[serde(default)]
    upgrade: UpgradeOption,
    #[serde(default)]
    traffic_seed: u64,
    #[serde(default)]
    limits: EndpointLimits,
    entities: Vec<Entity>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Configure {
    name: String,
    entities: Vec<Entity>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishUpdate {
    name: String,
    model: String,
    #[serde(default)]
    options: Settings,
    #[serde(default)]
    notes: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Provision {
    name: String,
    min_provisioned_throughput: u64,
    max_provisioned_throughput: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Updates {
    id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetLimits {
    name: String,
    limits: EndpointLimits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitUse {
    name: String,
    principal: Option<String>,
}

impl Entity {
    fn model(self) -> Result<ServedModel> {
        let Self { keep, model, name, traffic, options } = self;
        let served = match (keep, model, name, options) {
            (Some(keep), None, None, None) => ServedModel::keep(keep),
            (None, Some(model), name, options) => {
                let served = ServedModel::load(model, options.unwrap_or_default().options()?);
                match name {
                    Some(name) => served.named(name),
                    None => served,
                }
            }
            _ => {
                let message = "an entity has either `keep`, with `traffic`, or `model`, with `name`, `traffic` and `options`";
                return Err(Error::invalid("entities", message));
            }
        };
        Ok(served.traffic(traffic))
    }
}

fn models(entities: Vec<Entity>) -> Result<Vec<ServedModel>> {
    entities.into_iter().map(Entity::model).collect()
}

pub(super) fn manage(runtime: &ModelRuntime, name: &str, request: &[u8]) -> Option<Result<Value>> {
    let operation = match name {
        "serve" => serve,
        "configure" => configure,
        "publish_update" => publish_update,
        "roll_back" => {
            |runtime: &ModelRuntime, request: &[u8]| give(runtime.roll_back(&read::<Named>(request)?.name)?)
        }
        "updates" => |runtime: &ModelRuntime, request: &[u8]| {
            give(runtime.update_history(&read::<Updates>(request)?.id)?)
        },
        "history" => |runtime: &ModelRuntime, request: &[u8]| {
            give(runtime.endpoint_history(&read::<Named>(request)?.name)?)
        },
        "measure" => |runtime: &ModelRuntime, request: &[u8]| {
            give(runtime.measure_capacity(&read::<Named>(request)?.name)?)
        },
        "provision" => |runtime: &ModelRuntime, request: &[u8]| {
            let Provision { name, min_provisioned_throughput: min, max_provisioned_throughput: max } =
                read(request)?;
            runtime.provision(&name, ProvisionedThroughput { min, max })?;
            Ok(Value::Null)
        },
        "release" => |runtime: &ModelRuntime, request: &[u8]| {
            runtime.release(&read::<Named>(request)?.name)?;
            Ok(Value::Null)
        },
        "attainment" => {
            |runtime: &ModelRuntime, request: &[u8]| give(runtime.attainment(&read::<Named>(request)?.name)?)
        }
        "set_limits" => |runtime: &ModelRuntime, request: &[u8]| {
            let SetLimits { name, limits } = read(request)?;
            runtime.set_limits(&name, limits)?;
            Ok(Value::Null)
        },
        "limit_use" => |runtime: &ModelRuntime, request: &[u8]| {
            let LimitUse { name, principal } = read(request)?;
            give(runtime.limit_use(&name, principal.as_deref())?)
        },
        _ => return None,
    };
    Some(operation(runtime, request))
}

fn serve(runtime: &ModelRuntime, request: &[u8]) -> Result<Value> {
    let Serve { name, offering, subject, upgrade, traffic_seed, limits, entities } = read(request)?;
    let mut options = EndpointOptions::default().upgrade(upgrade).traffic_seed(traffic_seed).limits(limits);
    if let Some(offering) = offering {
        options = options.offering(offering);
    }
    options.subject = subject;
    give(runtime.serve_endpoint(&name, options, models(entities)?)?)
}

fn configure(runtime: &ModelRuntime, request: &[u8]) -> Result<Value> {
    let Configure { name, entities } = read(request)?;
    give(runtime.configure(&name, models(entities)?)?)
}

fn publish_update(runtime: &ModelRuntime, request: &[u8]) -> Result<Value> {
    let PublishUpdate { name, model, options, notes } = read(request)?;
    give(runtime.publish_update(&name, model, options.options()?, &notes)?)
}
