//! How versions come to be and go.

use super::*;
use crate::error::{Error, ErrorKind};
use crate::registry::{Layout, ModelChange, VersionStatus};
use crate::weights::{Checkpoint, WeightsError};

#[test]
fn a_version_is_pending_until_its_files_are_hashed() {
    let bench = Bench::new();
    let name = bench.model("m");
    let files = bench.files(1);
    let new = NewVersion::at(&files).run("run-7").comment("the first").tag("task", "chat");
    let registration = bench.registry.begin_version(&name, &new, "bob").unwrap();
    let id = registration.id().clone();
    let pending = bench.again().version(&id).unwrap();
    assert_eq!((pending.status, pending.digest), (VersionStatus::Pending, None));
    let error = bench.registry.resolve_ready(&id.clone().into()).unwrap_err();
    assert_says(&error, &["models:/main.default.m/1 is pending", "only ready versions"]);
    assert_eq!(Error::from(error).kind(), ErrorKind::Conflict);
    assert_eq!(bench.registry.pending_versions().unwrap(), std::slice::from_ref(&id));

    let mut done = Vec::new();
    let ready = bench
        .registry
        .finish_version(registration, "bob", &mut |progress| {
            done.push((progress.done_bytes, progress.total_bytes));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(ready.status, VersionStatus::Ready);
    assert_eq!(ready.digest, Some(Checkpoint::open(&files).unwrap().digest(&mut go_on).unwrap()));
    assert_eq!((ready.source.as_deref(), ready.layout), (Some(&*files), Layout::Model));
    assert_eq!((ready.run_id.as_deref(), ready.comment.as_str()), (Some("run-7"), "the first"));
    assert_eq!(ready.tags, [("task".into(), "chat".into())].into());
    assert_eq!(ready.created.by, "bob");
    assert!(done.is_sorted() && done.last().unwrap().0 == done.last().unwrap().1, "{done:?}");
    assert_eq!(bench.again().resolve_ready(&id.into()).unwrap(), ready);
    assert!(bench.registry.pending_versions().unwrap().is_empty());
}

#[test]
fn a_version_whose_files_cannot_be_read_has_failed() {
    let bench = Bench::new();
    let name = bench.model("m");
    let nowhere = NewVersion::at(bench.dir.path().join("nowhere"));
    let error = bench.registry.register(&name, &nowhere, "ann", &mut go_on).unwrap_err();
    assert!(matches!(error, RegistryError::Weights(WeightsError::Io { .. })), "{error}");
    assert_eq!(Error::from(error).kind(), ErrorKind::NotFound);

    let cancelled = NewVersion::at(bench.files(1));
    let error =
        bench.registry.register(&name, &cancelled, "ann", &mut |_| ControlFlow::Break(())).unwrap_err();
    assert_eq!(Error::from(error).kind(), ErrorKind::Cancelled);

    let failed = bench.registry.versions(&name).unwrap();
    let messages: Vec<_> = failed.iter().map(|version| (version.status, &*version.status_message)).collect();
    assert_eq!(messages[1], (VersionStatus::Failed, "loading was cancelled"));
    assert!(messages[0].0 == VersionStatus::Failed && messages[0].1.contains("nowhere"), "{messages:?}");
    let error = bench.registry.resolve_ready(&uri("models:/main.default.m/1")).unwrap_err();
    assert_says(&error, &["is failed", "nowhere"]);
    assert!(matches!(bench.registry.resume_version(&failed[0].id), Err(RegistryError::NotPending { .. })));
    assert_eq!(bench.ready(&name, 1).id.version, 3);
}

#[test]
fn a_registration_left_behind_is_taken_up_by_one() {
    let bench = Bench::new();
    let name = bench.model("m");
    let first = bench.registry.begin_version(&name, &NewVersion::at(bench.files(1)), "ann").unwrap();
    let id = first.id().clone();
    let other = bench.again();
    let second = other.resume_version(&id).unwrap();
    // The first still lives after all; it must not finish what is another's.
    let error = bench.registry.finish_version(first, "ann", &mut go_on).unwrap_err();
    assert!(matches!(error, RegistryError::TakenUp { .. }), "{error}");
    assert_eq!(bench.registry.version(&id).unwrap().status, VersionStatus::Pending);
    let ready = other.finish_version(second, "bob", &mut go_on).unwrap();
    assert_eq!(bench.registry.resolve_ready(&id.clone().into()).unwrap(), ready);
    assert_eq!(bench.registry.files(&ready).unwrap().len(), 2);

    // Deleted while it was hashed.
    let third = bench.registry.begin_version(&name, &NewVersion::at(bench.files(2)), "ann").unwrap();
    bench.again().delete_version(third.id(), "bob").unwrap();
    let error = bench.registry.finish_version(third, "ann", &mut go_on).unwrap_err();
    assert!(matches!(error, RegistryError::VersionNotFound { deleted: true, .. }), "{error}");
    assert!(bench.registry.pending_versions().unwrap().is_empty());
}

#[test]
fn a_deleted_version_is_a_tombstone() {
    let bench = Bench::new();
    let name = bench.model("m");
    let new = NewVersion::at(bench.files(1)).run("run").comment("c").tag("k", "v");
    let one = bench.registry.register(&name, &new, "ann", &mut go_on).unwrap();
    bench.registry.delete_version(&one.id, "bob").unwrap();
    let error = bench.registry.version(&one.id).unwrap_err();
    assert!(matches!(error, RegistryError::VersionNotFound { .. }), "{error}");
    assert!(bench.registry.delete_version(&one.id, "bob").is_err());
    assert!(bench.registry.update_version(&one.id, "again", "bob").is_err());
    assert!(bench.registry.set_version_tag(&one.id, "k", "v").is_err());
    let history = bench.registry.version_history(&name).unwrap();
    let [tombstone] = history.as_slice() else { panic!("{history:?}") };
    assert_eq!((tombstone.id.version, tombstone.digest), (1, one.digest));
    assert_eq!((&tombstone.source, &tombstone.run_id, &*tombstone.comment), (&None, &None, ""));
    assert!(tombstone.deleted_at.is_some() && tombstone.updated.by == "bob");
    assert_eq!(bench.ready(&name, 1).id.version, 2);
    assert!(bench.files(1).join("model.safetensors").exists());
}

#[test]
fn numbers_go_on_over_all_lives_of_a_name() {
    let bench = Bench::new();
    let name = bench.model("m");
    bench.ready(&name, 1);
    let two = bench.ready(&name, 2);
    bench.registry.set_alias(&two.id, "champion").unwrap();
    bench.registry.set_model_tag(&name, "k", "v").unwrap();
    let error = bench.registry.create_model(&name, &NewModel::default(), "ann").unwrap_err();
    assert_says(&error, &["main.default.m is registered already"]);
    assert_eq!(Error::from(error).kind(), ErrorKind::Conflict);

    bench.registry.delete_model(&name, "bob").unwrap();
    let error = bench.registry.resolve(&uri("models:/main.default.m@champion")).unwrap_err();
    assert_says(&error, &["no model is registered as main.default.m"]);
    assert_eq!(Error::from(error).kind(), ErrorKind::NotFound);
    assert!(bench.registry.delete_model(&name, "bob").is_err());
    assert!(bench.registry.begin_version(&name, &NewVersion::at("x"), "ann").is_err());
    assert!(bench.registry.models().unwrap().is_empty());

    let new = NewModel::default().owned_by("eve").comment("the second life");
    bench.registry.create_model(&name, &new, "ann").unwrap();
    let model = bench.registry.model(&name).unwrap();
    assert_eq!(
        (&*model.owner, &*model.comment, model.tags.len(), model.aliases.len()),
        ("eve", "the second life", 0, 0)
    );
    assert!(bench.registry.versions(&name).unwrap().is_empty());
    assert!(bench.registry.set_alias(&two.id, "champion").is_err());
    assert_eq!(bench.ready(&name, 1).id.version, 3);
    assert_eq!(bench.registry.version_history(&name).unwrap().len(), 3);
}

#[test]
fn a_copy_is_the_same_under_another_name() {
    let bench = Bench::new();
    let (name, target) = (bench.model("m"), name("target"));
    let base = bench.ready(&name, 1);
    let new =
        NewVersion::at(bench.files(2)).run("r").comment("c").tag("k", "v").trained_from(base.id.clone());
    let tuned = bench.registry.register(&name, &new, "ann", &mut go_on).unwrap();
    assert_eq!(tuned.parent, Some(base.id.clone()));
    bench.registry.set_alias(&tuned.id, "champion").unwrap();

    bench.clock.advance(std::time::Duration::from_secs(60));
    let copy = bench.registry.copy_version(&uri("models:/main.default.m@champion"), &target, "bob").unwrap();
    assert_eq!(
        (copy.id.to_string().as_str(), copy.created.by.as_str()),
        ("models:/main.default.target/1", "bob")
    );
    assert_eq!(copy.copied_from, Some(tuned.id.clone()));
    let as_source = ModelVersion {
        id: tuned.id.clone(),
        copied_from: None,
        created: tuned.created.clone(),
        updated: tuned.updated.clone(),
        ..ModelVersion::clone(&copy)
    };
    assert_eq!(as_source, *tuned);
    assert_eq!(bench.registry.files(&copy).unwrap(), bench.registry.files(&tuned).unwrap());
    assert!(bench.registry.model(&target).unwrap().aliases.is_empty());

    bench.registry.delete_version(&tuned.id, "ann").unwrap();
    assert_eq!(bench.registry.resolve_ready(&copy.id.clone().into()).unwrap(), copy);
    assert!(bench.registry.copy_version(&tuned.id.clone().into(), &target, "bob").is_err());
    let pending = bench.registry.begin_version(&name, &NewVersion::at(bench.files(3)), "ann").unwrap();
    let error = bench.registry.copy_version(&pending.id().clone().into(), &target, "bob").unwrap_err();
    assert!(matches!(error, RegistryError::NotReady { .. }), "{error}");
    assert_eq!(bench.registry.copy_version(&base.id.clone().into(), &target, "bob").unwrap().id.version, 2);
}

#[test]
fn comments_and_owners_change_and_origins_do_not() {
    let bench = Bench::new();
    let name = bench.model("m");
    let one = bench.ready(&name, 1);
    bench.clock.advance(std::time::Duration::from_secs(60));
    bench.registry.update_version(&one.id, "good", "bob").unwrap();
    let change = ModelChange { owner: Some("eve".into()), comment: None };
    bench.registry.update_model(&name, &change, "bob").unwrap();
    let (model, version) = (bench.registry.model(&name).unwrap(), bench.registry.version(&one.id).unwrap());
    assert_eq!((&*model.owner, &*model.comment, &*model.updated.by), ("eve", "", "bob"));
    assert_eq!(model.updated.at.duration_since(model.created.at).as_secs(), 60);
    assert_eq!((&*version.comment, &*version.updated.by, &*version.created.by), ("good", "bob", "ann"));
    let orphan = NewVersion::at(bench.files(2)).trained_from(VersionId::new(name.clone(), 9));
    assert!(matches!(
        bench.registry.begin_version(&name, &orphan, "ann"),
        Err(RegistryError::VersionNotFound { deleted: false, .. })
    ));
}

/// What the code never does, the database does not allow either.
#[test]
fn the_rows_defend_themselves() {
    let bench = Bench::new();
    let name = bench.model("m");
    let (one, two) = (bench.ready(&name, 1), bench.ready(&name, 2));
    bench.registry.delete_version(&two.id, "ann").unwrap();
    bench.registry.set_alias(&one.id, "a").unwrap();
    bench.model("gone");
    bench.registry.delete_model(&super::name("gone"), "ann").unwrap();
    for sql in [
        "DELETE FROM model_version",
        "DELETE FROM registered_model",
        "DELETE FROM version_file",
        "UPDATE version_file SET sha256 = zeroblob(32)",
        "UPDATE model_version SET version = 9 WHERE version = 1",
        "UPDATE model_version SET status = 'pending', digest = NULL WHERE version = 1",
        "UPDATE model_version SET digest = zeroblob(32) WHERE version = 1",
        "UPDATE model_version SET source = '/elsewhere' WHERE version = 1",
        "UPDATE model_version SET source = NULL WHERE version = 1",
        "UPDATE model_version SET parent_name = name, parent_version = 2 WHERE version = 1",
        "UPDATE model_version SET deleted_at = NULL, source = 'x' WHERE version = 2",
        "UPDATE model_version SET comment = 'x' WHERE version = 2",
        "UPDATE model_alias SET version = 3",
        "UPDATE registered_model SET name = 'a.b.c'",
        "UPDATE registered_model SET deleted_at = NULL WHERE deleted_at IS NOT NULL",
        "INSERT INTO registry_change VALUES (2, 0)",
    ] {
        let outcome = bench.registry.database.write(|tx| Ok::<_, RegistryError>(tx.execute(sql, [])?));
        assert!(outcome.is_err(), "{sql}");
    }
    bench.registry.database.check().unwrap();
    assert_eq!(bench.again().resolve_ready(&one.id.clone().into()).unwrap(), one);
}
