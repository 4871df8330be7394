//! What an endpoint is offered as, and what is to be served under it.

use super::super::entity::check_name;
use super::super::options::{ModelSource, ServeOptions, setters};
use super::configuration::check_shares;
use crate::catalog::{Offering, Subject};
use crate::error::{Error, Result};
use crate::lifecycle::UpgradeOption;
use crate::metering::limits::EndpointLimits;

/// What an endpoint is offered as. The default is a deployment of the host's own, which no retirement and no limit reaches;
/// [`EndpointOptions::pay_per_token`] is what others use by the token.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EndpointOptions {
    /// How it is offered: retirement and limits are a matter of that.
    pub offering: Offering,
    /// Whose life it shares: the model, version or family that retirements are announced of. Without it: in an offering by
    /// the token the catalog's model of this endpoint, else the registered version, else a model named as the responses are.
    pub subject: Option<Subject>,
    /// What happens when that is retired or superseded.
    pub upgrade: UpgradeOption,
    /// How many tokens and requests there may be.
    pub limits: EndpointLimits,
    /// Decides, with the number of a request, which entity answers it.
    pub traffic_seed: u64,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self {
            offering: Offering::ProvisionedThroughput,
            subject: None,
            upgrade: UpgradeOption::NoAutoUpgrade,
            limits: EndpointLimits::default(),
            traffic_seed: 0,
        }
    }
}

impl EndpointOptions {
    /// Best effort, metered by the token, and subject to retirements.
    pub fn pay_per_token() -> Self {
        Self::default().offering(Offering::PayPerToken)
    }

    setters! {
        /// Sets [`offering`](Self::offering).
        offering: Offering => offering;
        /// Sets [`subject`](Self::subject).
        subject: Subject => Some(subject);
        /// Sets [`upgrade`](Self::upgrade).
        upgrade: UpgradeOption => upgrade;
        /// Sets [`limits`](Self::limits).
        limits: EndpointLimits => limits;
        /// Sets [`traffic_seed`](Self::traffic_seed).
        traffic_seed: u64 => traffic_seed;
    }

    pub(in crate::runtime) fn validate(&self) -> Result<()> {
        match self.offering {
            Offering::PayPerToken | Offering::ProvisionedThroughput => Ok(()),
            other => {
                let message = format!(
                    "an endpoint cannot be offered as {other}; accepted are pay_per_token and provisioned_throughput"
                );
                Err(Error::invalid("offering", message))
            }
        }
    }
}

/// An entity of an endpoint's next configuration.
#[derive(Debug)]
pub struct ServedModel {
    pub(in crate::runtime) wanted: Wanted,
    pub(in crate::runtime) traffic: u8,
}

/// Where an entity comes from.
#[derive(Debug)]
pub(in crate::runtime) enum Wanted {
    /// It is served already.
    Keep(String),
    /// It is to be loaded.
    Load { name: Option<String>, source: ModelSource, options: Box<ServeOptions> },
}

impl ServedModel {
    /// A model that is loaded for it. Its name is made of where it comes from, unless it gets [another](Self::named); its
    /// share is 100, unless it gets [another](Self::traffic).
    pub fn load(source: impl Into<ModelSource>, options: ServeOptions) -> Self {
        let wanted = Wanted::Load { name: None, source: source.into(), options: Box::new(options) };
        Self { wanted, traffic: 100 }
    }

    /// The entity `name`, which the endpoint serves already; its share is 100, unless it gets [another](Self::traffic).
    pub fn keep(name: impl Into<String>) -> Self {
        Self { wanted: Wanted::Keep(name.into()), traffic: 100 }
    }

    /// The name by which requests can ask for it: letters, digits, `-` and `_`. One that is kept keeps its own.
    #[must_use]
    pub fn named(mut self, own: impl Into<String>) -> Self {
        if let Wanted::Load { name, .. } = &mut self.wanted {
            *name = Some(own.into());
        }
        self
    }

    /// Its share of the requests, in percent. All shares of an endpoint sum to 100; with 0 it answers only those that name
    /// it.
    #[must_use]
    pub fn traffic(mut self, percent: u8) -> Self {
        self.traffic = percent;
        self
    }
}

/// Checks what can be checked of a configuration before anything is loaded.
pub(in crate::runtime) fn check(models: &[ServedModel]) -> Result<()> {
    let shares: Vec<u8> = models.iter().map(|model| model.traffic).collect();
    check_shares(&shares)?;
    models.iter().try_for_each(|model| match &model.wanted {
        Wanted::Load { name: Some(name), .. } => check_name(name),
        _ => Ok(()),
    })
}
