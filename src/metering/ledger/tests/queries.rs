//! Questions, against answers that are computed from the list of records.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{NOON, at, in_memory, record};
use crate::catalog::{Offering, Subject};
use crate::error::{Error, ErrorKind};
use crate::metering::ledger::{
    GroupBy, Ledger, LedgerError, Outcome, Page, RetiringUse, UsageFilter, UsageRecord,
};

const GROUPS: [GroupBy; 11] = [
    GroupBy::Requester,
    GroupBy::EndpointName,
    GroupBy::ServedEntityName,
    GroupBy::EntityName,
    GroupBy::EntityVersion,
    GroupBy::ResponseModel,
    GroupBy::Offering,
    GroupBy::Task,
    GroupBy::Outcome,
    GroupBy::StatusCode,
    GroupBy::RequestDate,
];

fn records() -> impl Strategy<Value = Vec<UsageRecord>> {
    let one = (prop::array::uniform8(0..3_u8), 0..400_000_i64, 0..500_u64);
    prop::collection::vec(one, 0..60).prop_map(|drawn| {
        let one = |(number, (draw, seconds, tokens)): (usize, ([u8; 8], i64, u64))| {
            let mut record = record(&number.to_string());
            record.requester = ["ada", "bob", ""][usize::from(draw[0])].into();
            record.endpoint_name = format!("endpoint {}", draw[1]);
            record.served_entity_name = format!("entity {}", draw[2]);
            record.entity_name = format!("a.b.{}", draw[3]);
            record.entity_version = (draw[4] > 0).then_some(u64::from(draw[4]));
            record.offering = Offering::ALL[usize::from(draw[5])];
            record.subject = (draw[6] > 0).then(|| Subject::model(format!("model {}", draw[6])));
            record.outcome = [
                Outcome::finished("stop"),
                Outcome::finished("length"),
                Outcome::failed(ErrorKind::ModelRetired),
            ][usize::from(draw[7])]
            .clone();
            record.admitted = draw[7] < 2;
            record.request_time = Timestamp::from_microsecond(NOON * 1_000_000 + seconds * 999_983).unwrap();
            (record.input_token_count, record.output_token_count) = (tokens, tokens / 3);
            record
        };
        drawn.into_iter().enumerate().map(one).collect()
    })
}

fn filter() -> impl Strategy<Value = UsageFilter> {
    let some = |weight| prop::option::weighted(weight, 0..3_u64);
    let fields = (some(0.3), some(0.3), some(0.3), some(0.2), some(0.2), some(0.2));
    (fields, prop::option::of(0..400_000_i64), prop::option::of(0..400_000_i64)).prop_map(
        |((requester, endpoint, entity, version, offering, outcome), from, until)| UsageFilter {
            from: from.map(at),
            until: until.map(at),
            requester: requester.map(|of| ["ada", "bob", ""][of as usize].into()),
            endpoint_name: endpoint.map(|of| format!("endpoint {of}")),
            entity_name: entity.map(|of| format!("a.b.{of}")),
            entity_version: version,
            offering: offering.map(|of| Offering::ALL[of as usize]),
            outcome: outcome.map(|of| ["stop", "length", "model_retired"][of as usize].into()),
            ..UsageFilter::default()
        },
    )
}

fn matches(filter: &UsageFilter, record: &UsageRecord) -> bool {
    fn is<T: PartialEq>(wanted: &Option<T>, found: &T) -> bool {
        wanted.as_ref().is_none_or(|wanted| wanted == found)
    }
    filter.from.is_none_or(|from| record.request_time >= from)
        && filter.until.is_none_or(|until| record.request_time < until)
        && is(&filter.requester, &record.requester)
        && is(&filter.endpoint_name, &record.endpoint_name)
        && is(&filter.entity_name, &record.entity_name)
        && filter.entity_version.is_none_or(|version| record.entity_version == Some(version))
        && is(&filter.offering, &record.offering)
        && is(&filter.outcome, &record.outcome.reason)
}

fn key(by: GroupBy, record: &UsageRecord) -> Value {
    match by {
        GroupBy::Requester => record.requester.as_str().into(),
        GroupBy::EndpointName => record.endpoint_name.as_str().into(),
        GroupBy::ServedEntityName => record.served_entity_name.as_str().into(),
        GroupBy::EntityName => record.entity_name.as_str().into(),
        GroupBy::EntityVersion => record.entity_version.into(),
        GroupBy::ResponseModel => record.response_model.as_str().into(),
        GroupBy::Offering => record.offering.as_str().into(),
        GroupBy::Task => record.task.as_str().into(),
        GroupBy::Outcome => record.outcome.reason.as_str().into(),
        GroupBy::StatusCode => record.outcome.status_code.into(),
        GroupBy::RequestDate => record.request_time.to_string()[..10].into(),
    }
}

