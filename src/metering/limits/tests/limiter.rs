//! What is admitted and what is told, case by case.

use std::time::Duration;

use super::{START, admit, after, demand, limited, of_endpoint, per_minute};
use crate::error::{Error, ErrorKind};
use crate::metering::limits::{
    Demand, EndpointLimits, LimitError, LimitUse, Limits, Output, RateLimiter, Used,
};
use crate::protocol::{LimitType, RateLimited};

fn queries(per_hour: Option<u64>, per_second: Option<u64>) -> Limits {
    Limits { queries_per_hour: per_hour, queries_per_second: per_second, ..Limits::default() }
}

fn output_in_use(limiter: &RateLimiter, now: Duration) -> u64 {
    let uses = limiter.current(None, now);
    uses.iter().find(|of| of.limit_type == LimitType::OutputTokensPerMinute).unwrap().current
}

#[test]
fn the_numbers_of_a_refusal_are_those_of_the_documents() {
    let limiter = of_endpoint(per_minute(Some(200_000), None));
    admit(&limiter, "ada", 199_000, 0, after(0.0)).unwrap();
    let refused = limited(admit(&limiter, "ada", 1_150, 0, after(46.0)));
    let expected = RateLimited {
        limit_type: LimitType::InputTokensPerMinute,
        limit: 200_000,
        current: 200_150,
        // The first minute and the rest of the bucket that the use lies in.
        retry_after: Duration::from_secs(15),
        principal: None,
    };
    assert_eq!(refused, expected);
    let error = Error::from(LimitError::from(refused));
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!((error.status(), error.is_retryable()), (429, true));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(15)));
    assert_eq!(error.message(), "Rate limit exceeded: ITPM limit of 200,000 tokens reached");
}

#[test]
fn waiting_as_long_as_told_suffices_and_less_does_not() {
    let limiter = of_endpoint(per_minute(Some(100), None));
    for (at, tokens) in [(0.2, 30), (10.7, 30), (20.1, 40)] {
        admit(&limiter, "ada", tokens, 0, after(at)).unwrap();
    }
    let wait = limited(admit(&limiter, "ada", 50, 0, after(30.0))).retry_after;
    let now = after(30.0) + wait;
    limited(admit(&limiter, "ada", 50, 0, now - Duration::from_nanos(1)));
    admit(&limiter, "ada", 50, 0, now).unwrap();
}

#[test]
fn the_unused_part_of_the_output_is_credited_at_once() {
    let limiter = of_endpoint(per_minute(None, Some(500)));
    let mut reservation = limiter.reserve("ada", demand(10, 500), after(0.0)).unwrap();
    reservation.commit();
    assert_eq!(limited(admit(&limiter, "bob", 1, 1, after(1.0))).current, 501);
    reservation.settle(350, after(2.0));
    assert_eq!(output_in_use(&limiter, after(2.0)), 350);
    admit(&limiter, "bob", 1, 150, after(2.0)).unwrap();
    limited(admit(&limiter, "bob", 1, 1, after(2.0)));
}

#[test]
fn more_than_was_reserved_is_charged_when_it_ends() {
    let limiter = of_endpoint(per_minute(None, Some(500)));
    let reservation = limiter.reserve("ada", demand(0, 100), after(0.0)).unwrap();
    reservation.settle(700, after(30.0));
    assert_eq!(output_in_use(&limiter, after(30.0)), 700);
    // What was reserved has left the window, what came later has not.
    assert_eq!(output_in_use(&limiter, after(70.0)), 600);
    assert_eq!(limited(admit(&limiter, "ada", 0, 1, after(70.0))).retry_after, Duration::from_secs(21));
    assert_eq!(output_in_use(&limiter, after(91.0)), 0);
}

#[test]
fn a_reservation_that_is_dropped_leaves_no_trace_and_a_committed_one_what_it_used() {
    let everything = Limits {
        input_tokens_per_minute: Some(10),
        output_tokens_per_minute: Some(10),
        queries_per_hour: Some(1),
        queries_per_second: Some(1),
    };
    let both = EndpointLimits { endpoint: everything, principal: everything, ..EndpointLimits::default() };
    let limiter = RateLimiter::new("e", both, START);
    for _ in 0..3 {
        drop(limiter.reserve("ada", demand(10, 10), START).unwrap());
    }
    let held = |principal| limiter.current(principal, START).iter().map(|of| of.current).collect::<Vec<_>>();
    assert_eq!((held(None), held(Some("ada"))), (vec![0; 4], vec![0; 4]));
    let mut reservation = limiter.reserve("ada", demand(9, 8), START).unwrap();
    reservation.commit();
    reservation.generated(3);
    drop(reservation);
    assert_eq!((held(None), held(Some("ada"))), (vec![9, 3, 1, 1], vec![9, 3, 1, 1]));
}

