//! Endpoints by name: what is served, what is being loaded, and what a name leads to.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, Result};

/// A name that is taken.
enum Slot {
    /// By a load that is under way.
    Loading,
    Ready(Arc<Endpoint>),
}

/// The names of a runtime.
#[derive(Default)]
pub(super) struct Endpoints {
    slots: RwLock<BTreeMap<String, Slot>>,
}

impl Endpoints {
    /// Every endpoint that is ready, in order of name.
    pub(super) fn ready(&self) -> Vec<Arc<Endpoint>> {
        let ready = |slot: &Slot| match slot {
            Slot::Ready(endpoint) => Some(Arc::clone(endpoint)),
            Slot::Loading => None,
        };
        self.slots.read().values().filter_map(ready).collect()
    }

    /// The endpoint of this name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none, [`ErrorKind::Conflict`] while it is being loaded.
    pub(super) fn find(&self, name: &str) -> Result<Arc<Endpoint>> {
        match self.slots.read().get(name) {
            Some(Slot::Ready(endpoint)) => return Ok(Arc::clone(endpoint)),
            Some(Slot::Loading) => return Err(loading(name)),
            None => {}
        }
        Err(self.unknown(name))
    }

    /// Takes an endpoint away and ends its requests.
    pub(super) fn remove(&self, name: &str) -> Result<Arc<Endpoint>> {
        let removed = {
            let mut slots = self.slots.write();
            if let Some(Slot::Loading) = slots.get(name) {
                return Err(loading(name));
            }
            slots.remove(name)
        };
        match removed {
            // Shut down rather than only dropped: a caller may hold the endpoint for a moment longer.
            Some(Slot::Ready(endpoint)) => {
                endpoint.shutdown();
                Ok(endpoint)
            }
            _ => Err(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> Error {
        let known: Vec<String> = self.ready().iter().map(|endpoint| endpoint.name().into()).collect();
        let known = if known.is_empty() { "none is served".into() } else { known.join(", ") };
        let message = format!("there is no endpoint `{name}`; endpoints: {known}");
        Error::new(ErrorKind::NotFound, message).with_param("model")
    }
}

/// A name held for a load; given back unless it is filled.
pub(super) struct Claim<'a> {
    endpoints: &'a Endpoints,
    name: &'a str,
    filled: bool,
}

impl<'a> Claim<'a> {
    pub(super) fn new(endpoints: &'a Endpoints, name: &'a str) -> Result<Self> {
        let mut slots = endpoints.slots.write();
        if slots.contains_key(name) {
            let message = format!("endpoint `{name}` exists already; remove it first or take another name");
            return Err(Error::new(ErrorKind::Conflict, message).with_param("name"));
        }
        slots.insert(name.into(), Slot::Loading);
        Ok(Self { endpoints, name, filled: false })
    }

    pub(super) fn fill(mut self, endpoint: Arc<Endpoint>) {
        self.endpoints.slots.write().insert(self.name.into(), Slot::Ready(endpoint));
        self.filled = true;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.filled {
            self.endpoints.slots.write().remove(self.name);
        }
    }
}

fn loading(name: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("endpoint `{name}` is still being loaded")).with_param("model")
}
