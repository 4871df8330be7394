//! Random requests against a list of everything that was ever counted, summed up anew for every question.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::{START, demand};
use crate::metering::limits::{BUCKETS, EndpointLimits, LimitError, Limits, RateLimiter, Reservation, Used};
use crate::protocol::LimitType;

const PRINCIPALS: [&str; 3] = ["ada", "bob", "eve"];

/// What may happen. Numbers are taken modulo what there is.
#[derive(Debug, Clone)]
enum Step {
    /// A request arrives.
    Reserve { principal: usize, input: u64, output: u64 },
    /// A reservation is given up before the request runs.
    GiveUp { which: usize },
    /// It runs, and the caller goes away when so much is generated.
    Abandon { which: usize, generated: u64 },
    /// It ends.
    Settle { which: usize, generated: u64 },
    /// Time passes, in milliseconds.
    Wait { milliseconds: u64 },
    /// A thread that read the clock so many milliseconds ago gets its turn now.
    Late { milliseconds: u64 },
    /// The clock is set back by so many seconds.
    SetBack { seconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_usize, 0..60_u64, 0..40_u64)
            .prop_map(|(principal, input, output)| Step::Reserve { principal, input, output }),
        1 => (0..8_usize).prop_map(|which| Step::GiveUp { which }),
        1 => (0..8_usize, 0..60_u64).prop_map(|(which, generated)| Step::Abandon { which, generated }),
        3 => (0..8_usize, 0..60_u64).prop_map(|(which, generated)| Step::Settle { which, generated }),
        3 => (0..9_000_u64).prop_map(|milliseconds| Step::Wait { milliseconds }),
        1 => (0..900_000_u64).prop_map(|milliseconds| Step::Wait { milliseconds }),
        1 => (0..900_u64).prop_map(|milliseconds| Step::Late { milliseconds }),
        1 => (2..900_u64).prop_map(|seconds| Step::SetBack { seconds }),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    let some = |range: std::ops::Range<u64>| prop::option::of(range);
    (some(1..400), some(1..300), some(1..30), some(1..4)).prop_map(|(input, output, hour, second)| Limits {
        input_tokens_per_minute: input,
        output_tokens_per_minute: output,
        queries_per_hour: hour,
        queries_per_second: second,
    })
}

/// Something that counts: since when (nanoseconds that the clock went forwards), for whom, how much.
#[derive(Debug, Clone, Copy)]
struct Count {
    at: u64,
    principal: &'static str,
    used: Used,
}

/// What a limit of that type counts in the last `window` nanoseconds before `now`, by the definition.
fn counted(counts: &[Option<Count>], whose: Option<&str>, what: LimitType, now: u64, window: u64) -> u64 {
    let mine = counts.iter().flatten().filter(|count| whose.is_none_or(|name| name == count.principal));
    let recent = mine.filter(|count| now - count.at < window);
    recent
        .map(|count| match what {
            LimitType::InputTokensPerMinute => count.used.input_tokens,
            LimitType::OutputTokensPerMinute => count.used.output_tokens,
            LimitType::QueriesPerHour | LimitType::QueriesPerSecond => count.used.queries,
        })
        .sum()
}

fn amount(used: &Used, what: LimitType) -> u64 {
    let count = Count { at: 0, principal: "", used: *used };
    counted(&[Some(count)], None, what, 0, 1)
}