#[test]
fn a_refused_request_takes_nothing_of_the_limits_that_it_fits_into() {
    let mut limits = EndpointLimits { endpoint: per_minute(Some(100), Some(100)), ..Default::default() };
    limits.principal = per_minute(None, Some(10));
    let limiter = RateLimiter::new("e", limits, START);
    admit(&limiter, "ada", 1, 10, START).unwrap();
    let refused = limited(admit(&limiter, "ada", 50, 5, START));
    assert_eq!(refused.principal.as_deref(), Some("ada"));
    assert_eq!(limiter.current(None, START).iter().map(|of| of.current).collect::<Vec<_>>(), [1, 10]);
    // Another principal has limits of its own, and the endpoint has room.
    admit(&limiter, "bob", 99, 10, START).unwrap();
}

#[test]
fn the_tightest_limit_wins_and_overrides_replace_the_default() {
    let mut limits = EndpointLimits { endpoint: per_minute(Some(1_000), None), ..EndpointLimits::default() };
    limits.principal = per_minute(Some(10), None);
    limits.principals.insert("big".into(), per_minute(Some(5_000), None));
    limits.principals.insert("free".into(), Limits::default());
    let limiter = RateLimiter::new("e", limits, START);
    admit(&limiter, "ada", 10, 0, START).unwrap();
    limited(admit(&limiter, "ada", 1, 0, START));
    admit(&limiter, "big", 500, 0, START).unwrap();
    admit(&limiter, "free", 490, 0, START).unwrap();
    assert_eq!(limited(admit(&limiter, "big", 1, 0, START)).principal, None);
    assert_eq!(limiter.principals(), 2, "who has no limits needs no windows");
}

#[test]
fn of_several_limits_the_one_that_lasts_longest_is_told() {
    let limits = Limits { queries_per_hour: Some(1), ..per_minute(Some(10), Some(10)) };
    let limiter = of_endpoint(limits);
    admit(&limiter, "ada", 10, 10, START).unwrap();
    let refused = limited(admit(&limiter, "ada", 10, 10, after(1.0)));
    assert_eq!((refused.limit_type, refused.current), (LimitType::QueriesPerHour, 2));
    assert!(refused.retry_after >= Duration::from_secs(3599), "{:?}", refused.retry_after);
}

#[test]
fn what_can_never_fit_is_no_matter_of_time() {
    let limiter = of_endpoint(per_minute(Some(100), Some(50)));
    let error = admit(&limiter, "ada", 10, 51, START).unwrap_err();
    let expected = "the request needs 51 output tokens (`max_tokens`) of endpoint \"e\", whose output_tokens_per_minute is 50; \
                    accepted are requests of at most that";
    assert_eq!(error.to_string(), expected);
    let error = Error::from(error);
    assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some("max_tokens")));
    // Even when it does not fit now either.
    admit(&limiter, "ada", 10, 50, START).unwrap();
    assert!(matches!(admit(&limiter, "ada", 101, 50, START), Err(LimitError::NeverFits { needed: 101, .. })));
    let closed = of_endpoint(queries(Some(0), None));
    let error = admit(&closed, "ada", 1, 1, START).unwrap_err();
    assert_eq!(error.to_string(), "endpoint \"e\" admits no requests: its queries_per_hour is 0");
    assert_eq!(Error::from(error).kind(), ErrorKind::PermissionDenied);
    let no_output = of_endpoint(per_minute(None, Some(0)));
    admit(&no_output, "ada", 5, 0, START).unwrap();
}

#[test]
fn without_max_tokens_the_rest_of_the_window_is_reserved_up_to_a_thousand_and_the_limit() {
    let reserved = |limits, left| {
        let demand = Demand { input_tokens: 1, output: Output::UpTo(left) };
        of_endpoint(limits).reserve("ada", demand, START).unwrap().reserved().output_tokens
    };
    let open = per_minute(Some(10), None);
    assert_eq!([400, 1_000, 30_000].map(|left| reserved(open, left)), [400, 1_000, 1_000]);
    assert_eq!(reserved(per_minute(None, Some(600)), 30_000), 600);
}

#[test]
fn an_endpoint_without_limits_admits_everything() {
    let limiter = of_endpoint(Limits::default());
    for _ in 0..1_000 {
        admit(&limiter, "ada", u64::MAX, u64::MAX, START).unwrap();
    }
    assert_eq!(limiter.current(None, START), []);
}

#[test]
fn enormous_amounts_do_not_wrap() {
    let limiter = of_endpoint(per_minute(Some(u64::MAX), Some(u64::MAX)));
    admit(&limiter, "ada", u64::MAX, u64::MAX, START).unwrap();
    limiter.reserve("ada", demand(0, 0), START).unwrap().settle(u64::MAX, START);
    assert_eq!(limited(admit(&limiter, "ada", 1, 1, START)).current, u64::MAX);
    limiter.restore(
        "ada",
        Used { queries: 1, input_tokens: 9, output_tokens: 9 },
        Duration::MAX,
        after(120.0),
    );
    admit(&limiter, "ada", u64::MAX, u64::MAX, after(120.0)).unwrap();
}

