//! The measurements.

use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use model_runtime::catalog::{Offering, Task};
use model_runtime::clock::Clock;
use model_runtime::lifecycle::{Admission, Principal, UpgradeOption};
use model_runtime::metering::ledger::{GroupBy, Page, Slot, UsageFilter};
use model_runtime::metering::limits::{Demand, Output, Reservation};

use super::Failure;
use super::arguments::Arguments;
use super::report::Report;
use super::world::World;

const DEMAND: Demand = Demand { input_tokens: 500, output: Output::AtMost(256) };

/// The history that the ledger begins with.
pub(crate) fn fill(world: &World, arguments: &Arguments, report: &mut Report) -> Result<(), Failure> {
    let begun = Instant::now();
    let end = world.clock.wall();
    for number in 0..arguments.rows {
        // A month of it.
        let ago = 2_592_000.0 * (arguments.rows - number) as f64 / arguments.rows as f64;
        let record = world.record(number, end - SignedDuration::from_secs_f64(ago));
        // The ledger takes no more than it has room for.
        let mut slot = world.ledger.admit();
        while slot.is_err() {
            world.ledger.flush()?;
            slot = world.ledger.admit();
        }
        slot?.record(record, |result| drop(black_box(result)));
    }
    world.ledger.flush()?;
    let each = begun.elapsed().as_secs_f64() * 1e6 / arguments.rows.max(1) as f64;
    report.add(
        "fill_us",
        "filling the ledger",
        each,
        "us",
        "per row, both threads; groups of up to 1024".into(),
    );
    Ok(())
}

/// What a request costs before it runs, after it has run, and all in.
pub(crate) fn requests(world: &World, arguments: &Arguments, report: &mut Report) -> Result<(), Failure> {
    let mut next = arguments.rows;
    let mut best = [f64::INFINITY; 6];
    for _ in 0..arguments.repeat {
        let count = arguments.requests;
        let each = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
        let numbers = next..next + count;
        next += count;

        let begun = Instant::now();
        for number in numbers.clone() {
            black_box(last_use(world, number));
        }
        let last_uses = each(begun.elapsed());

        let begun = Instant::now();
        for number in numbers.clone() {
            black_box(admission(world, number)?);
        }
        let admissions = each(begun.elapsed());

        let begun = Instant::now();
        for number in numbers.clone() {
            reservation(world, number)?.settle(200, world.clock.monotonic());
        }
        let limits = each(begun.elapsed());

        // Records are made before: making them is not the ledger's work.
        let now = world.clock.wall();
        let mut records = Vec::with_capacity(count);
        records.extend(numbers.clone().map(|number| world.record(number, now)));
        let begun = Instant::now();
        for record in records {
            slot(world)?.record(record, |result| drop(black_box(result)));
        }
        let caller = each(begun.elapsed());
        world.ledger.flush()?;

        let numbers = next..next + count;
        next += count;
        let mut records = Vec::with_capacity(count);
        records.extend(numbers.clone().map(|number| world.record(number, now)));
        let (begun, processor) = (Instant::now(), processor_time());
        for (number, record) in numbers.zip(records) {
            black_box(admission(world, number)?);
            let slot = slot(world)?;
            let mut reservation = reservation(world, number)?;
            reservation.commit();
            reservation.settle(200, world.clock.monotonic());
            slot.record(record, |result| drop(black_box(result)));
        }
        world.ledger.flush()?;
        let all = each(begun.elapsed());
        let processor = processor.zip(processor_time()).map_or(f64::INFINITY, |(from, to)| each(to - from));
        for (best, found) in best.iter_mut().zip([last_uses, admissions, limits, caller, all, processor]) {
            *best = best.min(found);
        }
    }
    let [last_uses, admissions, limits, caller, all, processor] = best;
    report.add("last_use_us", "last use, from memory", last_uses, "us", String::new());
    report.add(
        "admission_us",
        "retirement: status and admission",
        admissions,
        "us",
        "with the last use".into(),
    );
    report.add("limits_us", "limits: reserve and settle", limits, "us", "8 windows".into());
    report.add("record_us", "ledger: slot and record", caller, "us", "on the caller's thread".into());
    report.add(
        "all_us",
        "all of it, until it is on the disk",
        all,
        "us",
        "per request of a burst; goal 20".into(),
    );
    if processor.is_finite() {
        report.add(
            "all_processor_us",
            "all of it, processor time",
            processor,
            "us",
            "of both threads".into(),
        );
    }
    Ok(())
}

