//! Planning and loading: what kind of model it is, what it would cost, and its engine.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::ModelRuntime;
use super::adapters;
use super::embedding::{self, EmbeddingEntity};
use super::endpoint::EndpointOptions;
use super::entity::{Entity, Recipe, Served, default_name};
use super::generation::{self, GenerationEntity};
use super::identity::{Identified, Located};
use super::memory::Reservation;
use super::options::{BackendChoice, ModelSource, ServeOptions};
use super::plan::LoadPlan;
use crate::backend::Backend;
#[cfg(feature = "candle")]
use crate::backend::candle::CandleBackend;
use crate::backend::cpu::{Affinity, CpuBackend};
use crate::catalog::{Catalog, Offering, Subject};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::fairness::{Gate, Share};
use crate::models::{AdapterSources, CausalSources, EncoderSources, SentenceConfig, Task};
use crate::weights::{Checkpoint, LoadProgress};

/// A model that is to be loaded.
pub(super) struct Order<'a> {
    /// For the endpoint of this name.
    pub(super) endpoint: &'a str,
    /// What it is called there; by where it comes from, if nothing is said.
    pub(super) name: Option<String>,
    pub(super) source: ModelSource,
    pub(super) options: ServeOptions,
    pub(super) naming: Naming<'a>,
}

/// What decides what responses are called.
pub(super) enum Naming<'a> {
    /// The options.
    Options,
    /// What they were called before, if the model is still the same.
    Before(&'a Recipe),
    /// Something that is known once it is loaded.
    Later,
}

/// A model that is loaded and not served yet.
pub(super) struct Loaded {
    pub(super) name: String,
    pub(super) identified: Identified,
    version: String,
    source: ModelSource,
    options: ServeOptions,
    model: Model,
}

enum Model {
    Generation(Box<GenerationEntity>),
    Embedding(Box<EmbeddingEntity>),
}

impl Loaded {
    pub(super) fn task(&self) -> Task {
        match &self.model {
            Model::Generation(_) => Task::Generation,
            Model::Embedding(_) => Task::Embedding,
        }
    }

    /// Gives its responses another id.
    pub(super) fn rename(&mut self, version: String) {
        match &mut self.model {
            Model::Generation(entity) => entity.rename(version.clone()),
            Model::Embedding(entity) => entity.rename(version.clone()),
        }
        self.version = version;
    }

    /// The entity that it is from now on, in an endpoint that is offered as `offer` says.
    pub(super) fn into_entity(
        self,
        catalog: &Catalog,
        endpoint: &str,
        offer: &EndpointOptions,
    ) -> Arc<Entity> {
        let subjects = self.subjects(catalog, endpoint, offer);
        let Self { name, identified, version, source, options, model } = self;
        let served = match model {
            Model::Generation(entity) => Served::Generation(Arc::from(entity)),
            Model::Embedding(entity) => Served::Embedding(Arc::from(entity)),
        };
        let recipe = Arc::new(Recipe::new(name, identified, version, source, options, subjects));
        Arc::new(Entity { recipe, served })
    }

    /// Whose life the model shares, and what that is part of.
    fn subjects(&self, catalog: &Catalog, endpoint: &str, offer: &EndpointOptions) -> Vec<Subject> {
        if let Some(subject) = &offer.subject {
            return vec![subject.clone()];
        }
        let hosted = catalog.endpoint(endpoint).filter(|_| offer.offering == Offering::PayPerToken);
        if let Some(model) = hosted {
            return vec![Subject::model(&model.name)];
        }
        match (&self.identified.registered, &self.options.base_id) {
            (Some(id), _) => {
                let version = format!("{}/{}", id.name, id.version);
                vec![Subject::version(version), Subject::model(id.name.as_str())]
            }
            (None, Some(base)) => vec![Subject::version(&self.version), Subject::model(base)],
            (None, None) => vec![Subject::model(&self.version)],
        }
    }
}

impl ModelRuntime {
    /// What serving a model would cost. Reads headers only.
    ///
    /// # Errors
    /// A model that cannot be served, or that does not fit the memory budget: the error names the largest context
    /// that would.
    pub fn plan(&self, model: impl Into<ModelSource>, options: &ServeOptions) -> Result<LoadPlan> {
        let located = model.into().locate(&self.inner.registry)?;
        let checkpoint = Checkpoint::open(located.path())?;
        let available = self.inner.budget.available();
        match &options.backend {
            BackendChoice::Cpu(cpu) => {
                cpu.validate()?;
                // A plan computes nothing: no threads for it.
                let backend = CpuBackend::new(cpu.clone().threads(1).affinity(Affinity::None))?;
                plan(&checkpoint, &backend, options, available)
            }
            #[cfg(feature = "candle")]
            BackendChoice::Candle => plan(&checkpoint, &CandleBackend::cpu(), options, available),
        }
    }

