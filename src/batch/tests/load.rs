//! Full queues and limits: what is refused for now is answered later.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::batch::{Batch, BatchOrder};
use crate::clock::ManualClock;
use crate::metering::limits::{EndpointLimits, Limits};
use crate::runtime::{EndpointOptions, RequestOptions, ServedModel};

/// Requests for stories only.
fn tales(count: usize) -> String {
    input((0..count).map(|index| index * 3))
}

#[test]
fn what_a_full_queue_refuses_is_answered_when_there_is_room() {
    let options = ServeOptions::default().context_length(256).max_sequences(1).max_queue(1);
    let runtime = stories(ModelRuntime::builder(), options);
    for order in [BatchOrder::InOrder, BatchOrder::AsReady] {
        let (mut output, mut waiting) = (Vec::new(), 0);
        let batch = Batch::new(&runtime).concurrency(20).order(order).progress(|now| {
            waiting = waiting.max(now.waiting);
            assert!(now.waiting + now.running <= 20, "{now:?}");
            ControlFlow::Continue(())
        });
        assert!(batch.run(tales(40).as_bytes(), &mut output).unwrap().complete);
        assert_eq!(answers(&output, 40), alone((0..40).map(|index| index * 3)));
        assert!(waiting >= 10, "{waiting}: the queue was never full");
    }
}

#[test]
fn a_limit_is_waited_out_by_the_runtime_s_clock() {
    let clock = Arc::new(ManualClock::at("2026-01-15T12:00:00Z".parse().unwrap()));
    let runtime = ModelRuntime::builder().clock(Arc::clone(&clock) as _).build().unwrap();
    let limits = Limits { queries_per_second: Some(3), ..Limits::default() };
    let limits = EndpointLimits { principal: limits, ..EndpointLimits::default() };
    let served = ServedModel::load(model("examples/models/stories260K"), ServeOptions::default());
    runtime.serve_endpoint("stories", EndpointOptions::pay_per_token().limits(limits), vec![served]).unwrap();
    runtime.serve("llama", model("tests/data/tiny/llama3"), ServeOptions::default()).unwrap();
    // Nothing else moves this clock: without it the run would wait for ever.
    let mut seconds = 0;
    let moved = Arc::clone(&clock);
    let batch = Batch::new(&runtime)
        .concurrency(8)
        .order(BatchOrder::AsReady)
        .options(RequestOptions::default().principal("nightly"))
        .progress(|now| {
            if now.waiting > 0 && now.running == 0 {
                moved.advance(Duration::from_secs(1));
                seconds += 1;
            }
            ControlFlow::Continue(())
        });
    let requests = || (0..24).filter(|index| index % 3 < 2);
    let mut output = Vec::new();
    assert!(batch.run(input(requests()).as_bytes(), &mut output).unwrap().complete);
    assert_eq!(answers(&output, 16), alone(requests()));
    // 8 stories at 3 a second are 2 seconds of waiting, however often it was looked at.
    assert!((2..=4).contains(&seconds), "{seconds}");
    runtime.flush_usage().unwrap();
    let all = runtime.usage(&Default::default(), Default::default()).unwrap().records;
    let refused = all.iter().filter(|record| !record.admitted).count();
    // One look for each second, and not one for each request that waits.
    assert!((2..=4).contains(&refused), "{refused}");
    assert!(all.iter().all(|record| record.requester == "nightly"));
}