#[test]
fn queries_per_second_slide() {
    let limiter = of_endpoint(queries(None, Some(2)));
    admit(&limiter, "ada", 0, 0, after(0.9)).unwrap();
    admit(&limiter, "ada", 0, 0, after(1.0)).unwrap();
    limited(admit(&limiter, "ada", 0, 0, after(1.89)));
    admit(&limiter, "ada", 0, 0, after(1.92)).unwrap();
    limited(admit(&limiter, "ada", 0, 0, after(1.93)));
}

#[test]
fn other_limits_apply_to_what_was_used_before() {
    let limiter = of_endpoint(per_minute(Some(100), None));
    admit(&limiter, "ada", 80, 0, START).unwrap();
    let running = limiter.reserve("ada", demand(0, 30), START).unwrap();
    let of = |endpoint| EndpointLimits { endpoint, ..EndpointLimits::default() };
    limiter.set_limits(of(per_minute(Some(50), Some(40))));
    assert_eq!(limited(admit(&limiter, "ada", 1, 0, START)).current, 81);
    // The output was reserved where there was no limit; its end must take nothing from the new window.
    admit(&limiter, "ada", 0, 40, START).unwrap();
    running.settle(0, START);
    assert_eq!(output_in_use(&limiter, START), 40);
    limiter.set_limits(of(Limits::default()));
    limiter.set_limits(of(per_minute(Some(50), None)));
    assert_eq!(limiter.current(None, START)[0].current, 0);
}

#[test]
fn a_restart_finds_what_was_used_before_it() {
    let mut limits = EndpointLimits { endpoint: per_minute(Some(100), None), ..Default::default() };
    limits.endpoint.queries_per_hour = Some(10);
    limits.principal = queries(Some(3), None);
    let limiter = RateLimiter::new("e", limits, START);
    let used = |queries, input_tokens| Used { queries, input_tokens, output_tokens: 0 };
    // Out of order, as a query of the ledger by name may give them.
    limiter.restore("ada", used(1, 30), Duration::from_secs(20), START);
    limiter.restore("ada", used(2, 60), Duration::from_secs(50), START);
    limiter.restore("ada", used(9, 900), Duration::from_secs(3_700), START);
    limiter.restore("bob", used(1, 10), Duration::from_secs(120), START);
    let currents = |whose| -> Vec<_> {
        let uses = limiter.current(whose, START);
        uses.into_iter().map(|LimitUse { limit, current, .. }| (limit, current)).collect()
    };
    assert_eq!(currents(None), [(100, 90), (10, 4)]);
    assert_eq!(currents(Some("ada")), [(3, 3)]);
    assert_eq!(limited(admit(&limiter, "ada", 1, 0, START)).principal.as_deref(), Some("ada"));
    admit(&limiter, "bob", 10, 0, START).unwrap();
    assert_eq!(limited(admit(&limiter, "bob", 30, 0, START)).retry_after.as_secs(), 11);
    admit(&limiter, "bob", 30, 0, after(11.0)).unwrap();
}

#[test]
fn principals_that_use_nothing_are_let_go() {
    let limits = EndpointLimits { principal: per_minute(Some(10), None), ..EndpointLimits::default() };
    let limiter = RateLimiter::new("e", limits, START);
    for number in 0..20_000_u32 {
        // Ten in a second: six hundred in a window.
        let now = after(f64::from(number) / 10.0);
        admit(&limiter, &format!("principal {number}"), 10, 0, now).unwrap();
        assert!(limiter.principals() <= 2_048, "{} after {number}", limiter.principals());
    }
}

#[test]
fn a_reservation_may_end_after_its_principal_was_let_go() {
    let limits = EndpointLimits { principal: per_minute(None, Some(10)), ..EndpointLimits::default() };
    let limiter = RateLimiter::new("e", limits, START);
    let credited = limiter.reserve("ada", demand(0, 5), START).unwrap();
    let charged = limiter.reserve("ada", demand(0, 5), START).unwrap();
    for number in 0..3_000 {
        admit(&limiter, &number.to_string(), 0, 1, after(100.0)).unwrap();
    }
    credited.settle(0, after(101.0));
    assert!(limiter.current(Some("ada"), after(101.0))[0].current == 0);
    charged.settle(12, after(101.0));
    assert_eq!(limiter.current(Some("ada"), after(101.0))[0].current, 7);
}

#[test]
fn a_clock_that_is_set_back_stops_nobody_for_ever() {
    let limiter = of_endpoint(per_minute(Some(10), None));
    let far = after(1_000_000.0);
    admit(&limiter, "ada", 10, 0, far).unwrap();
    limited(admit(&limiter, "ada", 1, 0, START));
    limited(admit(&limiter, "ada", 1, 0, after(59.9)));
    // A minute and a bucket by the clock as it goes now.
    admit(&limiter, "ada", 10, 0, after(61.0)).unwrap();
    // And forwards again.
    admit(&limiter, "ada", 10, 0, far).unwrap();
    limited(admit(&limiter, "ada", 10, 0, far));
}
