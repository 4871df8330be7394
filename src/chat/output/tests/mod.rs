//! Answers in every notation: whole, in pieces, damaged and hostile.

#![allow(clippy::unwrap_used, clippy::panic)]

mod formats;
mod properties;

use super::{Event, OutputOptions, OutputParser};
use crate::chat::dialect::Dialect;
use crate::chat::tool_format::ToolFormat;

/// A piece of an answer as the model makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    Text(String),
    Marker(&'static str),
}

/// The names of the tools on offer; one begins as another one.
pub(super) const TOOLS: [&str; 4] = ["weather", "weather_now", "f", "größe"];

pub(super) fn dialect(format: ToolFormat, reasons: bool) -> Dialect {
    Dialect { format, reasons, ..Dialect::default() }
}

pub(super) fn offered() -> OutputOptions {
    OutputOptions { tools: TOOLS.map(str::to_owned).to_vec(), ..OutputOptions::default() }
}

/// All that a parser makes of an answer, neighbours of a kind put together.
pub(super) fn parse(dialect: &Dialect, options: OutputOptions, input: &[Input]) -> Vec<Event> {
    let mut parser = OutputParser::new(dialect, options);
    let mut whole = Vec::new();
    let mut take = |mut events: Vec<Event>| whole.append(&mut events);
    for piece in input {
        let mut events = Vec::new();
        match piece {
            Input::Text(text) => parser.text(text, &mut events),
            Input::Marker(token) => parser.marker(token, &mut events),
        }
        take(events);
    }
    let mut events = Vec::new();
    parser.finish(&mut events);
    take(events);
    let mut joined = Vec::new();
    for event in whole {
        match &event {
            Event::Text(text) | Event::Reasoning(text) | Event::Arguments(text) => {
                assert!(!text.is_empty(), "an empty event");
            }
            Event::Call { .. } => {}
        }
        match event {
            Event::Text(text) => Event::text(&text, &mut joined),
            Event::Reasoning(text) => Event::reasoning(&text, &mut joined),
            Event::Arguments(text) => Event::arguments(&text, &mut joined),
            call @ Event::Call { .. } => joined.push(call),
        }
    }
    joined
}

/// One letter for each event: what a table of expectations is written with.
pub(super) fn shown(events: &[Event]) -> String {
    let show = |event: &Event| match event {
        Event::Text(text) => format!("T:{text}"),
        Event::Reasoning(text) => format!("R:{text}"),
        Event::Call { name } => format!("C:{name}"),
        Event::Arguments(text) => format!("A:{text}"),
    };
    events.iter().map(show).collect::<Vec<_>>().join("|")
}
