//! Limits and the ledger, as callers meet them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model_runtime::metering::ledger::{GroupBy, Page, UsageFilter};
use model_runtime::metering::limits::{EndpointLimits, Limits};
use model_runtime::protocol::{ErrorBody, LimitType};
use model_runtime::runtime::{EmbedOptions, EndpointOptions, RequestOptions, ServedModel};
use model_runtime::{ErrorKind, ManualClock, ModelRuntime, ServeOptions};

use super::{greedy, stories, tiny};

fn runtime(
    limits: EndpointLimits,
    clock: Arc<ManualClock>,
    builder: model_runtime::runtime::RuntimeBuilder,
) -> ModelRuntime {
    let runtime = builder.clock(clock).build().unwrap();
    let options = EndpointOptions::pay_per_token().limits(limits);
    let model = ServedModel::load(stories(), ServeOptions::default().version("teller"));
    runtime.serve_endpoint("stories", options, vec![model]).unwrap();
    runtime
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at("2026-01-15T12:00:00Z".parse().unwrap()))
}

#[test]
fn output_is_reserved_before_admission_and_the_unused_part_credited() {
    let limits = Limits { output_tokens_per_minute: Some(100), ..Limits::default() };
    let limits = EndpointLimits { endpoint: limits, ..EndpointLimits::default() };
    let clock = clock();
    let runtime = runtime(limits, Arc::clone(&clock), ModelRuntime::builder());
    // 60 are reserved and all are used: 40 are left, and 50 do not fit.
    let mut request = greedy("Once upon a time", 60);
    request.options.logit_bias.insert(2, -100.0);
    assert_eq!(runtime.complete(request.clone()).unwrap().usage.completion_tokens, 60);
    request.options.max_tokens = Some(50);
    let error = runtime.complete(request.clone()).unwrap_err();
    assert_eq!((error.kind(), error.status(), error.is_retryable()), (ErrorKind::RateLimited, 429, true));
    assert!(error.retry_after().is_some_and(|after| after <= Duration::from_secs(61)), "{error:?}");
    let body = serde_json::to_value(ErrorBody::from(&error)).unwrap();
    assert_eq!(body["error"]["limit_type"], "output_tokens_per_minute");
    assert_eq!((&body["error"]["limit"], &body["error"]["current"]), (&100.into(), &110.into()), "{body}");
    // A stop string ends it early; what was reserved beyond is there again at once.
    request.options.max_tokens = Some(40);
    request.options.stop = vec![",".into()];
    let used = runtime.complete(request.clone()).unwrap().usage.completion_tokens;
    assert!(used < 30, "{used}");
    let current = runtime.limit_use("stories", None).unwrap();
    assert_eq!(current.len(), 1);
    assert_eq!((current[0].limit_type, current[0].current), (LimitType::OutputTokensPerMinute, 60 + used));
    // A minute later all is forgotten; what never fits is said at once, and is no matter of waiting.
    clock.advance(Duration::from_secs(62));
    request.options.max_tokens = Some(101);
    let error = runtime.complete(request).unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::InvalidRequest, false), "{error}");
}

#[test]
fn the_tightest_limit_wins_and_principals_have_their_own() {
    let hour = |queries| Limits { queries_per_hour: Some(queries), ..Limits::default() };
    let limits = EndpointLimits {
        endpoint: hour(5),
        principal: hour(2),
        principals: BTreeMap::from([("vip".into(), hour(4))]),
    };
    let runtime = runtime(limits, clock(), ModelRuntime::builder());
    let ask = |who: &str| {
        runtime.complete_with(greedy("Once", 1), RequestOptions::default().principal(who)).map(drop)
    };
    ask("ann").unwrap();
    ask("ann").unwrap();
    let error = ask("ann").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited, "{error}");
    for _ in 0..3 {
        ask("vip").unwrap();
    }
    assert_eq!(ask("bob").unwrap_err().kind(), ErrorKind::RateLimited, "five for the whole endpoint");
}

