//! What a host may do wrong around the engine: clocks that jump or panic, listeners that panic, a database that is locked or has no
//! room. Requests end with their answer or with an error that says what it was, and the runtime goes on.

use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use model_runtime::metering::ledger::{Page, UsageFilter};
use model_runtime::metering::limits::{EndpointLimits, Limits};
use model_runtime::registry::{ModelName, NewModel, NewVersion};
use model_runtime::runtime::{EmbedOptions, EndpointOptions, RequestOptions, ServedModel};
use model_runtime::{Clock, ErrorKind, ManualClock, ModelRuntime, ServeOptions, SystemClock};

use super::{greedy, stories, tiny};

fn text(runtime: &ModelRuntime) -> Result<String, model_runtime::Error> {
    runtime.complete(greedy("Once upon a time", 24)).map(|answer| answer.choices[0].text.clone())
}

/// A clock that panics when it is asked for the time number `left` from now on.
#[derive(Default)]
struct PanickingClock {
    clock: SystemClock,
    left: AtomicI64,
}

impl PanickingClock {
    fn count(&self) {
        if self.left.load(Ordering::SeqCst) > 0 && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            panic!("the clock was told to panic");
        }
    }
}

impl Clock for PanickingClock {
    fn wall(&self) -> Timestamp {
        self.count();
        self.clock.wall()
    }

    fn monotonic(&self) -> Duration {
        self.count();
        self.clock.monotonic()
    }
}

#[test]
fn a_panic_anywhere_in_a_step_costs_requests_and_never_the_runtime() {
    let clock = Arc::new(PanickingClock::default());
    let runtime = ModelRuntime::builder().clock(clock.clone()).build().unwrap();
    runtime.serve("stories", stories(), ServeOptions::default()).unwrap();
    runtime.serve("gte", tiny("new_gte"), ServeOptions::default()).unwrap();
    let alone = text(&runtime).unwrap();
    let mut lost = 0;
    for at in 1..120 {
        clock.left.store(at, Ordering::SeqCst);
        // The panic may also be on this thread: the clock is the host's, and so is the panic.
        let ended = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let stream = runtime.complete_stream(greedy("Once upon a time", 24))?;
            let vectors = runtime.embed("gte", ["a text"], EmbedOptions::default());
            let answer = stream.wait().map(|answer| answer.choices[0].text.clone());
            Ok::<_, model_runtime::Error>((answer, vectors.map(|vectors| vectors.len())))
        }));
        clock.left.store(0, Ordering::SeqCst);
        match ended {
            Ok(Ok((answer, vectors))) => {
                for error in [answer.as_ref().err(), vectors.as_ref().err()].into_iter().flatten() {
                    assert_eq!(error.kind(), ErrorKind::Internal, "at {at}: {error}");
                    lost += 1;
                }
                assert!(answer.is_err() || answer.unwrap() == alone, "at {at}");
            }
            Ok(Err(error)) => assert_eq!(error.kind(), ErrorKind::Internal, "at {at}: {error}"),
            Err(_) => {}
        }
        assert_eq!(text(&runtime).unwrap(), alone, "at {at}: the runtime goes on");
        assert_eq!(runtime.embed("gte", ["a text"], EmbedOptions::default()).unwrap().len(), 1, "at {at}");
    }
    assert!(lost > 5, "{lost} requests met a panic");
}

#[test]
fn a_host_that_panics_while_it_hears_of_a_load_or_of_an_end_leaves_the_runtime_as_it_was() {
    let clock = Arc::new(ManualClock::at("2025-04-30T00:00:00Z".parse().unwrap()));
    let runtime = ModelRuntime::builder()
        .clock(clock)
        .on_lifecycle(|_| panic!("the listener was told to panic"))
        .build()
        .unwrap();
    let served = std::panic::catch_unwind(AssertUnwindSafe(|| {
        runtime.serve("stories", stories(), ServeOptions::default().progress(|_| panic!("told to")))
    }));
    assert!(served.is_err() || served.unwrap().is_err());
    runtime
        .serve("stories", stories(), ServeOptions::default().progress(|_| ControlFlow::Continue(())))
        .unwrap();
    let endpoint = "databricks-dbrx-instruct";
    let model = vec![ServedModel::load(stories(), ServeOptions::default())];
    runtime.serve_endpoint(endpoint, EndpointOptions::pay_per_token(), model).unwrap();
    let mut request = greedy("Once upon a time", 24);
    request.model = endpoint.into();
    let told = std::panic::catch_unwind(AssertUnwindSafe(|| runtime.complete(request.clone())));
    assert!(told.is_ok_and(|answer| answer.is_ok()), "the listener's panic is its own");
    assert_eq!(runtime.complete(request).unwrap().choices[0].text, text(&runtime).unwrap());
}