    /// Loads a model that is to be served.
    pub(super) fn load(&self, order: Order<'_>) -> Result<Loaded> {
        let located = order.source.locate(&self.inner.registry)?;
        let checkpoint = Checkpoint::open(located.path())?;
        match order.options.backend.clone() {
            BackendChoice::Cpu(cpu) => self.load_on(CpuBackend::new(cpu)?, &located, &checkpoint, order),
            #[cfg(feature = "candle")]
            BackendChoice::Candle => self.load_on(CandleBackend::cpu(), &located, &checkpoint, order),
        }
    }

    /// Takes what the load needs from the memory budget, then loads.
    fn load_on<B: Backend>(
        &self,
        backend: B,
        located: &Located,
        checkpoint: &Checkpoint,
        order: Order<'_>,
    ) -> Result<Loaded> {
        let Order { endpoint, name, source, mut options, naming } = order;
        if options.version.as_ref().is_some_and(|version| version.trim().is_empty()) {
            return Err(Error::invalid("version", "version is empty; give it a name or leave it out"));
        }
        let (plan, memory) = self.inner.budget.reserve(|available| {
            let plan = plan(checkpoint, &backend, &options, available)?;
            Ok((plan, plan.total_bytes()))
        })?;
        let mut heard = options.progress.take();
        let mut report = |progress: LoadProgress| match &mut heard {
            Some(heard) => heard(progress),
            None => ControlFlow::Continue(()),
        };
        let identified = located.identify(&self.inner.registry, checkpoint, &options, &mut report)?;
        let version = self.version(&naming, &identified, &options)?;
        let again = options.again();
        let clock = Arc::clone(&self.inner.clock);
        let load = Load {
            name: endpoint,
            version: version.clone(),
            checkpoint,
            plan,
            memory,
            options,
            progress: &mut report,
            clock,
            gate: self.inner.machine.join(Share::BestEffort)?,
        };
        let model = match Task::of(checkpoint)? {
            Task::Generation => Model::Generation(Box::new(GenerationEntity::load(backend, load)?)),
            Task::Embedding => Model::Embedding(Box::new(EmbeddingEntity::load(backend, load)?)),
        };
        // Its version says what its files were; they must have been that to the last byte.
        checkpoint.check_unchanged()?;
        let name = name.unwrap_or_else(|| default_name(&identified));
        Ok(Loaded { name, identified, version, source, options: again, model })
    }

    /// What responses of a model are called.
    fn version(
        &self,
        naming: &Naming<'_>,
        identified: &Identified,
        options: &ServeOptions,
    ) -> Result<String> {
        match (naming, &options.base_id, &options.version) {
            (Naming::Before(recipe), _, _) => {
                if recipe.identified != *identified {
                    let (was, is) = (recipe.identified.record(), identified.record());
                    let message = format!("`{}` was {was} and its files are now {is}", recipe.version);
                    return Err(Error::new(ErrorKind::Conflict, message).with_param("model"));
                }
                Ok(recipe.version.clone())
            }
            (Naming::Later, _, _) => Ok(identified.default_version()),
            (Naming::Options, Some(_), Some(_)) => {
                let message = "version is accepted only without base_id, which decides what responses name";
                Err(Error::invalid("version", message))
            }
            (Naming::Options, Some(base), None) => self.inner.updates.name(base, &identified.record()),
            (Naming::Options, None, Some(version)) => Ok(version.clone()),
            (Naming::Options, None, None) => Ok(identified.default_version()),
        }
    }
}

/// A load whose plan was accepted.
pub(super) struct Load<'a> {
    /// The endpoint's name.
    pub(super) name: &'a str,
    /// What responses are called.
    pub(super) version: String,
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) plan: LoadPlan,
    pub(super) memory: Reservation,
    pub(super) options: ServeOptions,
    pub(super) progress: &'a mut dyn FnMut(LoadProgress) -> ControlFlow<()>,
    pub(super) clock: Arc<dyn Clock>,
    /// Where its engine asks for the machine.
    pub(super) gate: Gate,
}

/// Plans a load and checks the options that its engine will be started with.
fn plan<B: Backend>(
    checkpoint: &Checkpoint,
    backend: &B,
    options: &ServeOptions,
    available: Option<u64>,
) -> Result<LoadPlan> {
    match Task::of(checkpoint)? {
        Task::Generation => {
            let sources = CausalSources::resolve(checkpoint)?;
            adapters::check_names(options.adapters.iter().map(|(name, _)| name.as_str()))?;
            let adapter_bytes = options.adapters.iter().try_fold(0u64, |sum, (_, path)| {
                let checkpoint = Checkpoint::open_adapter(path)?;
                let sources = AdapterSources::resolve(&checkpoint, &sources.adaptable())?;
                Ok::<_, Error>(sum.saturating_add(sources.bytes(backend)?))
            })?;
            let plan = LoadPlan::of_causal(&sources, backend, options, adapter_bytes, available)?;
            generation::engine_options(options, &plan).validate()?;
            Ok(plan)
        }
        Task::Embedding => {
            let sources = EncoderSources::resolve(checkpoint)?;
            let sentence = SentenceConfig::from_checkpoint(checkpoint, &sources.shape())?;
            let plan = LoadPlan::of_encoder(&sources, &sentence, backend, options, available)?;
            embedding::engine_options(options, &plan).validate()?;
            Ok(plan)
        }
    }
}
