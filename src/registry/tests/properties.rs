//! Random operations, compared with a model of a registry that is a few maps, with the database opened anew in between.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::registry::{VersionSelector, VersionStatus};

const NAMES: [&str; 2] = ["x", "y"];
const ALIASES: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Operation {
    Create(usize),
    DeleteModel(usize),
    Register { name: usize, outcome: VersionStatus },
    Resume(usize, u64),
    DeleteVersion(usize, u64),
    SetAlias(usize, u64, usize),
    DeleteAlias(usize, usize),
    Copy { from: (usize, VersionSelector), to: usize },
    Comment(usize, u64, u8),
    Tag(usize, u64, u8),
    Reopen,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let (name, version, alias) = (0..NAMES.len(), 1..8_u64, 0..ALIASES.len());
    let outcome = prop_oneof![
        4 => Just(VersionStatus::Ready),
        1 => Just(VersionStatus::Pending),
        1 => Just(VersionStatus::Failed)
    ];
    let selector = prop_oneof![
        version.clone().prop_map(VersionSelector::Number),
        alias.clone().prop_map(|alias| VersionSelector::Alias(ALIASES[alias].into())),
        Just(VersionSelector::Latest),
    ];
    let operation = prop_oneof![
        2 => name.clone().prop_map(Operation::Create),
        1 => name.clone().prop_map(Operation::DeleteModel),
        6 => (name.clone(), outcome).prop_map(|(name, outcome)| Operation::Register { name, outcome }),
        1 => (name.clone(), version.clone()).prop_map(|(name, version)| Operation::Resume(name, version)),
        2 => (name.clone(), version.clone()).prop_map(|(name, version)| Operation::DeleteVersion(name, version)),
        4 => (name.clone(), version.clone(), alias.clone()).prop_map(|(n, v, a)| Operation::SetAlias(n, v, a)),
        1 => (name.clone(), alias).prop_map(|(name, alias)| Operation::DeleteAlias(name, alias)),
        2 => (name.clone(), selector, name.clone())
            .prop_map(|(name, selector, to)| Operation::Copy { from: (name, selector), to }),
        1 => (name.clone(), version.clone(), any::<u8>()).prop_map(|(n, v, text)| Operation::Comment(n, v, text)),
        1 => (name, version, any::<u8>()).prop_map(|(n, v, text)| Operation::Tag(n, v, text)),
        1 => Just(Operation::Reopen),
    ];
    prop::collection::vec(operation, 0..40)
}

/// A version as the maps have it; `None` where it was deleted.
type Version = Option<(VersionStatus, String, BTreeMap<String, String>)>;

/// What a registry is.
#[derive(Debug, Default)]
struct Maps {
    /// All versions that a name ever had, the first at 0.
    versions: [Vec<Version>; 2],
    /// The aliases of the models that are there.
    alive: [Option<BTreeMap<&'static str, u64>>; 2],
}

impl Maps {
    fn version(
        &mut self,
        name: usize,
        version: u64,
    ) -> Option<&mut (VersionStatus, String, BTreeMap<String, String>)> {
        self.alive[name].as_ref()?;
        self.versions[name].get_mut(version as usize - 1)?.as_mut()
    }

    fn select(&self, name: usize, selector: &VersionSelector) -> Option<u64> {
        let aliases = self.alive[name].as_ref()?;
        let live =
            |version: &u64| self.versions[name].get(*version as usize - 1).is_some_and(Option::is_some);
        match selector {
            VersionSelector::Number(number) => Some(*number).filter(live),
            VersionSelector::Alias(alias) => aliases.get(alias.as_str()).copied(),
            VersionSelector::Latest => (1..=self.versions[name].len() as u64).rev().find(live),
        }
    }