#[test]
fn every_request_is_in_the_ledger_once_with_what_it_used() {
    let runtime = runtime(EndpointLimits::default(), clock(), ModelRuntime::builder());
    let mut request = greedy("Once upon a time", 5);
    request.options.client_request_id = Some("mine".into());
    request.options.user = Some("ann".into());
    let answer = runtime.complete(request.clone()).unwrap();
    let stream = runtime.complete_stream(request.clone()).unwrap();
    let streamed = stream.id().to_owned();
    assert!(stream.map(Result::unwrap).count() > 0);
    let cancelled = runtime.complete_stream(request).unwrap();
    cancelled.cancel();
    let _ = cancelled.wait();
    runtime.flush_usage().unwrap();
    let records = runtime.usage(&UsageFilter::default(), Page::default()).unwrap().records;
    assert_eq!(records.len(), 3, "{records:?}");
    let first = &records[0];
    assert_eq!(first.request_id, answer.id);
    assert_eq!((first.requester.as_str(), first.client_request_id.as_deref()), ("ann", Some("mine")));
    assert_eq!((first.input_token_count, first.output_token_count), (answer.usage.prompt_tokens, 5));
    assert_eq!((first.response_model.as_str(), first.outcome.reason.as_str()), ("teller", "length"));
    assert!(!first.request_streaming && records[1].request_streaming);
    assert_eq!(records[1].request_id, streamed);
    assert!(records[1].cached_token_count <= records[1].input_token_count);
    let by =
        runtime.usage_by(&UsageFilter::default(), &[GroupBy::Requester], Page::default()).unwrap().groups;
    assert_eq!((by.len(), by[0].request_count), (1, 3));
}

#[test]
fn a_file_keeps_usage_and_limits_over_a_restart() {
    let folder = std::env::temp_dir().join(format!("model-runtime-metering-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let hour = Limits { queries_per_hour: Some(2), ..Limits::default() };
    let limits = || EndpointLimits { endpoint: hour, ..EndpointLimits::default() };
    let open = || runtime(limits(), clock(), ModelRuntime::builder().database(folder.join("runtime.sqlite")));
    let first = open();
    first.complete(greedy("Once", 3)).unwrap();
    drop(first);
    let second = open();
    second.complete(greedy("Once", 3)).unwrap();
    let error = second.complete(greedy("Once", 3)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited, "a restart is no way around a limit");
    second.flush_usage().unwrap();
    let records = second.usage(&UsageFilter::default(), Page::default()).unwrap().records;
    let outcomes: Vec<_> =
        records.iter().map(|record| (record.admitted, record.outcome.status_code)).collect();
    assert_eq!(outcomes, [(true, 200), (true, 200), (false, 429)]);
    drop(second);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn embeddings_by_the_token_have_at_most_150_texts_and_count_their_input() {
    let runtime = ModelRuntime::builder().clock(clock()).build().unwrap();
    let limits = Limits { input_tokens_per_minute: Some(1000), ..Limits::default() };
    let options = EndpointOptions::pay_per_token()
        .limits(EndpointLimits { endpoint: limits, ..EndpointLimits::default() });
    runtime
        .serve_endpoint("bge", options, vec![ServedModel::load(tiny("bert_bge"), ServeOptions::default())])
        .unwrap();
    runtime.serve("own", tiny("bert_bge"), ServeOptions::default()).unwrap();
    let texts = |number| vec!["a".to_owned(); number];
    assert_eq!(runtime.embed("own", texts(151), EmbedOptions::default()).unwrap().len(), 151);
    let error = runtime.embed("bge", texts(151), EmbedOptions::default()).unwrap_err();
    assert!(error.message().contains("at most 150"), "{error}");
    let tokens = runtime.embed("bge", texts(150), EmbedOptions::default()).unwrap().total_tokens() as u64;
    let current = runtime.limit_use("bge", None).unwrap()[0];
    assert_eq!((current.limit_type, current.current), (LimitType::InputTokensPerMinute, tokens));
    let repeated = (0..10).find_map(|_| runtime.embed("bge", texts(150), EmbedOptions::default()).err());
    assert_eq!(repeated.unwrap().kind(), ErrorKind::RateLimited);
    runtime.flush_usage().unwrap();
    let records = runtime.usage(&UsageFilter::default(), Page::default()).unwrap().records;
    assert!(
        records.iter().all(|record| record.endpoint_name == "bge"),
        "the host's own is not kept in memory"
    );
    assert_eq!((records[0].input_token_count, records[0].output_token_count), (tokens, 0));
}