#[test]
fn a_clock_that_jumps_both_ways_stops_nothing() {
    let start: Timestamp = "2025-03-04T12:00:00Z".parse().unwrap();
    let clock = Arc::new(ManualClock::at(start));
    let runtime = ModelRuntime::builder().clock(clock.clone()).build().unwrap();
    let limits = Limits { queries_per_hour: Some(10_000), ..Limits::default() };
    let limits = EndpointLimits { endpoint: limits, ..EndpointLimits::default() };
    let model = vec![ServedModel::load(stories(), ServeOptions::default())];
    runtime.serve_endpoint("stories", EndpointOptions::pay_per_token().limits(limits), model).unwrap();
    let alone = text(&runtime).unwrap();
    let hour = jiff::SignedDuration::from_hours(1);
    for hours in [1, -1, 24 * 400, -24 * 400, 24 * 365 * 100, -24 * 365 * 200, 0] {
        let running = runtime.complete_stream(greedy("Once upon a time", 24)).unwrap();
        clock.set_wall(start.checked_add(hour * hours).unwrap());
        assert_eq!(running.wait().unwrap().choices[0].text, alone, "by {hours} hours");
        assert_eq!(text(&runtime).unwrap(), alone, "by {hours} hours");
        assert!(runtime.limit_use("stories", None).unwrap()[0].current <= 20);
    }
    // Monotonic time that leaps ends what has a deadline, and nothing else.
    let mut endless = greedy("Once upon a time", 480);
    endless.options.logit_bias.insert(2, -100.0);
    let late = RequestOptions::default().timeout(Duration::from_secs(3600));
    let late = runtime.complete_stream_with(endless.clone(), late).unwrap();
    let patient = runtime.complete_stream(greedy("Once upon a time", 24)).unwrap();
    clock.advance(Duration::from_secs(1 << 32));
    match late.wait() {
        Ok(answer) => assert_eq!(answer.usage.completion_tokens, 480, "it was faster than the leap"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::DeadlineExceeded),
    }
    assert_eq!(patient.wait().unwrap().choices[0].text, alone);
}

/// The child of the next test: what it does may fail for want of room, nothing else may.
fn write_until_full(database: &str) -> usize {
    let runtime = ModelRuntime::builder().database(database).build().unwrap();
    runtime.serve("stories", stories(), ServeOptions::default()).unwrap();
    let alone = text(&runtime).unwrap();
    let mut refused = 0;
    for number in 0..200 {
        let name: ModelName = format!("main.full.model{number}").parse().unwrap();
        let mut new = NewModel::default();
        new.comment = "x".repeat(4000);
        match runtime.registry().create_model(&name, &new, "a test") {
            Ok(_) => assert!(runtime.registry().model(&name).is_ok()),
            Err(error) => {
                let error = model_runtime::Error::from(error);
                assert!(matches!(error.kind(), ErrorKind::Io | ErrorKind::Overloaded), "{error}");
                assert!(runtime.registry().model(&name).is_err(), "a refused write is not there");
                refused += 1;
            }
        }
    }
    assert_eq!(text(&runtime).unwrap(), alone, "answers need no room");
    assert!(runtime.registry().model(&"main.full.model0".parse().unwrap()).is_ok(), "what was written stays");
    refused
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_refuses_writes_by_name_and_keeps_what_was_written() {
    const CHILD: &str = "MODEL_RUNTIME_FULL_DISK";
    if let Ok(database) = std::env::var(CHILD) {
        assert!(write_until_full(&database) > 10);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("full.sqlite");
    // Files may grow to 600 blocks of 512 bytes; what is beyond fails instead of ending the process.
    let mut child = Command::new("sh");
    child.args(["-c", "trap '' XFSZ; ulimit -f 600; exec \"$0\" \"$@\""]);
    child.arg(std::env::current_exe().unwrap());
    child.args(["--exact", "faults::a_full_disk_refuses_writes_by_name_and_keeps_what_was_written"]);
    let output = child.env(CHILD, &database).output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    // With room again, the file is whole.
    let runtime = ModelRuntime::builder().database(&database).build().unwrap();
    assert!(runtime.registry().model(&"main.full.model0".parse().unwrap()).is_ok());
    runtime
        .registry()
        .create_model(&"main.full.later".parse().unwrap(), &NewModel::default(), "a test")
        .unwrap();
}

#[test]
fn a_locked_database_is_an_error_and_no_hindrance_to_answers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("locked.sqlite");
    let runtime = ModelRuntime::builder().database(&file).build().unwrap();
    runtime.serve("stories", stories(), ServeOptions::default()).unwrap();
    let alone = text(&runtime).unwrap();
    let name: ModelName = "main.locked.model".parse().unwrap();

    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = runtime.registry().create_model(&name, &NewModel::default(), "a test").unwrap_err();
    let error = model_runtime::Error::from(error);
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Overloaded, true), "{error}");
    assert_eq!(text(&runtime).unwrap(), alone, "the end is told without its record, after a while");
    other.execute_batch("ROLLBACK").unwrap();

    runtime.registry().create_model(&name, &NewModel::default(), "a test").unwrap();
    let version = runtime
        .registry()
        .register(&name, &NewVersion::at(stories()), "a test", &mut |_| ControlFlow::Continue(()));
    assert!(version.is_ok());
    runtime.flush_usage().unwrap();
    let records = runtime.usage(&UsageFilter::default(), Page::default()).unwrap();
    assert_eq!(records.records.len(), 2, "no request is missing in the books");
}
