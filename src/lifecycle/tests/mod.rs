//! The documents' own dates, the rules one by one, and the invariants over random timelines.
#![allow(clippy::unwrap_used, clippy::panic)]

mod admission;
mod documents;
mod naming;
mod people;
mod properties;
mod rules;
mod vectors;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{Principal, State, Status, Timeline};
use crate::catalog::{Catalog, Offering, Subject, Task};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The first instant of a day, UTC.
fn day(text: &str) -> Timestamp {
    at(&format!("{text}T00:00:00Z"))
}

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

fn builtin() -> (Catalog, Timeline) {
    let catalog = Catalog::builtin().unwrap();
    let timeline = Timeline::from_catalog(&catalog).unwrap();
    (catalog, timeline)
}

/// The status of a chat model or family for somebody unknown.
fn chat(timeline: &Timeline, subject: &Subject, offering: Offering, now: Timestamp) -> Status {
    timeline.status(subject, offering, Task::Chat, &Principal::default(), now)
}

fn state(timeline: &Timeline, subject: &Subject, offering: Offering, now: Timestamp) -> State {
    chat(timeline, subject, offering, now).state
}
