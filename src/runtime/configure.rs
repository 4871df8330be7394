//! What endpoints serve, and how that changes while they answer.

use std::sync::Arc;

use super::ModelRuntime;
use super::endpoint::{self, Configuration, Endpoint, EndpointOptions, Past, ServedModel, Wanted};
use super::endpoints::Claim;
use super::entity::{Entity, Recipe};
use super::info::EndpointInfo;
use super::options::{ModelSource, ServeOptions};
use super::serve::{Loaded, Naming, Order};
use crate::error::{Error, ErrorKind, Result};
use crate::lifecycle::UpdateRecord;
use crate::registry::EndpointConfiguration;

impl ModelRuntime {
    /// Loads a model and serves it under `name`: a causal model generates, an encoder embeds. Blocks until it is ready;
    /// `options.progress` hears how far it is.
    ///
    /// # Errors
    /// A name that is empty or taken ([`ErrorKind::Conflict`]), options that contradict each other or the kind of model, a
    /// model that cannot be read, is not supported or does not fit the memory budget. Nothing is left behind.
    pub fn serve(
        &self,
        name: &str,
        model: impl Into<ModelSource>,
        options: ServeOptions,
    ) -> Result<EndpointInfo> {
        self.serve_endpoint(name, EndpointOptions::default(), vec![ServedModel::load(model, options)])
    }

    /// As [`serve`](Self::serve), for an endpoint with options of its own and up to ten models of one task that share its
    /// requests.
    ///
    /// ```no_run
    /// use model_runtime::runtime::{EndpointOptions, ServedModel};
    /// use model_runtime::{ModelRuntime, ServeOptions};
    ///
    /// let runtime = ModelRuntime::builder().build()?;
    /// let old = ServedModel::load("models:/main.chat.assistant/3", ServeOptions::default()).named("old").traffic(90);
    /// let new = ServedModel::load("models:/main.chat.assistant/4", ServeOptions::default()).named("new").traffic(10);
    /// runtime.serve_endpoint("assistant", EndpointOptions::default(), vec![old, new])?;
    /// # Ok::<(), model_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`serve`](Self::serve); shares of traffic that do not sum to 100, models of different tasks, names that come twice.
    pub fn serve_endpoint(
        &self,
        name: &str,
        options: EndpointOptions,
        models: Vec<ServedModel>,
    ) -> Result<EndpointInfo> {
        if name.trim().is_empty() {
            return Err(Error::invalid("name", "the endpoint's name is empty"));
        }
        options.validate()?;
        endpoint::check(&models)?;
        let claim = Claim::new(&self.inner.endpoints, name)?;
        let configuration = self.make(name, &options, None, models)?;
        let now = self.inner.clock.monotonic();
        let endpoint = Endpoint::new(name.into(), options, configuration, now);
        self.inner.ledger.restore_limits([endpoint.limiter()])?;
        self.note(&endpoint, &endpoint.configuration(), "served")?;
        let endpoint = Arc::new(endpoint);
        let info = endpoint.describe();
        claim.fill(endpoint);
        Ok(info)
    }

    /// Lets an endpoint serve other models. It goes on serving what it serves until all of them are ready; then they take
    /// over at once. Requests that run finish where they began, and no request meets an error in between.
    ///
    /// # Errors
    /// An unknown endpoint, [`ErrorKind::Conflict`] while it is being changed already, and what [`serve`](Self::serve) may
    /// fail with. The endpoint then serves what it served.
    pub fn configure(&self, name: &str, models: Vec<ServedModel>) -> Result<EndpointInfo> {
        endpoint::check(&models)?;
        let endpoint = self.inner.endpoints.find(name)?;
        let mut past = endpoint.update()?;
        let configuration = self.make(name, endpoint.options(), Some(&endpoint.configuration()), models)?;
        self.note(&endpoint, &configuration, "configured")?;
        self.switch(&endpoint, &mut past, configuration, false)?;
        Ok(endpoint.describe())
    }

    /// Publishes an update: another version takes over behind the same endpoint, and responses name the base id with the day
    /// of the update. `model` replaces the one entity of the endpoint whose options have a
    /// [`base_id`](ServeOptions::base_id).
    ///
    /// # Errors
    /// As [`configure`](Self::configure); [`ErrorKind::Conflict`] when the endpoint has not exactly one entity with a base id,
    /// or serves this version already.
    pub fn publish_update(
        &self,
        name: &str,
        model: impl Into<ModelSource>,
        mut options: ServeOptions,
        notes: &str,
    ) -> Result<UpdateRecord> {
        let endpoint = self.inner.endpoints.find(name)?;
        let mut past = endpoint.update()?;
        let configuration = endpoint.configuration();
        let (updated, base) = updatable(&endpoint, &configuration)?;
        options.base_id = Some(base.clone());
        options.version = None;
        let order = Order {
            endpoint: name,
            name: Some(updated.name().into()),
            source: model.into(),
            options,
            naming: Naming::Later,
        };
        let mut loaded = self.load(order)?;
        let today = self.inner.clock.wall().to_zoned(jiff::tz::TimeZone::UTC).date();
        let entities = configuration.entities();
        if loaded.task() != updated.served.task() {
            let message = "an update has to do what the model before it does: generate, or embed";
            return Err(Error::invalid("model", message));
        }
        let record = self.inner.updates.publish(&base, &loaded.identified.record(), today, notes)?;
        loaded.rename(record.response_id.clone());
        let new = self.entity(name, endpoint.options(), loaded)?;
        let next = entities
            .iter()
            .map(|(entity, share)| (if Arc::ptr_eq(entity, &updated) { &new } else { entity }, *share))
            .map(|(entity, share)| (Arc::clone(entity), share));
        let next = Configuration::new(next.collect())?;
        self.note(&endpoint, &next, "updated")?;
        self.switch(&endpoint, &mut past, next, false)?;
        Ok(record)
    }

