#![allow(clippy::unwrap_used, clippy::panic)]

mod limiter;
mod properties;

use std::time::Duration;

use super::{Demand, EndpointLimits, LimitError, Limits, Output, RateLimiter};
use crate::protocol::RateLimited;

/// The instant that tests begin at; clocks need not begin at zero.
const START: Duration = Duration::from_secs(1_000);

fn after(seconds: f64) -> Duration {
    START + Duration::from_secs_f64(seconds)
}

fn demand(input_tokens: u64, output_tokens: u64) -> Demand {
    Demand { input_tokens, output: Output::AtMost(output_tokens) }
}

fn per_minute(input: Option<u64>, output: Option<u64>) -> Limits {
    Limits { input_tokens_per_minute: input, output_tokens_per_minute: output, ..Limits::default() }
}

fn of_endpoint(endpoint: Limits) -> RateLimiter {
    RateLimiter::new("e", EndpointLimits { endpoint, ..EndpointLimits::default() }, START)
}

/// The request is accepted and generates all that it may.
fn admit(limiter: &RateLimiter, who: &str, input: u64, output: u64, now: Duration) -> Result<(), LimitError> {
    limiter.reserve(who, demand(input, output), now)?.settle(output, now);
    Ok(())
}

fn limited(result: Result<(), LimitError>) -> RateLimited {
    match result {
        Err(LimitError::RateLimited(limited)) => limited,
        other => panic!("{other:?}"),
    }
}