fn filled(records: &[UsageRecord]) -> Ledger {
    let ledger = in_memory();
    for record in records {
        ledger.record(record.clone(), |result| result.unwrap());
    }
    ledger.flush().unwrap();
    ledger
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn records_and_groups_are_those_that_match(
        records in records(),
        filter in filter(),
        by in prop::sample::subsequence(GROUPS.to_vec(), 0..4),
        limit in 1..20_u32,
    ) {
        let ledger = filled(&records);
        let wanted: Vec<_> = records.iter().filter(|record| matches(&filter, record)).cloned().collect();
        let (mut found, mut page) = (Vec::new(), Page { after: 0, limit });
        loop {
            let part = ledger.records(&filter, page).unwrap();
            prop_assert!(part.records.len() <= limit as usize);
            found.extend(part.records);
            match part.next {
                Some(next) => page.after = next,
                None => break,
            }
        }
        prop_assert_eq!(&found, &wanted);

        // By the text of its keys: count, tokens, first and last.
        let mut sums: BTreeMap<String, (u64, u64, u64, Timestamp, Timestamp)> = BTreeMap::new();
        for record in &wanted {
            let group: Map<_, _> = by.iter().map(|by| (by.as_str().to_owned(), key(*by, record))).collect();
            let at = record.request_time;
            let sum = sums.entry(Value::Object(group).to_string()).or_insert((0, 0, 0, at, at));
            sum.0 += 1;
            sum.1 += record.input_token_count;
            sum.2 += record.output_token_count;
            (sum.3, sum.4) = (sum.3.min(at), sum.4.max(at));
        }
        let (mut groups, mut page) = (BTreeMap::new(), Page { after: 0, limit });
        loop {
            let part = ledger.groups(&filter, &by, page).unwrap();
            prop_assert!(part.groups.len() <= limit as usize);
            for of in part.groups {
                prop_assert_eq!(of.total_cached_tokens, 4 * of.request_count);
                prop_assert_eq!(of.total_reasoning_tokens, 7 * of.request_count);
                let tokens = (of.request_count, of.total_input_tokens, of.total_output_tokens);
                let sum = (tokens.0, tokens.1, tokens.2, of.first_request, of.last_request);
                prop_assert!(groups.insert(Value::Object(of.group).to_string(), sum).is_none());
            }
            match part.next {
                Some(next) => page.after = next,
                None => break,
            }
        }
        prop_assert_eq!(groups, sums);
    }

    #[test]
    fn who_uses_what_retires_is_found(
        records in records(),
        chosen in prop::collection::vec((1..3_u8, 0..3_usize), 0..4),
        from in prop::option::of(0..400_000_i64),
    ) {
        let subjects: Vec<_> = chosen
            .iter()
            .map(|(model, offering)| (Subject::model(format!("model {model}")), Offering::ALL[*offering]))
            .collect();
        let ledger = filled(&records);
        let from = from.map(at);
        let mut expected: BTreeMap<(&str, &str, &str), RetiringUse> = BTreeMap::new();
        for record in &records {
            let retires = record.subject.as_ref().is_some_and(|subject| {
                subjects.iter().any(|(of, offering)| of == subject && *offering == record.offering)
            });
            if !retires || !record.admitted || from.is_some_and(|from| record.request_time < from) {
                continue;
            }
            let key = (record.requester.as_str(), record.endpoint_name.as_str(), record.entity_name.as_str());
            let row = expected.entry(key).or_insert_with(|| RetiringUse {
                requester: record.requester.clone(),
                endpoint_name: record.endpoint_name.clone(),
                entity_name: record.entity_name.clone(),
                request_count: 0,
                total_input_tokens: 0,
                total_output_tokens: 0,
                first_request: record.request_time,
                last_request: record.request_time,
            });
            row.request_count += 1;
            row.total_input_tokens += record.input_token_count;
            row.total_output_tokens += record.output_token_count;
            row.first_request = row.first_request.min(record.request_time);
            row.last_request = row.last_request.max(record.request_time);
        }
        let expected: Vec<_> = expected.into_values().collect();
        prop_assert_eq!(ledger.retiring_use(&subjects, from, None).unwrap(), expected);
    }
}

#[test]
fn what_is_between_two_microseconds_is_before_the_second() {
    let ledger = filled(&[record("r")]);
    let kept = record("r").request_time;
    let just_before = kept - jiff::SignedDuration::from_nanos(1);
    let just_after = kept + jiff::SignedDuration::from_nanos(1);
    let count = |from: Option<Timestamp>, until: Option<Timestamp>| {
        let filter = UsageFilter { from, until, ..UsageFilter::default() };
        ledger.records(&filter, Page::default()).unwrap().records.len()
    };
    assert_eq!((count(Some(kept), None), count(None, Some(kept))), (1, 0));
    assert_eq!((count(Some(just_before), None), count(None, Some(just_before))), (1, 0));
    assert_eq!((count(Some(just_after), None), count(None, Some(just_after))), (0, 1));
}

#[test]
fn nothing_together_is_nothing() {
    let ledger = in_memory();
    assert_eq!(ledger.groups(&UsageFilter::default(), &[], Page::default()).unwrap().groups, []);
    let everything = filled(&[record("a"), record("b")]);
    let groups = everything.groups(&UsageFilter::default(), &[], Page::default()).unwrap().groups;
    assert_eq!((groups.len(), groups[0].request_count, groups[0].group.len()), (1, 2, 0));
}

#[test]
fn a_page_of_nothing_is_refused_and_unknown_conditions_are() {
    let ledger = in_memory();
    for limit in [0, 10_001] {
        let error = ledger.records(&UsageFilter::default(), Page { after: 0, limit }).unwrap_err();
        assert!(matches!(error, LedgerError::Query { .. }));
        assert_eq!(Error::from(error).kind(), ErrorKind::InvalidRequest);
    }
    let filter: UsageFilter =
        serde_json::from_value(json!({"requester": "ada", "status_code": 410})).unwrap();
    assert_eq!((filter.requester.as_deref(), filter.status_code), (Some("ada"), Some(410)));
    assert!(serde_json::from_value::<UsageFilter>(json!({"user": "ada"})).is_err());
}