/// How long one record takes that nothing else comes with: what it adds to the end of an answer.
pub(crate) fn alone(world: &World, arguments: &Arguments, report: &mut Report) -> Result<(), Failure> {
    let count = (arguments.requests / 25).max(1);
    let first = arguments.rows + 2 * arguments.repeat * arguments.requests;
    let mut times = Vec::with_capacity(count);
    let (tell, told) = std::sync::mpsc::channel();
    for number in first..first + count {
        let record = world.record(number, world.clock.wall());
        let tell = tell.clone();
        let begun = Instant::now();
        slot(world)?.record(record, move |result| drop(tell.send(result)));
        told.recv()??;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let microseconds = |time: Duration| time.as_secs_f64() * 1e6;
    let worst = times.last().map_or(0.0, |time| microseconds(*time));
    let note =
        format!("99 of 100 within {:.0}, all within {worst:.0}", microseconds(times[count * 99 / 100]));
    report.add(
        "alone_us",
        "one record alone, until it is on the disk",
        microseconds(times[count / 2]),
        "us",
        note,
    );
    Ok(())
}

/// Questions of the whole ledger.
pub(crate) fn questions(world: &World, arguments: &Arguments, report: &mut Report) -> Result<(), Failure> {
    let everything = UsageFilter::default();
    let begun = Instant::now();
    let by = [GroupBy::EndpointName, GroupBy::Outcome];
    black_box(world.ledger.groups(&everything, &by, Page { after: 0, limit: 10_000 })?);
    let grouped = begun.elapsed().as_secs_f64() * 1e3;
    report.add(
        "groups_ms",
        "usage by endpoint and outcome",
        grouped,
        "ms",
        format!("{} endpoints", arguments.models),
    );
    let retiring: Vec<_> =
        world.models.iter().take(10).map(|model| (model.clone(), Offering::PayPerToken)).collect();
    let begun = Instant::now();
    black_box(world.ledger.retiring_use(&retiring, None, None)?);
    let retiring = begun.elapsed().as_secs_f64() * 1e3;
    report.add("retiring_ms", "who uses any of ten models that retire", retiring, "ms", String::new());
    let begun = Instant::now();
    world.ledger.restore_limits(&world.limiters)?;
    let restored = begun.elapsed().as_secs_f64() * 1e3;
    report.add("restore_ms", "windows of all endpoints after a restart", restored, "ms", String::new());
    Ok(())
}

fn last_use(world: &World, number: usize) -> Option<jiff::Timestamp> {
    let (model, principal) = world.choose(number);
    world.ledger.last_use(&world.principals[principal], &world.models[model], Offering::PayPerToken)
}

fn admission(world: &World, number: usize) -> Result<Admission, Failure> {
    let (model, principal) = world.choose(number);
    let (subject, name) = (&world.models[model], &world.principals[principal]);
    let principal = Principal { name: name.clone(), last_use: last_use(world, number) };
    let now = world.clock.wall();
    let status = world.timeline.status(subject, Offering::PayPerToken, Task::Chat, &principal, now);
    Ok(status.admit(UpgradeOption::NoAutoUpgrade, None)?)
}

fn reservation(world: &World, number: usize) -> Result<Reservation, Failure> {
    let (model, principal) = world.choose(number);
    Ok(world.limiters[model].reserve(&world.principals[principal], DEMAND, world.clock.monotonic())?)
}

/// A place in the ledger; when there is none, after what waits is written.
fn slot(world: &World) -> Result<Slot, Failure> {
    match world.ledger.admit() {
        Ok(slot) => Ok(slot),
        Err(_) => {
            world.ledger.flush()?;
            Ok(world.ledger.admit()?)
        }
    }
}

/// What all threads of this process have computed, where the system tells (Linux): what others take from the wall time is not
/// in it.
fn processor_time() -> Option<Duration> {
    let mut total = Duration::ZERO;
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        let schedule = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        total += Duration::from_nanos(schedule.split(' ').next()?.parse().ok()?);
    }
    Some(total)
}