    fn delete_version(&mut self, name: usize, version: u64) -> bool {
        let there = self.version(name, version).is_some();
        if there {
            self.versions[name][version as usize - 1] = None;
            self.alive[name].iter_mut().for_each(|aliases| aliases.retain(|_, of| *of != version));
        }
        there
    }
}

fn id(name: usize, version: u64) -> VersionId {
    VersionId::new(super::name(NAMES[name]), version)
}

/// Does an operation to both; whether it worked must be the same.
fn apply(
    bench: &Bench,
    registry: &mut Registry,
    maps: &mut Maps,
    operation: &Operation,
) -> Result<(), TestCaseError> {
    use Operation::*;
    let (worked, expected) = match operation {
        Create(n) => {
            let expected = maps.alive[*n].is_none();
            maps.alive[*n].get_or_insert_default();
            (registry.create_model(&super::name(NAMES[*n]), &NewModel::default(), "ann").is_ok(), expected)
        }
        DeleteModel(n) => {
            let expected = maps.alive[*n].take().is_some();
            if expected {
                maps.versions[*n].iter_mut().for_each(|version| *version = None);
            }
            (registry.delete_model(&super::name(NAMES[*n]), "ann").is_ok(), expected)
        }
        Register { name, outcome } => {
            let expected = maps.alive[*name].is_some();
            if expected {
                maps.versions[*name].push(Some((*outcome, String::new(), BTreeMap::new())));
            }
            let new = NewVersion::at(bench.files(1));
            let begun = registry.begin_version(&super::name(NAMES[*name]), &new, "ann");
            let worked = begun.is_ok();
            if let Ok(registration) = begun {
                prop_assert_eq!(registration.id().version, maps.versions[*name].len() as u64);
                let finished = match outcome {
                    VersionStatus::Pending => None,
                    VersionStatus::Ready => {
                        Some(registry.finish_version(registration, "ann", &mut go_on).is_ok())
                    }
                    _ => Some(
                        registry
                            .finish_version(registration, "ann", &mut |_| ControlFlow::Break(()))
                            .is_err(),
                    ),
                };
                prop_assert_ne!(finished, Some(false));
            }
            (worked, expected)
        }
        Resume(n, v) => {
            let pending = maps.version(*n, *v).filter(|version| version.0 == VersionStatus::Pending);
            let expected = pending.is_some();
            pending.into_iter().for_each(|version| version.0 = VersionStatus::Ready);
            let finish = |registration| registry.finish_version(registration, "ann", &mut go_on);
            (registry.resume_version(&id(*n, *v)).and_then(finish).is_ok(), expected)
        }
        DeleteVersion(n, v) => {
            (registry.delete_version(&id(*n, *v), "ann").is_ok(), maps.delete_version(*n, *v))
        }
        SetAlias(n, v, a) => {
            let expected = maps.version(*n, *v).is_some();
            if expected {
                maps.alive[*n].as_mut().unwrap().insert(ALIASES[*a], *v);
            }
            (registry.set_alias(&id(*n, *v), ALIASES[*a]).is_ok(), expected)
        }
        DeleteAlias(n, a) => {
            let expected =
                maps.alive[*n].as_mut().is_some_and(|aliases| aliases.remove(ALIASES[*a]).is_some());
            (registry.delete_alias(&super::name(NAMES[*n]), ALIASES[*a]).unwrap_or(false), expected)
        }
        Copy { from: (n, selector), to } => {
            let source = maps.select(*n, selector).and_then(|v| maps.version(*n, v).cloned());
            let source = source.filter(|version| version.0 == VersionStatus::Ready);
            let expected = source.is_some();
            if expected {
                maps.alive[*to].get_or_insert_default();
                maps.versions[*to].push(source);
            }
            let from = ModelUri { name: super::name(NAMES[*n]), version: selector.clone() };
            (registry.copy_version(&from, &super::name(NAMES[*to]), "ann").is_ok(), expected)
        }
        Comment(n, v, text) => {
            let version = maps.version(*n, *v);
            let expected = version.is_some();
            version.into_iter().for_each(|version| version.1 = text.to_string());
            (registry.update_version(&id(*n, *v), &text.to_string(), "ann").is_ok(), expected)
        }
        Tag(n, v, text) => {
            let (key, value) = ((text % 3).to_string(), text.to_string());
            let version = maps.version(*n, *v);
            let expected = version.is_some();
            version.into_iter().for_each(|version| drop(version.2.insert(key.clone(), value.clone())));
            (registry.set_version_tag(&id(*n, *v), &key, &value).is_ok(), expected)
        }
        Reopen => {
            *registry = bench.again();
            (true, true)
        }
    };
    prop_assert_eq!(worked, expected, "{:?}", operation);
    Ok(())
}

/// Compares all that can be asked.
fn compare(registry: &Registry, maps: &Maps) -> Result<(), TestCaseError> {
    for (n, name) in NAMES.iter().enumerate() {
        let name = super::name(name);
        let model = registry.model(&name).ok();
        prop_assert_eq!(model.is_some(), maps.alive[n].is_some());
        if let (Some(model), Some(aliases)) = (model, &maps.alive[n]) {
            let aliases: BTreeMap<_, _> =
                aliases.iter().map(|(alias, of)| (String::from(*alias), *of)).collect();
            prop_assert_eq!(&model.aliases, &aliases);
        }
        let history = registry.version_history(&name).unwrap();
        let numbers: Vec<_> = history.iter().map(|version| version.id.version).collect();
        prop_assert_eq!(numbers, (1..=maps.versions[n].len() as u64).collect::<Vec<_>>());
        for (stored, known) in history.iter().zip(&maps.versions[n]) {
            prop_assert_eq!(stored.deleted_at.is_none(), known.is_some());
            prop_assert_eq!(stored.source.is_some(), known.is_some());
            prop_assert_eq!(stored.digest.is_some(), stored.status == VersionStatus::Ready);
            let seen =
                registry.version(&stored.id).ok().map(|v| (v.status, v.comment.clone(), v.tags.clone()));
            prop_assert_eq!(&seen, known);
        }
        let selectors = ALIASES.iter().map(|alias| VersionSelector::Alias(String::from(*alias)));
        let selectors =
            selectors.chain((1..10).map(VersionSelector::Number)).chain([VersionSelector::Latest]);
        for version in selectors {
            let expected = maps.select(n, &version);
            let asked = ModelUri { name: name.clone(), version };
            prop_assert_eq!(registry.resolve(&asked).ok().map(|version| version.id.version), expected);
            let ready =
                |v: &u64| maps.versions[n][*v as usize - 1].as_ref().unwrap().0 == VersionStatus::Ready;
            let served = registry.resolve_ready(&asked).ok().map(|version| version.id.version);
            prop_assert_eq!(served, expected.filter(ready));
        }
    }
    let pending: usize =
        maps.versions.iter().flatten().flatten().filter(|v| v.0 == VersionStatus::Pending).count();
    prop_assert_eq!(registry.pending_versions().unwrap().len(), pending);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_registry_is_a_few_maps(operations in operations()) {
        let bench = Bench::new();
        let mut registry = bench.registry.clone();
        let mut maps = Maps::default();
        for operation in &operations {
            apply(&bench, &mut registry, &mut maps, operation)?;
            compare(&registry, &maps)?;
        }
        registry.database.check().unwrap();
        compare(&bench.again(), &maps)?;
    }
}