struct Running {
    reservation: Reservation,
    /// Its place among the counts.
    place: usize,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn never_more_than_the_limit_and_never_less_than_all_but_a_bucket(
        endpoint in limits(),
        principal in limits(),
        own in limits(),
        steps in prop::collection::vec(step(), 0..150),
    ) {
        let principals = BTreeMap::from([("eve".to_owned(), own)]);
        let rules = EndpointLimits { endpoint, principal, principals };
        let limiter = RateLimiter::new("e", rules.clone(), START);
        // The clock, and how far it went forwards: the time that counts.
        let (mut clock, mut elapsed) = (START + Duration::from_secs(100_000), 0_u64);
        let mut counts: Vec<Option<Count>> = Vec::new();
        let mut running: Vec<Running> = Vec::new();
        // The first look at the clock; what lies before it is not time that passed.
        limiter.current(None, clock);
        for step in steps {
            match step {
                Step::Wait { milliseconds } => {
                    clock += Duration::from_millis(milliseconds);
                    elapsed += milliseconds * 1_000_000;
                    limiter.current(None, clock);
                }
                Step::SetBack { seconds } => {
                    clock -= Duration::from_secs(seconds.min(clock.as_secs()));
                    limiter.current(None, clock);
                }
                Step::Late { milliseconds } => {
                    limiter.current(None, clock - Duration::from_millis(milliseconds));
                }
                Step::Reserve { principal, input, output } => {
                    let name = PRINCIPALS[principal % PRINCIPALS.len()];
                    let used = Used { queries: 1, input_tokens: input, output_tokens: output };
                    // Every limit that applies, with what its window has held at least and at most.
                    let scopes = [(None, rules.endpoint), (Some(name), *rules.of(name))];
                    let mut applying = Vec::new();
                    for (whose, limits) in scopes {
                        for what in LimitType::ALL {
                            let Some(limit) = limits.get(what) else { continue };
                            let window = what.window().as_nanos() as u64;
                            let least = counted(&counts, whose, what, elapsed, window);
                            let most = counted(&counts, whose, what, elapsed, window + window / BUCKETS + 1);
                            applying.push((whose, what, limit, amount(&used, what), least, most));
                        }
                    }
                    match limiter.reserve(name, demand(input, output), clock) {
                        Ok(reservation) => {
                            for (_, what, limit, needed, least, _) in applying {
                                prop_assert!(
                                    needed == 0 || least + needed <= limit,
                                    "{what}: {least} + {needed} of {limit} was admitted"
                                );
                            }
                            prop_assert_eq!(reservation.reserved(), used);
                            running.push(Running { reservation, place: counts.len() });
                            counts.push(Some(Count { at: elapsed, principal: name, used }));
                        }
                        Err(LimitError::RateLimited(limited)) => {
                            let found = applying.iter().find(|(whose, what, ..)| {
                                *what == limited.limit_type && whose.is_some() == limited.principal.is_some()
                            });
                            let Some((_, _, limit, needed, least, most)) = found else {
                                return Err(TestCaseError::fail(format!("{limited:?} does not apply")));
                            };
                            prop_assert_eq!(limited.limit, *limit);
                            prop_assert!(limited.current > *limit, "{:?}", limited);
                            prop_assert!(limited.current >= least + needed && limited.current <= most + needed);
                            let longest = limited.limit_type.window() * (BUCKETS as u32 + 1) / BUCKETS as u32;
                            prop_assert!(limited.retry_after > Duration::ZERO && limited.retry_after <= longest);
                        }
                        Err(LimitError::NeverFits { limit, needed, .. }) => {
                            prop_assert!(needed > limit);
                            prop_assert!(applying.iter().any(|of| (of.2, of.3) == (limit, needed)));
                        }
                        Err(other) => return Err(TestCaseError::fail(other.to_string())),
                    }
                }
                Step::GiveUp { which } if !running.is_empty() => {
                    let Running { reservation, place } = running.swap_remove(which % running.len());
                    drop(reservation);
                    counts[place] = None;
                }
                Step::Abandon { which, generated } if !running.is_empty() => {
                    let Running { mut reservation, place } = running.swap_remove(which % running.len());
                    reservation.commit();
                    reservation.generated(generated);
                    drop(reservation);
                    if let Some(count) = &mut counts[place] {
                        count.used.output_tokens = count.used.output_tokens.min(generated);
                    }
                }
                Step::Settle { which, generated } if !running.is_empty() => {
                    let Running { reservation, place } = running.swap_remove(which % running.len());
                    reservation.settle(generated, clock);
                    if let Some(count) = &mut counts[place] {
                        let more = generated.saturating_sub(count.used.output_tokens);
                        count.used.output_tokens = count.used.output_tokens.min(generated);
                        let (at, principal) = (elapsed, count.principal);
                        let used = Used { output_tokens: more, ..Used::default() };
                        counts.push(Some(Count { at, principal, used }));
                    }
                }
                Step::GiveUp { .. } | Step::Abandon { .. } | Step::Settle { .. } => {}
            }
            // Credits are exact: what each window holds lies between the sums of what is left of every count.
            for whose in [None, Some("ada"), Some("bob"), Some("eve")] {
                for found in limiter.current(whose, clock) {
                    let window = found.limit_type.window().as_nanos() as u64;
                    let least = counted(&counts, whose, found.limit_type, elapsed, window);
                    let most = counted(&counts, whose, found.limit_type, elapsed, window + window / BUCKETS + 1);
                    prop_assert!((least..=most).contains(&found.current), "{found:?}, not {least} to {most}");
                }
            }
        }
        // Everything given up: exactly what was settled is left, and after the longest window nothing.
        for Running { reservation, place } in running {
            drop(reservation);
            counts[place] = None;
        }
        for found in limiter.current(None, clock) {
            let window = found.limit_type.window().as_nanos() as u64;
            let least = counted(&counts, None, found.limit_type, elapsed, window);
            let most = counted(&counts, None, found.limit_type, elapsed, window + window / BUCKETS + 1);
            prop_assert!((least..=most).contains(&found.current));
        }
        let later = clock + Duration::from_secs(3_661);
        prop_assert!(limiter.current(None, later).iter().all(|of| of.current == 0));
    }

    #[test]
    fn whoever_waits_as_long_as_told_is_admitted(
        limits in limits(),
        before in prop::collection::vec((0..2_000_u64, 1..60_u64, 1..40_u64), 1..120),
        input in 0..60_u64,
        output in 0..40_u64,
    ) {
        let rules = EndpointLimits { endpoint: limits, ..EndpointLimits::default() };
        let limiter = RateLimiter::new("e", rules, START);
        let mut now = START;
        for (milliseconds, input, output) in before {
            now += Duration::from_millis(milliseconds);
            if let Ok(reservation) = limiter.reserve("ada", demand(input, output), now) {
                reservation.settle(output, now);
            }
        }
        if let Err(LimitError::RateLimited(limited)) = limiter.reserve("ada", demand(input, output), now) {
            let early = now + limited.retry_after - Duration::from_nanos(1);
            prop_assert!(limiter.reserve("ada", demand(input, output), early).is_err());
            prop_assert!(limiter.reserve("ada", demand(input, output), now + limited.retry_after).is_ok());
        }
    }
}
