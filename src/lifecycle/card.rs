//! What is shown about a model before it is used: its card, and the list of models to train further.

use jiff::Timestamp;
use serde::Serialize;

use super::state::State;
use super::status::{Principal, Status};
use super::timeline::Timeline;
use crate::catalog::{Architecture, Catalog, License, Note, Offering, Subject, Task};

/// The card of a model offered by the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ModelCard {
    /// The canonical name.
    pub name: String,
    /// What it does.
    pub task: Task,
    /// The preconfigured endpoint.
    pub endpoint: Option<String>,
    /// The family.
    pub family: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// The most tokens of prompt and answer together, where known.
    pub context_length: Option<u64>,
    /// For embeddings: whether vectors have unit length.
    pub normalized_embeddings: Option<bool>,
    /// The licence, with what its users must be told.
    pub license: Option<License>,
    /// Sentences about it that are said on this day.
    pub notes: Vec<String>,
    /// The architectures under which it can be deployed with reserved capacity, which no retirement ends.
    pub provisioned_as: Vec<String>,
    /// What is to be heeded; empty while the model is active.
    pub warnings: Vec<String>,
    /// All about its life.
    pub status: Status,
}

/// A model that can be trained further, in the list to choose from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FineTuningListing {
    /// The name to choose.
    pub name: String,
    /// The most tokens of one training example.
    pub max_context_length: u64,
    /// The licence, with what its users must be told.
    pub license: Option<License>,
    /// What is to be heeded; empty while the model is active.
    pub warnings: Vec<String>,
    /// All about its life.
    pub status: Status,
}

/// The card at `now` of the model with this name, alias or endpoint; none if the catalog has no such model.
pub fn model_card(
    catalog: &Catalog,
    timeline: &Timeline,
    name: &str,
    principal: &Principal,
    now: Timestamp,
) -> Option<ModelCard> {
    let model = catalog.endpoint(name).or_else(|| catalog.model(name))?;
    let status =
        timeline.status(&Subject::model(&model.name), Offering::PayPerToken, model.task, principal, now);
    let family = model.family.as_deref();
    let lineage = family.map(|family| catalog.lineage(family)).unwrap_or_default();
    let today = catalog.policy().zone.day_of(now);
    let deploys = |entry: &&Architecture| {
        let of_family =
            entry.family.as_ref().is_some_and(|of| lineage.iter().any(|family| family.name == *of));
        of_family
            && entry.tasks.contains(&model.task)
            && entry.available_from.is_none_or(|from| from <= today)
    };
    Some(ModelCard {
        name: model.name.clone(),
        task: model.task,
        endpoint: model.endpoint.clone(),
        family: model.family.clone(),
        description: model.description.clone(),
        context_length: model.context_length,
        normalized_embeddings: model.normalized_embeddings,
        license: family.and_then(|family| catalog.license_of(family)).cloned(),
        notes: said(&model.notes, today),
        provisioned_as: catalog
            .architectures()
            .iter()
            .filter(deploys)
            .map(|entry| entry.name.clone())
            .collect(),
        warnings: status.model_card_warning().into_iter().collect(),
        status,
    })
}

/// The models that can be chosen for training at `now`, in the order of the catalog. Retired ones are not in it.
pub fn fine_tuning_list(
    catalog: &Catalog,
    timeline: &Timeline,
    principal: &Principal,
    now: Timestamp,
) -> Vec<FineTuningListing> {
    let mut list = Vec::new();
    for model in catalog.fine_tuning_models() {
        let subject = Subject::model(&model.name);
        let status = timeline.status(&subject, Offering::FineTuning, Task::Chat, principal, now);
        if status.state == State::Planned || status.state.is_retired() {
            continue;
        }
        let license = model.family.as_deref().and_then(|family| catalog.license_of(family));
        list.push(FineTuningListing {
            name: model.name.clone(),
            max_context_length: model.context_length,
            license: license.cloned(),
            warnings: status.fine_tuning_list_warning().into_iter().collect(),
            status,
        });
    }
    list
}

fn said(notes: &[Note], today: jiff::civil::Date) -> Vec<String> {
    notes.iter().filter(|note| note.is_said_on(today)).map(|note| note.text.clone()).collect()
}
