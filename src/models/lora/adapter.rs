//! An adapter's files: every tensor belongs to a module of the model and fits it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::site::{Adaptable, kind};
use super::{LoraConfig, config};
use crate::backend::{Backend, BackendError, LowRank, MatrixPart, MatrixSource, MatrixUse};
use crate::models::ModelError;
use crate::models::tensors::check_shape;
use crate::weights::{Checkpoint, TensorInfo, WeightsError};

/// What PEFT puts before the names of the model's modules.
const PREFIX: &str = "base_model.model.";

/// What stands behind a module's name: the factor that it says. The second spelling is that of older files.
const SUFFIXES: [(&str, Factor); 4] = [
    (".lora_A.weight", Factor::Down),
    (".lora_B.weight", Factor::Up),
    (".lora_A.default.weight", Factor::Down),
    (".lora_B.default.weight", Factor::Up),
];

#[derive(Clone, Copy)]
enum Factor {
    Down,
    Up,
}

/// The factors of a module, as far as they were found.
#[derive(Default)]
struct Found<'a> {
    down: Option<&'a TensorInfo>,
    up: Option<&'a TensorInfo>,
}

/// A term of a site, to be loaded.
#[derive(Debug)]
struct TermSource<'a> {
    site: usize,
    first: usize,
    down: MatrixSource<'a>,
    up: MatrixSource<'a>,
    scale: f32,
}

/// The tensors of an adapter, all found, in their places and of the right shape; nothing is read yet.
#[derive(Debug)]
pub struct AdapterSources<'a> {
    terms: Vec<TermSource<'a>>,
    sites: usize,
    rank: usize,
    modules: BTreeSet<&'a str>,
}

impl<'a> AdapterSources<'a> {
    /// Finds the place of every tensor in a model and checks its shape against the configuration and the model.
    ///
    /// # Errors
    /// A configuration that is missing, damaged or asks for something else than LoRA, a tensor that belongs to no module
    /// that takes adapters, has another shape, or lacks its counterpart.
    pub fn resolve(checkpoint: &'a Checkpoint, model: &Adaptable) -> Result<Self, ModelError> {
        let config = checkpoint
            .read_small(config::FILE)?
            .ok_or_else(|| ModelError::Missing { file: "adapter folder", key: config::FILE.into() })?;
        let config = LoraConfig::from_json(&config)?;
        let mut found: BTreeMap<&str, Found<'a>> = BTreeMap::new();
        for tensor in checkpoint.tensors() {
            let refused = |problem: String| WeightsError::tensor(checkpoint.path(), tensor.name(), problem);
            let (module, factor) = module(tensor.name()).ok_or_else(|| {
                refused(format!(
                    "is no factor of a module; accepted is {PREFIX}MODULE.lora_A.weight or .lora_B.weight"
                ))
            })?;
            if model.find(module).next().is_none() {
                let kinds = model.kinds().into_iter().collect::<Vec<_>>().join(", ");
                let problem = format!(
                    "`{module}` is no module of this model that takes an adapter; those are the model's {kinds}, and not \
                     experts, routers, embeddings, tied heads or what is absorbed per head"
                );
                return Err(refused(problem).into());
            }
            let factors = found.entry(module).or_default();
            let slot = match factor {
                Factor::Down => &mut factors.down,
                Factor::Up => &mut factors.up,
            };
            if let Some(first) = slot.replace(tensor) {
                return Err(refused(format!("is the same factor as {:?}", first.name())).into());
            }
        }
        if found.is_empty() {
            return Err(WeightsError::file(
                checkpoint.path(),
                "has no tensors; an adapter changes something",
            )
            .into());
        }
        let mut sources = Self { terms: Vec::new(), sites: model.sites(), rank: 0, modules: BTreeSet::new() };
        for (module, factors) in found {
            let (down, up) = match (factors.down, factors.up) {
                (Some(down), Some(up)) => (down, up),
                (Some(alone), _) | (_, Some(alone)) => {
                    let problem = "has no counterpart; lora_A and lora_B come together";
                    return Err(WeightsError::tensor(checkpoint.path(), alone.name(), problem).into());
                }
                // Nothing is entered without a tensor.
                (None, None) => continue,
            };
            let rank = config.rank(module);
            sources.rank = sources.rank.max(rank);
            sources.modules.insert(kind(module));
            let source = |parts| MatrixSource { checkpoint, parts, usage: MatrixUse::LowRank };
            for (site, place) in model.find(module) {
                check_shape(down, &[rank, place.inputs])?;
                check_shape(up, &[place.outputs, rank])?;
                // The rows of the factor lie in the product as the module's own do.
                let rows = place.rows.iter();
                let rows = rows.map(|(rows, order)| MatrixPart::whole(up).rows(rows.clone()).order(*order));
                sources.terms.push(TermSource {
                    site,
                    first: place.first,
                    down: source(vec![MatrixPart::whole(down)]),
                    up: source(rows.collect()),
                    scale: config.scale(module),
                });
            }
        }
        Ok(sources)
    }

    /// The largest rank of its factors.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The last parts of the names of the modules that it changes: `q_proj`, `v_proj`, ...
    pub fn modules(&self) -> impl Iterator<Item = &str> {
        self.modules.iter().copied()
    }

    /// Bytes of memory that it will take on this backend.
    ///
    /// # Errors
    /// What keeps the backend from loading a factor and shows without reading it.
    pub fn bytes<B: Backend>(&self, backend: &B) -> Result<u64, BackendError> {
        self.terms
            .iter()
            .flat_map(|term| [&term.down, &term.up])
            .try_fold(0u64, |sum, source| Ok(sum.saturating_add(backend.matrix_bytes(source)?)))
    }

    /// Reads and packs all factors.
    ///
    /// # Errors
    /// What reading and packing report.
    pub fn load<B: Backend>(&self, backend: &B) -> Result<Adapter<B>, ModelError> {
        let mut sites: Vec<Vec<LowRank<B::Matrix>>> = (0..self.sites).map(|_| Vec::new()).collect();
        let load = |source| backend.load_matrix(source, &mut |_| ControlFlow::Continue(()));
        for TermSource { site, first, down, up, scale } in &self.terms {
            let (down, up) = (load(down)?, load(up)?);
            sites[*site].push(LowRank { down, up, first: *first, scale: *scale });
        }
        Ok(Adapter { sites })
    }
}

/// The module and the factor that a tensor's name says.
fn module(tensor: &str) -> Option<(&str, Factor)> {
    let rest = tensor.strip_prefix(PREFIX)?;
    SUFFIXES.iter().find_map(|(suffix, factor)| Some((rest.strip_suffix(suffix)?, *factor)))
}

/// An adapter whose factors are loaded.
pub struct Adapter<B: Backend> {
    /// By the number of the product.
    sites: Vec<Vec<LowRank<B::Matrix>>>,
}

impl<B: Backend> Adapter<B> {
    /// What it changes in a product.
    pub(super) fn terms(&self, site: usize) -> &[LowRank<B::Matrix>] {
        self.sites.get(site).map(Vec::as_slice).unwrap_or_default()
    }
}
