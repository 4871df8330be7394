//! Ids of updated models.

use proptest::prelude::*;

use super::date;
use crate::lifecycle::{UpdateError, UpdateHistory, UpdateRecord};

const BASE: &str = "meta-llama/Meta-Llama-3.3-70B";

fn updated(dates: &[&str]) -> UpdateHistory {
    let mut history = UpdateHistory::new();
    history.register(BASE, "v1").unwrap();
    for (index, text) in dates.iter().enumerate() {
        history.update(BASE, date(text), &format!("v{}", index + 2), "").unwrap();
    }
    history
}

fn ids(history: &UpdateHistory) -> Vec<&str> {
    history.history(BASE).map(|record| record.response_id.as_str()).collect()
}

#[test]
fn the_example_of_the_documents() {
    let mut history = updated(&[]);
    let record = history.update(BASE, date("2024-03-04"), "v2", "faster").unwrap();
    assert_eq!(record.response_id, "meta-llama/Meta-Llama-3.3-70B-030424");
    assert_eq!((record.version.as_str(), record.update_date), ("v2", Some(date("2024-03-04"))));
}

#[test]
fn across_years_the_order_is_that_of_time_and_suffixes_replace() {
    let history = updated(&["2024-03-04", "2024-12-01", "2025-01-05"]);
    let expected = ["", "-030424", "-120124", "-010525"].map(|suffix| format!("{BASE}{suffix}"));
    assert_eq!(ids(&history), expected);
    for id in &expected {
        let all: Vec<_> = history.history(id).map(|record| record.response_id.clone()).collect();
        assert_eq!(all, expected, "the whole history from {id}");
    }
    assert_eq!(history.get(&expected[1]).unwrap().version, "v2", "an old id names what it always named");
    assert_eq!(history.current(&expected[0]).unwrap().version, "v4");
    let on = |text| history.current_on(BASE, date(text)).unwrap().response_id.as_str();
    assert_eq!(on("2024-03-03"), expected[0]);
    assert_eq!(on("2024-03-04"), expected[1]);
    assert_eq!(on("2025-01-04"), expected[2]);
    assert_eq!(on("2030-01-01"), expected[3]);
}

#[test]
fn updates_of_one_day_are_numbered() {
    let history = updated(&["2024-03-04", "2024-03-04", "2024-03-04", "2024-03-05"]);
    let expected =
        ["", "-030424", "-030424.2", "-030424.3", "-030524"].map(|suffix| format!("{BASE}{suffix}"));
    assert_eq!(ids(&history), expected);
}

/// The suffix has two digits of the year: a hundred years later it would come again.
#[test]
fn no_id_comes_twice() {
    let history = updated(&["2024-03-04", "2124-03-04"]);
    assert_eq!(ids(&history)[2], format!("{BASE}-030424.2"));
    let mut history = UpdateHistory::new();
    history.register("m-030424", "other").unwrap();
    history.register("m", "v1").unwrap();
    assert_eq!(history.update("m", date("2024-03-04"), "v2", "").unwrap().response_id, "m-030424.2");
    assert_eq!(history.get("m-030424").unwrap().version, "other");
    let taken = history.register("m-030424.2", "v3").unwrap_err();
    assert_eq!(
        taken.to_string(),
        "the id \"m-030424.2\" names version \"v2\" already; accepted are ids that were never used"
    );
}

#[test]
fn an_update_of_an_update_is_one_of_the_base() {
    let mut history = updated(&["2024-03-04"]);
    let record = history.update(&format!("{BASE}-030424"), date("2024-12-01"), "v3", "").unwrap();
    assert_eq!(record.response_id, format!("{BASE}-120124"));
}

/// Names that end in digits are names like any other: nothing is taken apart.
#[test]
fn ids_are_looked_up_and_never_parsed() {
    let mut history = UpdateHistory::new();
    for base in ["claude-3-5-sonnet-20241022", "command-r-08-2024", "gpt-4-turbo-2024-04", "m-123456"] {
        history.register(base, "1").unwrap();
        assert_eq!(
            history.update(base, date("2025-01-05"), "2", "").unwrap().response_id,
            format!("{base}-010525")
        );
        assert_eq!(history.history(base).count(), 2);
    }
    assert_eq!(history.get("claude-3-5-sonnet"), None);
    assert_eq!(history.get("m"), None);
    assert_eq!(history.get("m-010525"), None);
}

#[test]
fn what_is_refused() {
    let mut history = updated(&["2024-12-01"]);
    let mut update = |id: &str, on: &str, version: &str| {
        history.update(id, date(on), version, "").map(|_| ()).unwrap_err()
    };
    assert!(matches!(update("nobody", "2025-01-01", "v9"), UpdateError::Unknown { .. }));
    assert!(matches!(update(BASE, "2024-11-30", "v9"), UpdateError::Backwards { .. }));
    assert!(matches!(update(BASE, "2025-01-01", "v2"), UpdateError::Unchanged { .. }));
    assert!(matches!(update(BASE, "2025-01-01", ""), UpdateError::Name { what: "version", .. }));
    assert_eq!(history.records().len(), 2, "nothing of it was kept");
    let mut records = history.records().to_vec();
    records.remove(0);
    assert!(matches!(UpdateHistory::try_from(records), Err(UpdateError::Sequence { expected: 1, found: 2 })));
    let orphan = UpdateRecord { seq: 1, ..history.records()[1].clone() };
    assert!(matches!(UpdateHistory::try_from(vec![orphan]), Err(UpdateError::Unknown { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever is registered and updated in whatever order: every id names one version for ever, histories only grow, no
    /// suffix is put on a suffix, and what is written down reads back the same from any order of records.
    #[test]
    fn every_id_names_one_version_for_ever(
        steps in prop::collection::vec((0..4_usize, any::<bool>(), 0..5_i8), 1..40),
        shuffled in any::<prop::sample::Index>(),
    ) {
        let bases = ["m", "m-010124", "m-010124.2", "other/m"];
        let mut history = UpdateHistory::new();
        let mut named = std::collections::BTreeMap::new();
        for (number, (which, through_latest, day)) in steps.into_iter().enumerate() {
            let base = bases[which];
            let before = history.records().to_vec();
            let version = format!("v{number}");
            let outcome = if history.get(base).is_none() {
                history.register(base, &version).cloned()
            } else {
                let base_id = history.get(base).unwrap().base_id.clone();
                let latest = history.current(&base_id).unwrap().response_id.clone();
                let on = jiff::civil::date(2024, 1, 1 + day);
                history.update(if through_latest { &latest } else { &base_id }, on, &version, "").cloned()
            };
            prop_assert_eq!(&history.records()[..before.len()], &before[..], "append-only");
            if let Ok(record) = outcome {
                prop_assert!(named.insert(record.response_id.clone(), version).is_none(), "a new id");
                if let Some(on) = record.update_date {
                    let dated = format!("{}-{}", record.base_id, on.strftime("%m%d%y"));
                    let rest = record.response_id.strip_prefix(&dated);
                    prop_assert!(rest.is_some_and(|rest| rest.is_empty() || rest[1..].parse::<u32>().is_ok()));
                }
            }
            for (id, version) in &named {
                prop_assert_eq!(&history.get(id).unwrap().version, version);
            }
        }
        let mut records = history.records().to_vec();
        let middle = shuffled.index(records.len());
        records.rotate_left(middle);
        prop_assert_eq!(&UpdateHistory::try_from(records).unwrap(), &history);
        let json = serde_json::to_string(&history).unwrap();
        prop_assert_eq!(serde_json::from_str::<UpdateHistory>(&json).unwrap(), history);
    }
}
