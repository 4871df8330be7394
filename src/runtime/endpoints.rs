//! Endpoints by name: what is served, what is being loaded, and what a name leads to.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::embedding::EmbeddingEndpoint;
use super::endpoint::Endpoint;
use super::info::EndpointInfo;
use super::stats::EndpointStats;
use crate::error::{Error, ErrorKind, Result};

/// What a name leads to.
#[derive(Clone)]
pub(super) enum Served {
    Generation(Arc<Endpoint>),
    Embedding(Arc<EmbeddingEndpoint>),
}

impl Served {
    /// What it serves, for callers.
    pub(super) fn describe(&self) -> EndpointInfo {
        let adapters = match self {
            Self::Generation(endpoint) => endpoint.adapters().infos(),
            Self::Embedding(_) => Vec::new(),
        };
        EndpointInfo { adapters, ..self.info().clone() }
    }

    fn info(&self) -> &EndpointInfo {
        match self {
            Self::Generation(endpoint) => endpoint.info(),
            Self::Embedding(endpoint) => endpoint.info(),
        }
    }

    pub(super) fn stats(&self) -> EndpointStats {
        let EndpointInfo { name, version, .. } = self.info().clone();
        let (engine, embedding) = match self {
            Self::Generation(endpoint) => (Some(endpoint.engine().stats()), None),
            Self::Embedding(endpoint) => (None, Some(endpoint.engine().stats())),
        };
        EndpointStats { name, version, engine, embedding }
    }

    fn shutdown(&self) {
        match self {
            Self::Generation(endpoint) => endpoint.engine().shutdown(),
            Self::Embedding(endpoint) => endpoint.engine().shutdown(),
        }
    }
}

/// A name that is taken.
enum Slot {
    /// By a load that is under way.
    Loading,
    Ready(Served),
}

/// The names of a runtime.
#[derive(Default)]
pub(super) struct Endpoints {
    slots: RwLock<BTreeMap<String, Slot>>,
}

impl Endpoints {
    /// Every endpoint that is ready, in order of name.
    pub(super) fn ready(&self) -> Vec<Served> {
        let ready = |slot: &Slot| match slot {
            Slot::Ready(served) => Some(served.clone()),
            Slot::Loading => None,
        };
        self.slots.read().values().filter_map(ready).collect()
    }

    /// The endpoint that generates under this name; `asked` is what the request wants.
    pub(super) fn generation(&self, name: &str, asked: &str) -> Result<Arc<Endpoint>> {
        match self.find(name)? {
            Served::Generation(endpoint) => Ok(endpoint),
            other => Err(other.info().wrong_task(asked)),
        }
    }

    /// The endpoint that embeds under this name.
    pub(super) fn embedding(&self, name: &str) -> Result<Arc<EmbeddingEndpoint>> {
        match self.find(name)? {
            Served::Embedding(endpoint) => Ok(endpoint),
            other => Err(other.info().wrong_task("embeddings")),
        }
    }

    fn find(&self, name: &str) -> Result<Served> {
        match self.slots.read().get(name) {
            Some(Slot::Ready(served)) => return Ok(served.clone()),
            Some(Slot::Loading) => return Err(loading(name)),
            None => {}
        }
        Err(self.unknown(name))
    }

    /// Takes an endpoint away and ends its requests.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        let removed = {
            let mut slots = self.slots.write();
            if let Some(Slot::Loading) = slots.get(name) {
                return Err(loading(name));
            }
            slots.remove(name)
        };
        match removed {
            // Shut down rather than only dropped: a caller may hold the endpoint for a moment longer.
            Some(Slot::Ready(served)) => {
                served.shutdown();
                Ok(())
            }
            _ => Err(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> Error {
        let known: Vec<String> = self.ready().iter().map(|served| served.info().name.clone()).collect();
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

    pub(super) fn fill(mut self, served: Served) {
        self.endpoints.slots.write().insert(self.name.into(), Slot::Ready(served));
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
