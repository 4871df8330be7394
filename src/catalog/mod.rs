//! The facts: which models are offered how, under which names and licences, and which of them were retired when.
//!
//! [`Catalog::builtin`] is what the documents of the hosted API say, compiled in as TOML. A host lays its own over it with
//! [`Catalog::with_toml`]. The catalog states facts and decides nothing; what a retirement means at a given time is the
//! matter of [`crate::lifecycle`].

mod entry;
mod error;
mod index;
mod merge;
mod name;
mod offering;
mod read;
mod reader;
mod retirement;
mod subject;
#[cfg(test)]
mod tests;
mod zone;

pub use entry::{
    Architecture, Family, FineTuningModel, HostedModel, License, Note, Provider, ProviderModels, Variant,
    VariantKind,
};
pub use error::CatalogError;
pub use offering::{Offering, Task};
pub use retirement::{RetirementDay, RetirementPolicy, RetirementRow, Wording};

pub use subject::{Subject, SubjectKind};
pub use zone::Zone;

use index::Index;
use name::NameKey;
use serde::Serialize;

/// The catalog as it is compiled in, in the order in which it is read.
const BUILTIN: [&str; 4] = [
    include_str!("facts/families.toml"),
    include_str!("facts/models.toml"),
    include_str!("facts/retirements.toml"),
    include_str!("facts/external.toml"),
];

/// All entries, each kind in the order of the documents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct Entries {
    policy: RetirementPolicy,
    families: Vec<Family>,
    licenses: Vec<License>,
    models: Vec<HostedModel>,
    architectures: Vec<Architecture>,
    variants: Vec<Variant>,
    fine_tuning_models: Vec<FineTuningModel>,
    retirements: Vec<RetirementRow>,
    providers: Vec<Provider>,
}

/// What is offered, under which names and licences, and what was retired.
///
/// Names are looked up without regard to case, spaces, hyphens and underscores, and by their aliases. Serialized, it is
/// one JSON object with a list for each kind of entry.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Catalog {
    entries: Entries,
    #[serde(skip)]
    index: Index,
}

impl Catalog {
    /// What the documents say.
    ///
    /// # Errors
    /// None in a library that passed its tests: the text that is read is compiled in.
    pub fn builtin() -> Result<Self, CatalogError> {
        let mut entries = Entries::default();
        for text in BUILTIN {
            let read = read::entries(text, &entries.policy)?;
            entries.merge(read)?;
        }
        Self::of(entries)
    }

    /// A catalog without entries, with the documents' policy.
    pub fn empty() -> Self {
        Self { entries: Entries::default(), index: Index::default() }
    }

    /// This catalog with the entries of a TOML text laid over it.
    ///
    /// The text has `[[family]]`, `[[license]]`, `[[model]]`, `[[architecture]]`, `[[variant]]`, `[[fine_tuning_model]]`,
    /// `[[retirement]]` and `[[provider]]` entries and a `[policy]`, with the keys of the types of this module:
    ///
    /// ```
    /// let catalog = model_runtime::catalog::Catalog::builtin()?.with_toml(
    ///     r#"
    ///     [[model]]
    ///     name = "House-7B-Instruct"
    ///     task = "chat"
    ///     endpoint = "house-7b"
    ///
    ///     [[retirement]]
    ///     offering = "pay_per_token"
    ///     model = "House-7B-Instruct"
    ///     day = 2027-06-30
    ///     wording = "after"
    ///     zone = "Europe/Paris"
    ///     replacement = "Meta-Llama-3.3-70B-Instruct"
    ///     "#,
    /// )?;
    /// assert_eq!(catalog.endpoint("house-7b").map(|model| model.name.as_str()), Some("House-7B-Instruct"));
    /// # Ok::<(), model_runtime::catalog::CatalogError>(())
    /// ```
    ///
    /// An entry of the name of an old one (of a retirement: of its offering and subject) takes its place and replaces all of
    /// it: keys that it does not give are unset, not inherited. Other entries follow after the old ones. `[policy]` changes
    /// the keys that it gives. Nothing can be taken out. Within one text a name stands once; over all of the catalog a
    /// name, an alias and an endpoint belong to one entry of a kind, and what an entry refers to must exist.
    ///
    /// Retirements in a catalog are history: they are exempt from the notice period. New ones are announced in the
    /// [`Timeline`](crate::lifecycle::Timeline).
    ///
    /// # Errors
    /// Text that is not TOML, unknown or missing keys, values of a wrong type or out of range, names that are taken, and
    /// references that lead nowhere. The error is one line that names the entry, the key, the value and what would be accepted.
    pub fn with_toml(&self, text: &str) -> Result<Self, CatalogError> {
        let mut entries = self.entries.clone();
        entries.merge(read::entries(text, &self.entries.policy)?)?;
        Self::of(entries)
    }

