//! The products of a model that adapters may change.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use crate::backend::{MatrixPart, RowOrder};

/// One product of a model, as adapters see it.
#[derive(Debug, Default)]
pub(in crate::models) struct Site {
    modules: Vec<Module>,
}

/// A module of Hugging Face's model, or some of its outputs, that stands in a product.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) name: String,
    /// Of the whole module.
    pub(super) inputs: usize,
    /// Of the whole module.
    pub(super) outputs: usize,
    /// The first output of the product that is one of the module's.
    pub(super) first: usize,
    /// The outputs of the module that stand in the product from there on, and how they lie in it.
    pub(super) rows: Vec<(Range<usize>, RowOrder)>,
}

impl Site {
    /// A product of parts stacked along the outputs, each with its module and with the order of its rows there, which is
    /// not the one in the part where a format stores them in one of its own.
    pub(in crate::models) fn new<'p>(
        parts: impl Iterator<Item = (&'p str, MatrixPart<'p>, RowOrder)>,
    ) -> Self {
        let (mut site, mut first) = (Self::default(), 0);
        for (name, part, order) in parts {
            let rows = (part.stored_rows(), order);
            match site.modules.last_mut() {
                Some(module) if module.name == name => module.rows.push(rows),
                _ => site.modules.push(Module {
                    name: name.into(),
                    inputs: part.inputs(),
                    outputs: part.weight().rows(),
                    first,
                    rows: vec![rows],
                }),
            }
            first += part.outputs();
        }
        site
    }
}

/// What of a model adapters may change.
#[derive(Debug)]
pub struct Adaptable {
    sites: Vec<Site>,
    /// Where each module stands: numbers of sites and, within them, of modules.
    places: HashMap<String, Vec<(usize, usize)>>,
}

impl Adaptable {
    pub(in crate::models) fn new(sites: Vec<Site>) -> Self {
        let mut places: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
        for (at, site) in sites.iter().enumerate() {
            for (number, module) in site.modules.iter().enumerate() {
                places.entry(module.name.clone()).or_default().push((at, number));
            }
        }
        Self { sites, places }
    }

    /// The number of products.
    pub(super) fn sites(&self) -> usize {
        self.sites.len()
    }

    /// Where a module stands: the number of the site, and what of it is there. Nowhere, if it takes no adapter.
    pub(super) fn find(&self, module: &str) -> impl Iterator<Item = (usize, &Module)> {
        let places = self.places.get(module).map(Vec::as_slice).unwrap_or_default();
        places.iter().map(|&(site, number)| (site, &self.sites[site].modules[number]))
    }

    /// The last parts of the names of all modules: `q_proj`, `k_proj`, ...
    pub fn kinds(&self) -> BTreeSet<&str> {
        self.places.keys().map(|name| kind(name)).collect()
    }
}

/// The last part of a module's name.
pub(super) fn kind(module: &str) -> &str {
    module.rsplit('.').next().unwrap_or(module)
}
