//! The adapters of an endpoint by name: loaded and unloaded while it answers.

mod table;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::ModelRuntime;
use super::info::AdapterInfo;
use super::memory::Reservation;
use crate::backend::AdapterId;
use crate::error::{Error, ErrorKind, Result};
use crate::weights::Checkpoint;
use table::Load;
pub(super) use table::{Loader, Table};

/// The adapters that an endpoint answers with.
pub(super) struct Adapters {
    loader: Box<dyn Load>,
    /// The id that was given last. Locked during a load: one at a time.
    last: Mutex<AdapterId>,
    loaded: RwLock<BTreeMap<String, Arc<LoadedAdapter>>>,
}

/// An adapter in memory. Whoever computes with it holds it; it goes when it is unloaded and nobody does.
pub(super) struct LoadedAdapter {
    /// Of its version the part behind that of the model.
    info: AdapterInfo,
    pub(super) id: AdapterId,
    /// Before the reservation: the memory is given back when it is free.
    _weights: Arc<dyn Send + Sync>,
    _memory: Reservation,
}

impl LoadedAdapter {
    /// The id of responses that are made with it beside the version `base`.
    pub(super) fn version(&self, base: &str) -> String {
        format!("{base}{}", self.info.version)
    }

    fn describe(&self, base: &str) -> AdapterInfo {
        AdapterInfo { version: self.version(base), ..self.info.clone() }
    }
}

impl Adapters {
    pub(super) fn new(loader: impl Load + 'static) -> Self {
        Self { loader: Box::new(loader), last: Mutex::new(AdapterId::BASE), loaded: RwLock::default() }
    }

    /// Loads an adapter; `reserve` takes its memory.
    pub(super) fn load(
        &self,
        name: &str,
        path: &Path,
        reserve: &mut dyn FnMut(u64) -> Result<Reservation>,
    ) -> Result<Arc<LoadedAdapter>> {
        check_name(name)?;
        let mut last = self.last.lock();
        if self.loaded.read().contains_key(name) {
            return Err(taken(name));
        }
        let out_of_ids = || Error::new(ErrorKind::Unsupported, "the endpoint has had too many adapters");
        let id = AdapterId(last.0.checked_add(1).ok_or_else(out_of_ids)?);
        let checkpoint = Checkpoint::open_adapter(path)?;
        let digest = checkpoint.digest(&mut |_| std::ops::ControlFlow::Continue(()))?.to_string();
        let loaded = self.loader.load(id, &checkpoint, reserve)?;
        checkpoint.check_unchanged()?;
        *last = id;
        let info = AdapterInfo {
            name: name.into(),
            version: format!("+{name}@{}", &digest[..12]),
            path: path.into(),
            rank: loaded.rank,
            modules: loaded.modules,
            bytes: loaded.bytes,
            digest,
        };
        let adapter = Arc::new(LoadedAdapter { info, id, _weights: loaded.weights, _memory: loaded.memory });
        self.loaded.write().insert(name.into(), Arc::clone(&adapter));
        Ok(adapter)
    }

    /// Takes a name away. Requests that began with its adapter keep that until they end.
    pub(super) fn unload(&self, endpoint: &str, name: &str) -> Result<()> {
        // Bound, so that what it frees is not freed under the lock.
        let removed = self.loaded.write().remove(name);
        removed.map(drop).ok_or_else(|| self.unknown(endpoint, name))
    }

    /// The adapter of a name.
    pub(super) fn find(&self, endpoint: &str, name: &str) -> Result<Arc<LoadedAdapter>> {
        let found = self.loaded.read().get(name).cloned();
        found.ok_or_else(|| self.unknown(endpoint, name))
    }

    /// All of them beside the version `base`, in order of name.
    pub(super) fn infos(&self, base: &str) -> Vec<AdapterInfo> {
        self.loaded.read().values().map(|adapter| adapter.describe(base)).collect()
    }

    fn unknown(&self, endpoint: &str, name: &str) -> Error {
        let known: Vec<String> = self.loaded.read().keys().cloned().collect();
        let known = if known.is_empty() { "none is loaded".into() } else { known.join(", ") };
        let message = format!("endpoint `{endpoint}` has no adapter `{name}`; adapters: {known}");
        Error::new(ErrorKind::NotFound, message).with_param("adapter")
    }
}

/// Refuses names that are taken twice or could not be told from the rest of a version.
pub(super) fn check_names<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Result<()> {
    for (at, name) in names.clone().enumerate() {
        check_name(name)?;
        if names.clone().take(at).any(|earlier| earlier == name) {
            return Err(taken(name));
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<()> {
    let accepted = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '+' | '@');
    if !name.is_empty() && name.chars().all(accepted) {
        return Ok(());
    }
    let message = format!("the adapter's name is {name:?}; accepted is text without blanks, `+` and `@`");
    Err(Error::invalid("adapter", message))
}

fn taken(name: &str) -> Error {
    let message = format!("adapter `{name}` exists already; unload it first or take another name");
    Error::new(ErrorKind::Conflict, message).with_param("adapter")
}

impl ModelRuntime {
    /// Loads an adapter of low rank (LoRA, a directory as PEFT saves it) beside the model of an endpoint that generates,
    /// which goes on answering. Requests choose it by `name`, each its own, and are batched together; their responses
    /// name the version `BASE+NAME@DIGEST`. Its weights stay as exact as they are stored, whatever the model's are.
    ///
    /// ```no_run
    /// use model_runtime::protocol::CompletionRequest;
    /// use model_runtime::{ModelRuntime, ServeOptions};
    ///
    /// let runtime = ModelRuntime::builder().build()?;
    /// runtime.serve("assistant", "models/llama-3.2-1b-instruct", ServeOptions::default())?;
    /// runtime.load_adapter("assistant", "legal", "adapters/legal-r16")?;
    /// let request = CompletionRequest::new("assistant", "The parties agree").adapter("legal");
    /// let response = runtime.complete(request)?;
    /// # let _ = response;
    /// # Ok::<(), model_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    /// An unknown endpoint or one that embeds ([`ErrorKind::Unsupported`]), a name that is taken
    /// ([`ErrorKind::Conflict`]) or not accepted, files that cannot be read, that ask for more than LoRA or do not fit the
    /// model ([`ErrorKind::InvalidModel`]), or too little memory. Nothing is left behind.
    pub fn load_adapter(&self, endpoint: &str, name: &str, path: impl AsRef<Path>) -> Result<AdapterInfo> {
        let entity = self.generation(endpoint, "adapters")?;
        let mut reserve = |bytes: u64| {
            let (_, memory) = self.inner.budget.reserve(|available| match available {
                Some(available) if bytes > available => {
                    let message = format!(
                        "adapter `{name}` needs {bytes} bytes and the memory budget leaves {available}"
                    );
                    Err(Error::new(ErrorKind::InsufficientMemory, message).with_param("memory_budget"))
                }
                _ => Ok(((), bytes)),
            })?;
            Ok(memory)
        };
        let loaded = entity.adapters().load(name, path.as_ref(), &mut reserve)?;
        Ok(loaded.describe(&entity.info().version))
    }

    /// Takes an adapter away. Requests that run finish with what they began with; its memory is given back when the last
    /// of them has ended.
    ///
    /// # Errors
    /// An unknown endpoint, one that embeds, or an adapter that it does not have ([`ErrorKind::NotFound`]).
    pub fn unload_adapter(&self, endpoint: &str, name: &str) -> Result<()> {
        self.generation(endpoint, "adapters")?.adapters().unload(endpoint, name)
    }
}
