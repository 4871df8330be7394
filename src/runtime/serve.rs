//! Planning and loading: what kind of model it is, what it would cost, and its engine.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::ModelRuntime;
use super::adapters;
use super::embedding::{self, EmbeddingEndpoint};
use super::endpoint::{self, Endpoint};
use super::endpoints::{Claim, Served};
use super::info::EndpointInfo;
use super::memory::Reservation;
use super::options::{BackendChoice, ModelSource, ServeOptions};
use super::plan::LoadPlan;
use crate::backend::Backend;
#[cfg(feature = "candle")]
use crate::backend::candle::CandleBackend;
use crate::backend::cpu::{Affinity, CpuBackend};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::models::{AdapterSources, CausalSources, EncoderSources, SentenceConfig, Task};
use crate::weights::{Checkpoint, LoadProgress};

impl ModelRuntime {
    /// What serving a model would cost. Reads headers only.
    ///
    /// # Errors
    /// A model that cannot be served, or that does not fit the memory budget: the error names the largest context
    /// that would.
    pub fn plan(&self, model: impl Into<ModelSource>, options: &ServeOptions) -> Result<LoadPlan> {
        let checkpoint = Checkpoint::open(model.into().path()?)?;
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

    /// Loads a model and serves it under `name`: a causal model generates, an encoder embeds. Blocks until it is ready;
    /// `options.progress` hears how far it is.
    ///
    /// # Errors
    /// A name that is empty or taken ([`ErrorKind::Conflict`](crate::ErrorKind::Conflict)), options that contradict each
    /// other or the kind of model, a model that cannot be read, is not supported or does not fit the memory budget.
    /// Nothing is left behind.
    pub fn serve(
        &self,
        name: &str,
        model: impl Into<ModelSource>,
        options: ServeOptions,
    ) -> Result<EndpointInfo> {
        let source = model.into();
        let path = source.path()?;
        if name.trim().is_empty() {
            return Err(Error::invalid("name", "the endpoint's name is empty"));
        }
        let claim = Claim::new(&self.inner.endpoints, name)?;
        let checkpoint = Checkpoint::open(path)?;
        let served = match &options.backend {
            BackendChoice::Cpu(cpu) => {
                let backend = CpuBackend::new(cpu.clone())?;
                self.load(name, &checkpoint, backend, options)?
            }
            #[cfg(feature = "candle")]
            BackendChoice::Candle => self.load(name, &checkpoint, CandleBackend::cpu(), options)?,
        };
        let info = served.describe();
        claim.fill(served);
        Ok(info)
    }

    /// Takes what the load needs from the memory budget, then loads.
    fn load<B: Backend>(
        &self,
        name: &str,
        checkpoint: &Checkpoint,
        backend: B,
        mut options: ServeOptions,
    ) -> Result<Served> {
        let (plan, memory) = self.inner.budget.reserve(|available| {
            let plan = plan(checkpoint, &backend, &options, available)?;
            Ok((plan, plan.total_bytes()))
        })?;
        let mut heard = options.progress.take();
        let mut report = |progress: LoadProgress| match &mut heard {
            Some(heard) => heard(progress),
            None => ControlFlow::Continue(()),
        };
        let clock = Arc::clone(&self.inner.clock);
        let load = Load { name, checkpoint, plan, memory, options, progress: &mut report, clock };
        Ok(match Task::of(checkpoint)? {
            Task::Generation => Served::Generation(Arc::new(Endpoint::load(backend, load)?)),
            Task::Embedding => Served::Embedding(Arc::new(EmbeddingEndpoint::load(backend, load)?)),
        })
    }
}

/// A load whose plan was accepted.
pub(super) struct Load<'a> {
    pub(super) name: &'a str,
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) plan: LoadPlan,
    pub(super) memory: Reservation,
    pub(super) options: ServeOptions,
    pub(super) progress: &'a mut dyn FnMut(LoadProgress) -> ControlFlow<()>,
    pub(super) clock: Arc<dyn Clock>,
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
            endpoint::engine_options(options, &plan).validate()?;
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
