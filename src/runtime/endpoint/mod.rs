//! An endpoint: a name that never changes, and what serves under it.

mod configuration;
mod options;
mod traffic;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard, RwLock};

pub(super) use configuration::Configuration;
pub use options::{EndpointOptions, ServedModel};
pub(super) use options::{Wanted, check};

use super::entity::{Entity, Recipe, Served};
use super::info::EndpointInfo;
use super::stats::EndpointStats;
use crate::error::{Error, ErrorKind, Result};
use crate::fairness::{Share, Speed};
use crate::metering::limits::RateLimiter;

/// How many configurations an endpoint can be rolled back through.
const MAX_PAST: usize = 16;

/// A name and what serves under it.
pub(super) struct Endpoint {
    name: String,
    options: EndpointOptions,
    configuration: RwLock<Arc<Configuration>>,
    /// Held while another configuration is made: one at a time.
    updating: Mutex<Past>,
    /// What no request comes to any more, until its last one has ended.
    draining: Mutex<Vec<Served>>,
    requests: AtomicU64,
    limiter: RateLimiter,
    /// What it may have of the machine, and how fast it is there once that was measured.
    share: Mutex<(Share, Option<Speed>)>,
}

/// What an endpoint served before, newest last.
#[derive(Default)]
pub(super) struct Past {
    configurations: Vec<Vec<(Arc<Recipe>, u8)>>,
}

impl Past {
    /// What was served before the present configuration.
    pub(super) fn last(&self) -> Option<&[(Arc<Recipe>, u8)]> {
        self.configurations.last().map(Vec::as_slice)
    }
}

impl Endpoint {
    /// `now` is of the clock's monotonic time.
    pub(super) fn new(
        name: String,
        options: EndpointOptions,
        configuration: Configuration,
        now: Duration,
    ) -> Self {
        Self {
            limiter: RateLimiter::new(name.as_str(), options.limits.clone(), now),
            name,
            options,
            configuration: RwLock::new(Arc::new(configuration)),
            updating: Mutex::default(),
            draining: Mutex::default(),
            requests: AtomicU64::new(0),
            share: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn options(&self) -> &EndpointOptions {
        &self.options
    }

    pub(super) fn limiter(&self) -> &RateLimiter {
        &self.limiter
    }

    /// What it may have of the machine.
    pub(super) fn share(&self) -> Share {
        self.share.lock().0
    }

    pub(super) fn set_share(&self, share: Share) {
        self.share.lock().0 = share;
    }

    /// How fast it is when it has the machine for itself; `None` before that was measured.
    pub(super) fn speed(&self) -> Option<Speed> {
        self.share.lock().1
    }

    pub(super) fn set_speed(&self, speed: Speed) {
        self.share.lock().1 = Some(speed);
    }

    /// What is served now.
    pub(super) fn configuration(&self) -> Arc<Configuration> {
        Arc::clone(&self.configuration.read())
    }

    /// The entity of `configuration` that answers the next request: the one it names, else by the shares.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none of that name.
    pub(super) fn route(&self, configuration: &Configuration, entity: Option<&str>) -> Result<Arc<Entity>> {
        let entities = configuration.entities();
        let Some(name) = entity else {
            let number = self.requests.fetch_add(1, Ordering::Relaxed);
            let shares = entities.iter().map(|(_, share)| *share);
            return Ok(Arc::clone(&entities[traffic::draw(shares, self.options.traffic_seed, number)].0));
        };
        configuration.entity(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = entities.iter().map(|(entity, _)| entity.name()).collect();
            let message = format!(
                "endpoint `{}` has no served entity `{name}`; it has {}",
                self.name,
                known.join(", ")
            );
            Error::new(ErrorKind::NotFound, message).with_param("entity")
        })
    }

    /// Holds the right to change what is served.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] while somebody else has it.
    pub(super) fn update(&self) -> Result<MutexGuard<'_, Past>> {
        self.updating.try_lock().ok_or_else(|| {
            let message =
                format!("endpoint `{}` is being updated; one update at a time: try again later", self.name);
            Error::new(ErrorKind::Conflict, message).with_param("name")
        })
    }

    /// Lets another configuration take over. Requests that run where they are no longer served go on to their end.
    pub(super) fn switch(&self, past: &mut Past, to: Configuration, back: bool) {
        let to = Arc::new(to);
        let from = std::mem::replace(&mut *self.configuration.write(), Arc::clone(&to));
        if back {
            past.configurations.pop();
        } else {
            let recipes =
                from.entities().iter().map(|(entity, share)| (Arc::clone(&entity.recipe), *share)).collect();
            if past.configurations.len() == MAX_PAST {
                past.configurations.remove(0);
            }
            past.configurations.push(recipes);
        }
        let mut draining = self.draining.lock();
        draining.retain(|served| !served.is_over());
        for (entity, _) in from.entities() {
            let stays = to.entities().iter().any(|(other, _)| Arc::ptr_eq(other, entity));
            if !stays {
                entity.served.drain();
                draining.push(entity.served.clone());
            }
        }
    }

    /// Models that are still loaded only because requests run on them.
    pub(super) fn draining(&self) -> usize {
        let mut draining = self.draining.lock();
        draining.retain(|served| !served.is_over());
        draining.len()
    }

    /// Ends everything.
    pub(super) fn shutdown(&self) {
        for (entity, _) in self.configuration().entities() {
            entity.served.shutdown();
        }
        for served in self.draining.lock().drain(..) {
            served.shutdown();
        }
    }

    /// The numbers of its engines; those of its main entity stand above.
    pub(super) fn stats(&self) -> EndpointStats {
        let configuration = self.configuration();
        let entities = configuration.entities().iter().map(|(entity, _)| entity);
        let entities = entities.map(|entity| (entity.name().to_owned(), entity.served.stats())).collect();
        let main = configuration.main().served.stats();
        EndpointStats { name: self.name.clone(), entities, ..main }
    }

    /// What it serves, for callers: its main entity, and the list of all.
    pub(super) fn describe(&self) -> EndpointInfo {
        let configuration = self.configuration();
        EndpointInfo {
            offering: self.options.offering,
            entities: configuration.infos(),
            draining: self.draining(),
            ..configuration.main().served.describe()
        }
    }
}
