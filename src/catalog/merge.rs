//! Adding the entries of one text to those of another.

use super::Entries;
use super::entry::{Architecture, Family, FineTuningModel, HostedModel, License, Provider, Variant};
use super::error::CatalogError;
use super::index::Index;
use super::name::NameKey;
use super::retirement::RetirementRow;

/// An entry that replaces another of the same key.
trait Keyed {
    type Key: PartialEq;

    const KIND: &'static str;

    fn key(&self) -> Self::Key;

    fn shown(&self) -> &str;
}

macro_rules! keyed_by_name {
    ($($type:ty => $kind:literal),+ $(,)?) => {
        $(impl Keyed for $type {
            type Key = NameKey;

            const KIND: &'static str = $kind;

            fn key(&self) -> NameKey {
                NameKey::of(&self.name)
            }

            fn shown(&self) -> &str {
                &self.name
            }
        })+
    };
}

keyed_by_name!(
    Family => "family",
    License => "license",
    HostedModel => "model",
    Architecture => "architecture",
    Variant => "variant",
    FineTuningModel => "fine_tuning_model",
    Provider => "provider",
);

impl Keyed for RetirementRow {
    type Key = (super::Offering, super::SubjectKind, NameKey);

    const KIND: &'static str = "retirement";

    fn key(&self) -> Self::Key {
        (self.offering, self.subject.kind, NameKey::of(&self.subject.name))
    }

    fn shown(&self) -> &str {
        &self.subject.name
    }
}

impl Entries {
    /// Takes in `new`: an entry of the same key stands in the place of the old one, others follow at the end.
    pub(super) fn merge(&mut self, new: Self) -> Result<(), CatalogError> {
        self.policy = new.policy;
        take(&mut self.families, new.families)?;
        take(&mut self.licenses, new.licenses)?;
        take(&mut self.models, new.models)?;
        take(&mut self.architectures, new.architectures)?;
        take(&mut self.variants, new.variants)?;
        take(&mut self.fine_tuning_models, new.fine_tuning_models)?;
        take(&mut self.providers, new.providers)?;
        // A row is the same row by whichever name it calls its subject.
        let mut rows = new.retirements;
        Index::of_names(self)?.link_retirements(&mut rows, self)?;
        take(&mut self.retirements, rows)
    }
}

fn take<T: Keyed>(list: &mut Vec<T>, new: Vec<T>) -> Result<(), CatalogError> {
    let mut keys: Vec<T::Key> = list.iter().map(T::key).collect();
    let mut written = vec![false; keys.len()];
    for entry in new {
        let key = entry.key();
        match keys.iter().position(|old| *old == key) {
            Some(at) if written[at] => {
                return Err(CatalogError::Value {
                    entry: format!("{} {}", T::KIND, super::error::Quoted(entry.shown())),
                    key: "its name".into(),
                    value: entry.shown().into(),
                    accepted: "one entry of a name in each text".into(),
                });
            }
            Some(at) => {
                list[at] = entry;
                written[at] = true;
            }
            None => {
                list.push(entry);
                keys.push(key);
                written.push(true);
            }
        }
    }
    Ok(())
}
