//! Dropping, cancelling and running out of time at any moment.

use std::sync::Arc;
use std::time::Duration;

use model_runtime::runtime::RequestOptions;
use model_runtime::{ErrorKind, ManualClock, ModelRuntime, ServeOptions};

use super::{greedy, runtime_with, stories};

/// A request that would run for long: the model's end of text is forbidden.
fn endless() -> model_runtime::protocol::CompletionRequest {
    let mut request = greedy("Once upon a time", 480);
    request.options.logit_bias.insert(2, -100.0);
    request
}

#[test]
fn cancel_ends_the_stream_with_its_error() {
    let runtime = runtime_with(ServeOptions::default());
    let mut stream = runtime.complete_stream(endless()).unwrap();
    assert!(stream.next().unwrap().is_ok());
    stream.canceller().cancel();
    let error = stream.by_ref().find_map(Result::err).expect("the error of a cancelled request");
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(stream.next().is_none());
    assert_eq!(stream.wait().unwrap_err().kind(), ErrorKind::Cancelled);
    // The runtime goes on.
    assert!(runtime.complete(greedy("Once", 4)).is_ok());
}

#[test]
fn dropping_a_stream_cancels_its_request() {
    let runtime = runtime_with(ServeOptions::default().max_sequences(1));
    for _ in 0..8 {
        let mut stream = runtime.complete_stream(endless()).unwrap();
        assert!(stream.next().unwrap().is_ok());
    }
    // One at a time: this one runs only after the others have gone.
    assert!(runtime.complete(greedy("Once", 4)).is_ok());
    assert_eq!(runtime.stats().endpoints[0].engine.unwrap().cancelled, 8);
}

#[test]
fn dropping_the_runtime_ends_what_runs() {
    let runtime = runtime_with(ServeOptions::default());
    let streams: Vec<_> = (0..6).map(|_| runtime.complete_stream(endless()).unwrap()).collect();
    drop(runtime);
    for stream in streams {
        let error = stream.wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ShuttingDown);
        stream.cancel();
    }
}

#[test]
fn removing_an_endpoint_ends_what_runs_there() {
    let runtime = runtime_with(ServeOptions::default());
    let stream = runtime.complete_stream(endless()).unwrap();
    runtime.remove("stories").unwrap();
    assert_eq!(stream.wait().unwrap_err().kind(), ErrorKind::ShuttingDown);
}

#[test]
fn a_timeout_is_a_deadline_of_the_clock() {
    let clock = Arc::new(ManualClock::at("2024-12-11T00:00:00Z".parse().unwrap()));
    let runtime = ModelRuntime::builder().clock(clock.clone()).build().unwrap();
    runtime.serve("stories", stories(), ServeOptions::default()).unwrap();
    let options = RequestOptions::default().timeout(Duration::from_secs(5));
    // Time stands still: the answer comes, stamped with the clock's time.
    let answer = runtime.complete_with(greedy("Once", 16), options.clone()).unwrap();
    assert_eq!(answer.created, 1_733_875_200);
    let mut stream = runtime.complete_stream_with(endless(), options).unwrap();
    assert!(stream.next().unwrap().is_ok());
    clock.advance(Duration::from_secs(6));
    assert_eq!(stream.wait().unwrap_err().kind(), ErrorKind::DeadlineExceeded);
}

#[test]
fn a_full_queue_is_a_retryable_error() {
    let runtime = runtime_with(ServeOptions::default().max_sequences(1).max_queue(2));
    let mut running = runtime.complete_stream(endless()).unwrap();
    assert!(running.next().unwrap().is_ok());
    let _waiting: Vec<_> = (0..2).map(|_| runtime.complete_stream(endless()).unwrap()).collect();
    let error = runtime.complete_stream(endless()).unwrap_err();
    assert_eq!((error.kind(), error.is_retryable(), error.status()), (ErrorKind::Overloaded, true, 503));
}
