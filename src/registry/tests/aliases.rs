//! Aliases move; versions do not.

use super::*;
use crate::error::{Error, ErrorKind};

#[test]
fn an_alias_points_at_one_version_and_can_be_moved() {
    let bench = Bench::new();
    let name = bench.model("m");
    let (one, two) = (bench.ready(&name, 1), bench.ready(&name, 2));
    let registry = &bench.registry;
    registry.set_alias(&one.id, "champion").unwrap();
    registry.set_alias(&one.id, "stable").unwrap();
    let champion = uri("models:/main.default.m@champion");
    assert_eq!(registry.resolve_ready(&champion).unwrap(), one);
    registry.set_alias(&two.id, "champion").unwrap();
    assert_eq!(registry.resolve_ready(&champion).unwrap(), two);
    assert_eq!(registry.model(&name).unwrap().aliases, [("champion".into(), 2), ("stable".into(), 1)].into());

    assert!(registry.delete_alias(&name, "champion").unwrap());
    assert!(!registry.delete_alias(&name, "champion").unwrap());
    assert!(!registry.delete_alias(&name, "no such alias").unwrap());
    let error = registry.resolve(&champion).unwrap_err();
    assert_says(&error, &["main.default.m", "\"champion\"", "it has stable"]);
    assert_eq!(Error::from(error).kind(), ErrorKind::InvalidRequest);
    assert_eq!(registry.versions(&name).unwrap(), [one, two]);
}

#[test]
fn an_alias_needs_a_version_that_is_there() {
    let bench = Bench::new();
    let (name, other) = (bench.model("m"), bench.model("other"));
    bench.ready(&other, 1);
    let missing = VersionId::new(name.clone(), 1);
    assert!(matches!(
        bench.registry.set_alias(&missing, "champion"),
        Err(RegistryError::VersionNotFound { deleted: false, .. })
    ));
    let nobody = VersionId::new(super::name("nobody"), 1);
    assert!(matches!(
        bench.registry.set_alias(&nobody, "champion"),
        Err(RegistryError::ModelNotFound { .. })
    ));
    assert!(matches!(
        bench.registry.delete_alias(&nobody.name, "a"),
        Err(RegistryError::ModelNotFound { .. })
    ));
    assert!(bench.registry.model(&name).unwrap().aliases.is_empty());
}

#[test]
fn aliases_go_with_their_version() {
    let bench = Bench::new();
    let name = bench.model("m");
    let (one, two) = (bench.ready(&name, 1), bench.ready(&name, 2));
    for (id, alias) in [(&one.id, "a"), (&one.id, "b"), (&two.id, "c")] {
        bench.registry.set_alias(id, alias).unwrap();
    }
    bench.registry.delete_version(&one.id, "ann").unwrap();
    assert_eq!(bench.registry.model(&name).unwrap().aliases, [("c".into(), 2)].into());
    assert!(matches!(
        bench.registry.set_alias(&one.id, "a"),
        Err(RegistryError::VersionNotFound { deleted: true, .. })
    ));
}

#[test]
fn latest_is_the_highest_number_that_is_there() {
    let bench = Bench::new();
    let name = bench.model("m");
    let latest = uri("models:/main.default.m/latest");
    let error = bench.registry.resolve(&latest).unwrap_err();
    assert!(matches!(error, RegistryError::NoVersion { .. }), "{error}");
    assert_eq!(Error::from(error).kind(), ErrorKind::NotFound);
    let versions: Vec<_> = (1..=3).map(|seed| bench.ready(&name, seed)).collect();
    for version in versions.iter().rev() {
        assert_eq!(bench.registry.resolve(&latest).unwrap(), *version);
        bench.registry.delete_version(&version.id, "ann").unwrap();
    }
    assert!(bench.registry.resolve(&latest).is_err());
}
