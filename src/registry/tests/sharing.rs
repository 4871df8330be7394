//! Several registries of one database: each sees at once what the others write.

use std::collections::BTreeSet;
use std::thread;

use super::*;
use crate::database::Durability;

#[test]
fn what_one_writes_all_others_see() {
    let bench = Bench::new();
    let other = bench.again();
    let name = bench.model("m");
    assert!(other.model(&name).is_ok());
    let champion = uri("models:/main.default.m@champion");
    for seed in 1..4 {
        let version = bench.ready(&name, seed);
        assert_eq!(other.resolve_ready(&version.id.clone().into()).unwrap(), version);
        bench.registry.set_alias(&version.id, "champion").unwrap();
        assert_eq!(other.resolve_ready(&champion).unwrap(), version);
        other.update_version(&version.id, "seen", "bob").unwrap();
        assert_eq!(bench.registry.version(&version.id).unwrap().comment, "seen");
    }
    other.delete_model(&name, "bob").unwrap();
    assert!(bench.registry.resolve(&champion).is_err());
    other.create_model(&name, &NewModel::default(), "bob").unwrap();
    assert!(bench.registry.model(&name).unwrap().aliases.is_empty());
    assert_eq!(bench.registry.model(&name).unwrap().owner, "bob");
}

/// What was not read again is the same object: writes of others about other models, and writes that are no business of the
/// registry's, cost no reading.
#[test]
fn only_what_changed_is_read_again() {
    let bench = Bench::new();
    let (one, two) = (bench.model("one"), bench.model("two"));
    let other = bench.again();
    let (kept, changed) = (other.model(&one).unwrap(), other.model(&two).unwrap());
    bench.registry.set_model_tag(&two, "k", "v").unwrap();
    let usage = bench.registry.database.connection(Durability::Buffered).unwrap();
    usage.write(|tx| Ok::<_, RegistryError>(tx.execute("CREATE TABLE elsewhere (x)", [])?)).unwrap();
    assert!(Arc::ptr_eq(&other.model(&one).unwrap(), &kept));
    assert!(!Arc::ptr_eq(&other.model(&two).unwrap(), &changed));
}

#[test]
fn a_registry_in_memory_is_shared_by_its_clones() {
    let dir = TempDir::new().unwrap();
    write_model(dir.path(), 1);
    let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
    let database = Database::in_memory().unwrap();
    let one = Registry::new(&database, clock.clone()).unwrap();
    let two = Registry::new(&database, clock).unwrap();
    one.create_model(&name("m"), &NewModel::default(), "ann").unwrap();
    let version = one.register(&name("m"), &NewVersion::at(dir.path()), "ann", &mut go_on).unwrap();
    assert_eq!(two.resolve_ready(&uri("models:/main.default.m/latest")).unwrap(), version);
    two.delete_version(&version.id, "bob").unwrap();
    assert!(one.version(&version.id).is_err());
}

#[test]
fn numbers_are_given_once_to_many_at_once() {
    let bench = Bench::new();
    let name = bench.model("m");
    let files = bench.files(1);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (registry, name, files) = (bench.again(), name.clone(), files.clone());
            thread::spawn(move || -> Vec<u64> {
                let register =
                    |_| registry.register(&name, &NewVersion::at(&files), "ann", &mut go_on).unwrap();
                (0..10).map(register).map(|version| version.id.version).collect()
            })
        })
        .collect();
    let numbers: Vec<u64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert_eq!(numbers.iter().copied().collect::<BTreeSet<_>>(), (1..=40).collect());
    assert_eq!(bench.registry.versions(&name).unwrap().len(), 40);
}
