//! Names to entries, and the check that every entry's references lead somewhere.

use std::collections::BTreeMap;

use super::Entries;
use super::error::{CatalogError, Quoted};
use super::name::NameKey;
use super::offering::Offering;
use super::retirement::RetirementRow;
use super::subject::SubjectKind;

type Names = BTreeMap<NameKey, usize>;

/// Where entries stand, by every name they have.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    pub(super) families: Names,
    pub(super) licenses: Names,
    pub(super) models: Names,
    pub(super) architectures: Names,
    pub(super) variants: Names,
    pub(super) fine_tuning_models: Names,
    pub(super) providers: Names,
    pub(super) endpoints: BTreeMap<String, usize>,
}

impl Index {
    /// The index of `entries`, whose references become canonical names.
    pub(super) fn build(entries: &mut Entries) -> Result<Self, CatalogError> {
        let mut index = Self::of_names(entries)?;
        for (at, model) in entries.models.iter().enumerate() {
            let Some(endpoint) = &model.endpoint else { continue };
            if let Some(first) = index.endpoints.insert(endpoint.clone(), at) {
                let accepted =
                    format!("a name of its own: {} has this one", Quoted(&entries.models[first].name));
                return Err(bad("model", &model.name, "endpoint", endpoint, accepted));
            }
        }
        index.link_families(entries)?;
        let mut rows = std::mem::take(&mut entries.retirements);
        index.link_retirements(&mut rows, entries)?;
        entries.retirements = rows;
        Ok(index)
    }

    /// The index of the names alone.
    pub(super) fn of_names(entries: &Entries) -> Result<Self, CatalogError> {
        Ok(Self {
            families: names("family", entries.families.iter().map(|f| (&f.name, f.aliases.as_slice())))?,
            licenses: names("license", entries.licenses.iter().map(|l| (&l.name, [].as_slice())))?,
            models: names("model", entries.models.iter().map(|m| (&m.name, m.aliases.as_slice())))?,
            architectures: names(
                "architecture",
                entries.architectures.iter().map(|a| (&a.name, a.aliases.as_slice())),
            )?,
            variants: names("variant", entries.variants.iter().map(|v| (&v.name, [].as_slice())))?,
            fine_tuning_models: names(
                "fine_tuning_model",
                entries.fine_tuning_models.iter().map(|m| (&m.name, m.aliases.as_slice())),
            )?,
            providers: names("provider", entries.providers.iter().map(|p| (&p.name, [].as_slice())))?,
            endpoints: BTreeMap::new(),
        })
    }

    fn link_families(&self, entries: &mut Entries) -> Result<(), CatalogError> {
        let family_names: Vec<String> = entries.families.iter().map(|family| family.name.clone()).collect();
        let license_names: Vec<String> =
            entries.licenses.iter().map(|license| license.name.clone()).collect();
        let family = |kind, of: &str, key, name: &mut Option<String>| {
            link(&self.families, &family_names, kind, of, key, name, "the name of a family")
        };
        for entry in &mut entries.families {
            link(
                &self.licenses,
                &license_names,
                "family",
                &entry.name,
                "license",
                &mut entry.license,
                "the name of a license",
            )?;
            family("family", &entry.name, "parent", &mut entry.parent)?;
        }
        for entry in &mut entries.models {
            family("model", &entry.name, "family", &mut entry.family)?;
        }
        for entry in &mut entries.architectures {
            family("architecture", &entry.name, "family", &mut entry.family)?;
        }
        for entry in &mut entries.fine_tuning_models {
            family("fine_tuning_model", &entry.name, "family", &mut entry.family)?;
        }
        for entry in &entries.families {
            let mut above = entry.parent.as_ref();
            // A chain without a circle is no longer than there are families.
            for _ in 0..entries.families.len() {
                let Some(name) = above else { break };
                above = self
                    .families
                    .get(&NameKey::of(name))
                    .and_then(|at| entries.families[*at].parent.as_ref());
            }
            if let (Some(_), Some(parent)) = (above, &entry.parent) {
                return Err(bad(
                    "family",
                    &entry.name,
                    "parent",
                    parent,
                    "a family that does not belong to this one",
                ));
            }
        }
        Ok(())
    }

    /// Makes the names in `rows` those of `entries`.
    pub(super) fn link_retirements(
        &self,
        rows: &mut [RetirementRow],
        entries: &Entries,
    ) -> Result<(), CatalogError> {
        let families: Vec<String> = entries.families.iter().map(|family| family.name.clone()).collect();
        let hosted: Vec<String> = entries.models.iter().map(|model| model.name.clone()).collect();
        let tuned: Vec<String> = entries.fine_tuning_models.iter().map(|model| model.name.clone()).collect();
        for row in rows {
            let (names, canonical, accepted): (_, _, &'static str) = match (row.subject.kind, row.offering) {
                (SubjectKind::Family, _) => (&self.families, &families, "the name of a family"),
                (_, Offering::FineTuning) => {
                    (&self.fine_tuning_models, &tuned, "the name of a fine_tuning_model")
                }
                _ => (&self.models, &hosted, "the name of a model"),
            };
            let key = row.subject.kind.as_str();
            let shown = row.subject.name.clone();
            let mut name = Some(row.subject.name.clone());
            link(names, canonical, "retirement", &shown, key, &mut name, accepted)?;
            row.subject.name = name.unwrap_or_default();
            if let Some(replacement) = &mut row.replacement {
                let mut name = Some(replacement.name.clone());
                link(names, canonical, "retirement", &shown, "replacement", &mut name, accepted)?;
                replacement.name = name.unwrap_or_default();
            }
        }
        Ok(())
    }
}

fn bad(kind: &str, name: &str, key: &str, value: &str, accepted: impl Into<String>) -> CatalogError {
    CatalogError::Value {
        entry: format!("{kind} {}", Quoted(name)),
        key: key.into(),
        value: value.into(),
        accepted: accepted.into(),
    }
}

/// Every name and alias of entries of one kind, none twice.
fn names<'a>(
    kind: &'static str,
    entries: impl Iterator<Item = (&'a String, &'a [String])>,
) -> Result<Names, CatalogError> {
    let mut names = Names::new();
    let mut owners = Vec::new();
    for (at, (name, aliases)) in entries.enumerate() {
        owners.push(name);
        let keyed = std::iter::once(("name", name)).chain(aliases.iter().map(|alias| ("aliases", alias)));
        for (key, text) in keyed {
            let name_key = NameKey::of(text);
            if name_key.is_empty() {
                return Err(bad(kind, name, key, text, "a name with letters or digits"));
            }
            match names.insert(name_key, at) {
                Some(first) if first != at => {
                    let accepted = format!("a name of its own: {} has this one", Quoted(owners[first]));
                    return Err(bad(kind, name, key, text, accepted));
                }
                _ => {}
            }
        }
    }
    Ok(names)
}

/// Makes `name` canonical.
fn link(
    names: &Names,
    canonical: &[String],
    kind: &str,
    of: &str,
    key: &str,
    name: &mut Option<String>,
    accepted: &str,
) -> Result<(), CatalogError> {
    if let Some(name) = name {
        match names.get(&NameKey::of(name)) {
            Some(at) => name.clone_from(&canonical[*at]),
            None => return Err(bad(kind, of, key, name, accepted)),
        }
    }
    Ok(())
}
