//! A served entity: one loaded model behind an endpoint.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use super::embedding::EmbeddingEntity;
use super::generation::GenerationEntity;
use super::identity::Identified;
use super::info::EndpointInfo;
use super::options::{ModelSource, ServeOptions};
use super::stats::EndpointStats;
use crate::catalog::{self, Subject};
use crate::error::{Error, Result};
use crate::fairness::MemberId;
use crate::models::Task;

/// A loaded model with its engine.
#[derive(Clone)]
pub(super) enum Served {
    Generation(Arc<GenerationEntity>),
    Embedding(Arc<EmbeddingEntity>),
}

/// What an endpoint serves under a name of its own.
pub(super) struct Entity {
    pub(super) recipe: Arc<Recipe>,
    pub(super) served: Served,
}

/// Which model an entity is and how it was loaded: enough to load it again.
pub(super) struct Recipe {
    /// The entity's name within its endpoint.
    pub(super) name: String,
    pub(super) identified: Identified,
    /// The id that its responses bear.
    pub(super) version: String,
    /// The id under which it is updated.
    pub(super) base_id: Option<String>,
    pub(super) source: ModelSource,
    /// Under a lock only because options may hold somebody who hears of progress, whom one thread calls at a time.
    options: Mutex<ServeOptions>,
    /// Whose life it shares, and what that is part of.
    pub(super) subjects: Vec<Subject>,
}

impl Recipe {
    pub(super) fn new(
        name: String,
        identified: Identified,
        version: String,
        source: ModelSource,
        options: ServeOptions,
        subjects: Vec<Subject>,
    ) -> Self {
        let base_id = options.base_id.clone();
        Self { name, identified, version, base_id, source, options: Mutex::new(options), subjects }
    }

    /// How to load it again.
    pub(super) fn options(&self) -> ServeOptions {
        self.options.lock().again()
    }
}

impl Entity {
    pub(super) fn name(&self) -> &str {
        &self.recipe.name
    }

    /// Whose life it shares.
    pub(super) fn subject(&self) -> &Subject {
        &self.recipe.subjects[0]
    }

    /// What it does, in the words of the catalog; at least one thing.
    pub(super) fn tasks(&self) -> &'static [catalog::Task] {
        match (self.served.task(), self.served.info().chat) {
            (Task::Generation, true) => &[catalog::Task::Chat, catalog::Task::Completion],
            (Task::Generation, false) => &[catalog::Task::Completion],
            (Task::Embedding, _) => &[catalog::Task::Embedding],
        }
    }
}

impl Served {
    /// What it serves, without its adapters.
    pub(super) fn info(&self) -> &EndpointInfo {
        match self {
            Self::Generation(entity) => entity.info(),
            Self::Embedding(entity) => entity.info(),
        }
    }

    /// What it serves, for callers.
    pub(super) fn describe(&self) -> EndpointInfo {
        let adapters = match self {
            Self::Generation(entity) => entity.adapter_infos(),
            Self::Embedding(_) => Vec::new(),
        };
        EndpointInfo { adapters, ..self.info().clone() }
    }

    /// Its engine among those that share the machine.
    pub(super) fn member(&self) -> MemberId {
        match self {
            Self::Generation(entity) => entity.member(),
            Self::Embedding(entity) => entity.member(),
        }
    }

    pub(super) fn task(&self) -> Task {
        self.info().task
    }

    /// The numbers of its engine.
    pub(super) fn stats(&self) -> EndpointStats {
        let EndpointInfo { name, version, .. } = self.info().clone();
        let (engine, embedding) = match self {
            Self::Generation(entity) => (Some(entity.engine().stats()), None),
            Self::Embedding(entity) => (None, Some(entity.engine().stats())),
        };
        EndpointStats { name, version, engine, embedding, entities: Default::default() }
    }

    /// The model, to generate; `asked` is what the request wants.
    pub(super) fn generation(&self, asked: &str) -> Result<&Arc<GenerationEntity>> {
        match self {
            Self::Generation(entity) => Ok(entity),
            Self::Embedding(entity) => Err(entity.info().wrong_task(asked)),
        }
    }

    /// The model, to embed.
    pub(super) fn embedding(&self) -> Result<&Arc<EmbeddingEntity>> {
        match self {
            Self::Embedding(entity) => Ok(entity),
            Self::Generation(entity) => Err(entity.info().wrong_task("embeddings")),
        }
    }

    /// Refuses what the model does not do.
    pub(super) fn expect(&self, task: catalog::Task) -> Result<()> {
        match task {
            catalog::Task::Chat => self.generation("chat").map(drop),
            catalog::Task::Completion => self.generation("completions").map(drop),
            catalog::Task::Embedding => self.embedding().map(drop),
        }
    }

    /// Ends every request at once.
    pub(super) fn shutdown(&self) {
        match self {
            Self::Generation(entity) => entity.engine().shutdown(),
            Self::Embedding(entity) => entity.engine().shutdown(),
        }
    }

    /// Takes no more requests; what runs goes on to its end, then the model is given back.
    pub(super) fn drain(&self) {
        match self {
            Self::Generation(entity) => entity.engine().drain(),
            Self::Embedding(entity) => entity.engine().drain(),
        }
    }

    /// Whether it was drained and has given its model back.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Generation(entity) => entity.engine().is_over(),
            Self::Embedding(entity) => entity.engine().is_over(),
        }
    }
}

/// What callers are told about a served entity.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EntityInfo {
    /// Its name within the endpoint.
    pub name: String,
    /// The exact version that answers.
    pub version: String,
    /// The registered version that was loaded, as `NAME/VERSION`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered: Option<String>,
    /// The share of the endpoint's requests that it gets, in percent.
    pub traffic: u8,
}

/// The name that an entity gets when nobody names it: what it was loaded from, with `-` for what names may not have.
pub(super) fn default_name(identified: &Identified) -> String {
    let accepted = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' };
    identified.default_name().chars().map(accepted).collect()
}

/// Refuses a name that could not stand in an address.
pub(super) fn check_name(name: &str) -> Result<()> {
    let accepted = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.chars().all(accepted) {
        return Ok(());
    }
    let message = format!(
        "the served entity's name is {name:?}; accepted are letters, digits, `-` and `_`, at least one"
    );
    Err(Error::invalid("entity", message))
}