    /// Lets an endpoint serve what it served before its last change, under the ids that this had then.
    ///
    /// # Errors
    /// As [`configure`](Self::configure); [`ErrorKind::Conflict`] when there is nothing to go back to, or when files have
    /// changed since.
    pub fn roll_back(&self, name: &str) -> Result<EndpointInfo> {
        let endpoint = self.inner.endpoints.find(name)?;
        let mut past = endpoint.update()?;
        let Some(before) = past.last() else {
            let message = format!("endpoint `{name}` has served nothing else that it could go back to");
            return Err(Error::new(ErrorKind::Conflict, message).with_param("name"));
        };
        let present = endpoint.configuration();
        let entities = before.iter().map(|(recipe, share)| {
            let kept = present.entities().iter().find(|(entity, _)| Arc::ptr_eq(&entity.recipe, recipe));
            let entity = match kept {
                Some((entity, _)) => Arc::clone(entity),
                None => self.entity(name, endpoint.options(), self.load(again(name, recipe))?)?,
            };
            Ok((entity, *share))
        });
        let configuration = Configuration::new(entities.collect::<Result<_>>()?)?;
        self.note(&endpoint, &configuration, "rolled back")?;
        self.switch(&endpoint, &mut past, configuration, true)?;
        Ok(endpoint.describe())
    }

    /// Everything that an endpoint of this name was ever configured to serve, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn endpoint_history(&self, name: &str) -> Result<Vec<EndpointConfiguration>> {
        Ok(self.inner.configurations.history(name)?)
    }

    /// The base id of a model and all its updates, oldest first, by any of its ids; empty if there is none of this id.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn update_history(&self, id: &str) -> Result<Vec<UpdateRecord>> {
        self.inner.updates.history(id)
    }

    /// Makes a configuration: keeps what is kept, loads the rest.
    fn make(
        &self,
        name: &str,
        options: &EndpointOptions,
        present: Option<&Configuration>,
        models: Vec<ServedModel>,
    ) -> Result<Configuration> {
        let entities = models.into_iter().map(|ServedModel { wanted, traffic }| {
            let entity = match wanted {
                Wanted::Keep(own) => {
                    let kept = present.and_then(|present| present.entity(&own)).cloned();
                    kept.ok_or_else(|| {
                        let message = format!("endpoint `{name}` has no served entity `{own}` to keep");
                        Error::new(ErrorKind::NotFound, message).with_param("entities")
                    })?
                }
                Wanted::Load { name: own, source, options: how } => {
                    let naming = Naming::Options;
                    let order = Order { endpoint: name, name: own, source, options: *how, naming };
                    self.entity(name, options, self.load(order)?)?
                }
            };
            Ok((entity, traffic))
        });
        Configuration::new(entities.collect::<Result<_>>()?)
    }
}

impl ModelRuntime {
    /// Writes down what an endpoint is to serve.
    fn note(&self, endpoint: &Endpoint, to: &Configuration, reason: &str) -> Result<()> {
        let offering = endpoint.options().offering;
        let configuration = serde_json::json!({ "offering": offering, "entities": to.infos() });
        self.inner.configurations.append(endpoint.name(), &configuration, reason)?;
        Ok(())
    }

    /// Lets another configuration take over, and have the endpoint's share of the machine.
    fn switch(&self, endpoint: &Endpoint, past: &mut Past, to: Configuration, back: bool) -> Result<()> {
        endpoint.switch(past, to, back);
        self.share(endpoint)
    }

    /// What a loaded model is within an endpoint; its life begins, if it is not known yet.
    fn entity(&self, name: &str, options: &EndpointOptions, loaded: Loaded) -> Result<Arc<Entity>> {
        let retirements = &self.inner.retirements;
        let entity = loaded.into_entity(retirements.catalog(), name, options);
        retirements.offer(&entity.recipe.subjects, options.offering, entity.tasks())?;
        Ok(entity)
    }
}

/// The entity that an update replaces, and its base id.
fn updatable(endpoint: &Endpoint, configuration: &Configuration) -> Result<(Arc<Entity>, String)> {
    let mut based = configuration
        .entities()
        .iter()
        .filter_map(|(entity, _)| Some((Arc::clone(entity), entity.recipe.base_id.clone()?)));
    match (based.next(), based.next()) {
        (Some(one), None) => Ok(one),
        (found, _) => {
            let number = if found.is_some() { "several served entities" } else { "no served entity" };
            let message = format!(
                "endpoint `{}` has {number} with a base id; an update needs exactly one (option base_id)",
                endpoint.name()
            );
            Err(Error::new(ErrorKind::Conflict, message).with_param("name"))
        }
    }
}

/// How to load an entity as it was.
fn again<'a>(endpoint: &'a str, recipe: &'a Recipe) -> Order<'a> {
    Order {
        endpoint,
        name: Some(recipe.name.clone()),
        // By what it was, not by an alias that may name another version by now.
        source: match &recipe.identified.registered {
            Some(version) => ModelSource::Registered(version.to_string()),
            None => recipe.source.clone(),
        },
        options: recipe.options(),
        naming: Naming::Before(recipe),
    }
}