    fn of(mut entries: Entries) -> Result<Self, CatalogError> {
        let index = Index::build(&mut entries)?;
        Ok(Self { entries, index })
    }

    /// The retirement policy.
    pub fn policy(&self) -> &RetirementPolicy {
        &self.entries.policy
    }

    /// All families.
    pub fn families(&self) -> &[Family] {
        &self.entries.families
    }

    /// All licences.
    pub fn licenses(&self) -> &[License] {
        &self.entries.licenses
    }

    /// All models offered by the token, retired ones too.
    pub fn models(&self) -> &[HostedModel] {
        &self.entries.models
    }

    /// All architectures that can be deployed with reserved capacity.
    pub fn architectures(&self) -> &[Architecture] {
        &self.entries.architectures
    }

    /// Models named as examples of what runs with reserved capacity.
    pub fn variants(&self) -> &[Variant] {
        &self.entries.variants
    }

    /// All models that can be trained further, retired ones too.
    pub fn fine_tuning_models(&self) -> &[FineTuningModel] {
        &self.entries.fine_tuning_models
    }

    /// What the documents say has been retired, from all offerings.
    pub fn retirements(&self) -> &[RetirementRow] {
        &self.entries.retirements
    }

    /// Providers of models that somebody else hosts.
    pub fn providers(&self) -> &[Provider] {
        &self.entries.providers
    }

    /// The family of this name or alias.
    pub fn family(&self, name: &str) -> Option<&Family> {
        find(&self.entries.families, &self.index.families, name)
    }

    /// The licence of this name.
    pub fn license(&self, name: &str) -> Option<&License> {
        find(&self.entries.licenses, &self.index.licenses, name)
    }

    /// The model offered by the token of this name or alias.
    pub fn model(&self, name: &str) -> Option<&HostedModel> {
        find(&self.entries.models, &self.index.models, name)
    }

    /// The model behind a preconfigured endpoint, whose name is compared exactly.
    pub fn endpoint(&self, endpoint: &str) -> Option<&HostedModel> {
        self.index.endpoints.get(endpoint).map(|at| &self.entries.models[*at])
    }

    /// The architecture of this name or alias.
    pub fn architecture(&self, name: &str) -> Option<&Architecture> {
        find(&self.entries.architectures, &self.index.architectures, name)
    }

    /// The variant of this name.
    pub fn variant(&self, name: &str) -> Option<&Variant> {
        find(&self.entries.variants, &self.index.variants, name)
    }

    /// The model to train further of this name or alias.
    pub fn fine_tuning_model(&self, name: &str) -> Option<&FineTuningModel> {
        find(&self.entries.fine_tuning_models, &self.index.fine_tuning_models, name)
    }

    /// The provider of this name.
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        find(&self.entries.providers, &self.index.providers, name)
    }

    /// The canonical subject of a name, alias or endpoint in an offering: a model if there is one, else a family.
    pub fn subject(&self, offering: Offering, name: &str) -> Option<Subject> {
        let model = match offering {
            Offering::FineTuning => self.fine_tuning_model(name).map(|model| &model.name),
            _ => self.endpoint(name).or_else(|| self.model(name)).map(|model| &model.name),
        };
        let model = model.map(Subject::model);
        model.or_else(|| self.family(name).map(|family| Subject::family(&family.name)))
    }

    /// A family and the larger ones that it belongs to, the nearest first.
    pub fn lineage(&self, family: &str) -> Vec<&Family> {
        let mut lineage = Vec::new();
        let mut next = self.family(family);
        while let Some(family) = next {
            lineage.push(family);
            next = family.parent.as_deref().and_then(|parent| self.family(parent));
        }
        lineage
    }

    /// The licence of a family: its own, or that of the nearest larger family that has one.
    pub fn license_of(&self, family: &str) -> Option<&License> {
        let license = self.lineage(family).into_iter().find_map(|family| family.license.as_deref())?;
        self.license(license)
    }
}

impl PartialEq for Catalog {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

fn find<'a, T>(
    entries: &'a [T],
    names: &std::collections::BTreeMap<NameKey, usize>,
    name: &str,
) -> Option<&'a T> {
    names.get(&NameKey::of(name)).map(|at| &entries[*at])
}
