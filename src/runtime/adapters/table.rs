//! The adapters of a model on its backend: loaded by callers, looked up by the engine's thread.

use std::sync::{Arc, Weak};

use parking_lot::RwLock;

use crate::backend::{AdapterId, Backend};
use crate::error::Result;
use crate::models::{Adaptable, Adapter, AdapterSources};
use crate::runtime::memory::Reservation;
use crate::weights::Checkpoint;

/// Adapters by id. It keeps none of them: requests do.
pub(in crate::runtime) struct Table<B: Backend> {
    adapters: RwLock<Vec<(AdapterId, Weak<Adapter<B>>)>>,
}

impl<B: Backend> Default for Table<B> {
    fn default() -> Self {
        Self { adapters: RwLock::default() }
    }
}

impl<B: Backend> Table<B> {
    /// The adapter of that id, as long as somebody holds it.
    pub(in crate::runtime) fn find(&self, id: AdapterId) -> Option<Arc<Adapter<B>>> {
        let adapters = self.adapters.read();
        adapters.iter().find(|(of, _)| *of == id).and_then(|(_, adapter)| adapter.upgrade())
    }

    fn insert(&self, id: AdapterId, adapter: &Arc<Adapter<B>>) {
        let mut adapters = self.adapters.write();
        adapters.retain(|(_, adapter)| adapter.strong_count() > 0);
        adapters.push((id, Arc::downgrade(adapter)));
    }
}

/// What a load has brought.
pub(in crate::runtime) struct Loaded {
    /// An [`Adapter`] of the endpoint's backend.
    pub(super) weights: Arc<dyn Send + Sync>,
    pub(super) memory: Reservation,
    pub(super) rank: usize,
    pub(super) modules: Vec<String>,
    pub(super) bytes: u64,
}

/// Loads adapters for one model, whatever its backend.
pub(in crate::runtime) trait Load: Send + Sync {
    /// Loads an adapter under an id that was never given before. `reserve` is asked for its memory.
    fn load(
        &self,
        id: AdapterId,
        checkpoint: &Checkpoint,
        reserve: &mut dyn FnMut(u64) -> Result<Reservation>,
    ) -> Result<Loaded>;
}

/// [`Load`] for a backend.
pub(in crate::runtime) struct Loader<B: Backend> {
    pub(in crate::runtime) backend: Arc<B>,
    pub(in crate::runtime) model: Arc<Adaptable>,
    pub(in crate::runtime) table: Arc<Table<B>>,
}

impl<B: Backend> Load for Loader<B> {
    fn load(
        &self,
        id: AdapterId,
        checkpoint: &Checkpoint,
        reserve: &mut dyn FnMut(u64) -> Result<Reservation>,
    ) -> Result<Loaded> {
        let sources = AdapterSources::resolve(checkpoint, &self.model)?;
        let bytes = sources.bytes(&*self.backend)?;
        let memory = reserve(bytes)?;
        let adapter = Arc::new(sources.load(&*self.backend)?);
        self.table.insert(id, &adapter);
        let modules = sources.modules().map(str::to_owned).collect();
        Ok(Loaded { weights: adapter, memory, rank: sources.rank(), modules, bytes })
    }
}
