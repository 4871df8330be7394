//! Reasoning before the answer.

use super::super::dialect::{END_THINK, THINK};
use super::event::Event;
use super::tag::TagSearch;

/// Splits the reasoning off the beginning of an answer. The first end tag ends it for good.
#[derive(Debug)]
pub(super) struct ReasoningSplit {
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing yet but white space and possibly the beginning of the tag, which are held back.
    Start(String),
    /// Behind the tag: line breaks are dropped.
    Opened,
    Inside(TagSearch),
    /// Behind the end tag: line breaks are dropped.
    Closed,
    Answer,
}

impl ReasoningSplit {
    /// `reasons`: whether the model does. `open`: whether the prompt has the tag already.
    pub(super) fn new(reasons: bool, open: bool) -> Self {
        let state = match (reasons, open) {
            (false, _) => State::Answer,
            (true, true) => State::Opened,
            (true, false) => State::Start(String::new()),
        };
        Self { state }
    }

    pub(super) fn inside(&self) -> bool {
        matches!(self.state, State::Opened | State::Inside(_))
    }

    /// Takes the next character. What belongs to the answer goes to `answer`.
    pub(super) fn push(&mut self, next: char, answer: &mut String, out: &mut Vec<Event>) {
        match &mut self.state {
            State::Answer => answer.push(next),
            State::Start(held) => {
                held.push(next);
                let tag = held.trim_start();
                if tag == THINK {
                    self.state = State::Opened;
                } else if !THINK.starts_with(tag) {
                    answer.push_str(held);
                    self.state = State::Answer;
                }
            }
            State::Opened | State::Closed if line_break(next) => {}
            State::Opened => {
                self.state = State::Inside(TagSearch::new(END_THINK));
                self.push(next, answer, out);
            }
            State::Inside(end) => {
                let mut passed = String::new();
                let ended = end.push(next, &mut passed);
                Event::reasoning(&passed, out);
                if ended {
                    self.state = State::Closed;
                }
            }
            State::Closed => {
                self.state = State::Answer;
                answer.push(next);
            }
        }
    }

    /// Takes a token that may be one of the tags. False when it belongs to the answer.
    pub(super) fn marker(&mut self, token: &str, answer: &mut String, out: &mut Vec<Event>) -> bool {
        match &mut self.state {
            State::Answer => return false,
            State::Start(held) if token == THINK && held.trim().is_empty() => self.state = State::Opened,
            State::Start(held) => {
                answer.push_str(held);
                self.state = State::Answer;
                return false;
            }
            State::Closed => {
                self.state = State::Answer;
                return false;
            }
            State::Opened if token == END_THINK => self.state = State::Closed,
            State::Inside(end) if token == END_THINK => {
                Event::reasoning(&end.take(), out);
                self.state = State::Closed;
            }
            State::Opened | State::Inside(_) => {
                for next in token.chars() {
                    self.push(next, answer, out);
                }
            }
        }
        true
    }

    /// What was held back when no more comes.
    pub(super) fn finish(&mut self, answer: &mut String, out: &mut Vec<Event>) {
        match &mut self.state {
            State::Start(held) => answer.push_str(&std::mem::take(held)),
            State::Inside(end) => Event::reasoning(&end.take(), out),
            State::Opened | State::Closed | State::Answer => {}
        }
    }
}

fn line_break(next: char) -> bool {
    matches!(next, '\n' | '\r')
}
