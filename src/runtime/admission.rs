//! What is decided about a request when it arrives, once: which endpoint, which of its models, whether it may.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::ModelRuntime;
use super::endpoint::Endpoint;
use super::entity::Entity;
use super::meter::{Meter, Use};
use super::options::RequestOptions;
use crate::catalog::{Offering, Subject, Task};
use crate::error::{Error, ErrorKind, Result};
use crate::fairness::CallerId;
use crate::lifecycle::{Admission, Status, Timeline, UpgradeOption};
use crate::metering::ledger::Outcome;
use crate::metering::limits::{Demand, Output};

/// The alias of a registered model that names its default version.
const DEFAULT_ALIAS: &str = "default";

/// A request that may be answered, and by whom.
pub(super) struct Admitted {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) entity: Arc<Entity>,
    pub(super) task: Task,
    pub(super) principal: Arc<str>,
    /// When it arrived.
    pub(super) at: Timestamp,
    /// What its response says about the life of the model, if it asked for that and there is anything to say.
    pub(super) lifecycle: Option<Value>,
}

impl Admitted {
    /// Whose request it is, for the engine: principals of one number share what the others leave them, and a hash puts two
    /// into one number as good as never.
    pub(super) fn caller(&self) -> CallerId {
        let mut hasher = DefaultHasher::new();
        self.principal.hash(&mut hasher);
        let hash = hasher.finish();
        CallerId((hash ^ (hash >> 32)) as u32)
    }
}

impl ModelRuntime {
    /// Decides about a request that asks `task` of an endpoint; `user` is who the request itself says it is for.
    ///
    /// # Errors
    /// An unknown endpoint or entity; a model that does something else; a model that is retired or takes no new users.
    pub(super) fn admit(
        &self,
        name: &str,
        task: Task,
        options: &RequestOptions,
        user: Option<&str>,
    ) -> Result<Admitted> {
        let endpoint = self.inner.endpoints.find(name)?;
        let configuration = endpoint.configuration();
        let entity = endpoint.route(&configuration, options.entity.as_deref())?;
        entity.served.expect(task)?;
        let principal = options.principal.clone().unwrap_or_else(|| Arc::from(user.unwrap_or_default()));
        let at = self.inner.clock.wall();
        let admitted = Admitted { endpoint, entity, task, principal, at, lifecycle: None };
        self.decide(admitted, options)
    }

    /// Asks the timeline.
    fn decide(&self, mut admitted: Admitted, options: &RequestOptions) -> Result<Admitted> {
        let retirements = &self.inner.retirements;
        let timeline = retirements.current();
        let Admitted { endpoint, entity, task, at, .. } = &admitted;
        let (offer, task, at) = (endpoint.options(), *task, *at);
        let principal = self.principal(&admitted.principal, entity.subject(), offer.offering);
        let status = timeline.status(entity.subject(), offer.offering, task, &principal, at);
        let default = self.default_status(&timeline, entity, offer.upgrade, &status);
        retirements.tell(&timeline, &status, &principal);
        match status.admit(offer.upgrade, default.as_ref()) {
            Ok(Admission::Serve) => {}
            Ok(Admission::Redirect(to) | Admission::Upgrade(to)) => {
                let (endpoint, entity) = self.serving(&to, offer.offering, task, endpoint)?;
                (admitted.endpoint, admitted.entity) = (endpoint, entity);
            }
            Err(refusal) => {
                let error = Error::from(refusal);
                self.note_refusal(&admitted, &error);
                return Err(error);
            }
        }
        if options.lifecycle {
            // Made of plain data: it cannot fail.
            let value = status.response_extension().map(serde_json::to_value);
            admitted.lifecycle = value.and_then(Result::ok);
        }
        Ok(admitted)
    }

    /// What holds for the version that is the default of the registered model, where the endpoint wants to follow it.
    fn default_status(
        &self,
        timeline: &Timeline,
        entity: &Entity,
        upgrade: UpgradeOption,
        status: &Status,
    ) -> Option<Status> {
        if upgrade != UpgradeOption::OnceNewDefaultVersionAvailable {
            return None;
        }
        let name = &entity.recipe.identified.registered.as_ref()?.name;
        let uri = format!("models:/{name}@{DEFAULT_ALIAS}").parse().ok()?;
        let id = self.inner.registry.resolve_ready(&uri).ok()?.id.clone();
        let subject = Subject::version(format!("{}/{}", id.name, id.version));
        Some(timeline.status(&subject, status.offering, status.task, &Default::default(), status.at))
    }

    /// Who serves a subject: this endpoint, else another one of the offering.
    fn serving(
        &self,
        subject: &Subject,
        offering: Offering,
        task: Task,
        from: &Arc<Endpoint>,
    ) -> Result<(Arc<Endpoint>, Arc<Entity>)> {
        let others = self.inner.endpoints.ready();
        for endpoint in std::iter::once(from).chain(&others) {
            if endpoint.options().offering != offering {
                continue;
            }
            let configuration = endpoint.configuration();
            let found = configuration
                .entities()
                .iter()
                .map(|(entity, _)| entity)
                .find(|entity| entity.subject() == subject && entity.tasks().contains(&task));
            if let Some(entity) = found {
                return Ok((Arc::clone(endpoint), Arc::clone(entity)));
            }
        }
        let message = format!(
            "endpoint `{}` has moved to {subject}, which no endpoint serves in {}; serve it",
            from.name(),
            offering.title()
        );
        Err(Error::new(ErrorKind::NotFound, message).with_param("model"))
    }

    /// Reserves what a request may need, in all limits or in none, and a place in the ledger.
    ///
    /// # Errors
    /// [`ErrorKind::RateLimited`]; [`ErrorKind::InvalidRequest`] when it can never fit; [`ErrorKind::Overloaded`] when the
    /// ledger cannot take more.
    pub(super) fn meter(&self, admitted: &Admitted, of: Use) -> Result<Meter> {
        let demand = Demand { input_tokens: of.input_tokens, output: of.output };
        let now = self.inner.clock.monotonic();
        let slot = if self.is_metered(admitted) { Some(self.inner.ledger.admit()?) } else { None };
        match admitted.endpoint.limiter().reserve(&admitted.principal, demand, now) {
            Ok(reservation) => {
                let clock = Arc::clone(&self.inner.clock);
                Ok(Meter::new(of.record(admitted), slot, reservation, clock))
            }
            Err(error) => {
                let error = Error::from(error);
                self.note_refusal(admitted, &error);
                Err(error)
            }
        }
    }

    /// Endpoints by the token always are. Others are where the ledger is kept in a file: in memory it would only grow.
    fn is_metered(&self, admitted: &Admitted) -> bool {
        admitted.endpoint.options().offering == Offering::PayPerToken || self.inner.keeps_records
    }

    /// Who still asks for what is gone, and who meets limits, is worth knowing.
    fn note_refusal(&self, admitted: &Admitted, error: &Error) {
        if !self.is_metered(admitted) {
            return;
        }
        let id = self.request_id("refused-");
        let of = Use { id, input_tokens: 0, output: Output::AtMost(0), ..Use::default() };
        let mut record = of.record(admitted);
        record.admitted = false;
        record.outcome = Outcome::failed(error.kind());
        self.inner.ledger.record(record, |_| {});
    }
}
